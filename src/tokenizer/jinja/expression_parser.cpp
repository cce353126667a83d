#include "tokenizer/jinja/expression_parser.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <optional>

namespace musaic::jinja {
namespace {

using Kind = Token::Kind;

constexpr int kMaxBracketDepth = 100;

class Nesting {
 public:
  Nesting(int& depth, int line) : depth_(depth) {
    if (++depth_ > kMaxBracketDepth) {
      --depth_;
      fail("line {}: an expression is nested more than {} deep", line, kMaxBracketDepth);
    }
  }
  ~Nesting() { --depth_; }

 private:
  int& depth_;
};

std::optional<CompareOperator> compare_operator(const Token& token) {
  if (token.kind != Kind::kOperator) return std::nullopt;
  if (token.text == "==") return CompareOperator::kEqual;
  if (token.text == "!=") return CompareOperator::kNotEqual;
  if (token.text == "<") return CompareOperator::kLess;
  if (token.text == "<=") return CompareOperator::kLessEqual;
  if (token.text == ">") return CompareOperator::kGreater;
  if (token.text == ">=") return CompareOperator::kGreaterEqual;
  return std::nullopt;
}

std::optional<BinaryOperator> product_operator(const Token& token) {
  if (token.kind != Kind::kOperator) return std::nullopt;
  if (token.text == "*") return BinaryOperator::kMultiply;
  if (token.text == "/") return BinaryOperator::kDivide;
  if (token.text == "//") return BinaryOperator::kFloorDivide;
  if (token.text == "%") return BinaryOperator::kModulo;
  return std::nullopt;
}

}  // namespace

template <class Node>
ExpressionPtr ExpressionParser::make(int line, Node node) {
  if (++nodes_ > kMaxExpressionNodes)
    fail("line {}: an expression of more than {} parts", line, kMaxExpressionNodes);
  return std::make_unique<const Expression>(Expression{line, std::move(node)});
}

ExpressionPtr ExpressionParser::parse() {
  if (depth_ == 0) nodes_ = 0;
  return parse_conditional();
}

ExpressionPtr ExpressionParser::parse_tuple() {
  if (depth_ == 0) nodes_ = 0;
  return parse_tuple(WithConditional::kYes);
}

ExpressionPtr ExpressionParser::parse_iterable() {
  nodes_ = 0;
  return parse_tuple(WithConditional::kNo);
}

ExpressionPtr ExpressionParser::parse_expression(WithConditional conditional) {
  return conditional == WithConditional::kYes ? parse_conditional() : parse_or();
}

bool ExpressionParser::at_tuple_end() const {
  return tokens_.at(Kind::kBlockEnd) || tokens_.at(Kind::kVariableEnd) || tokens_.at_operator(")") ||
         tokens_.at_any_name({"recursive", "if"});
}

ExpressionPtr ExpressionParser::parse_tuple(WithConditional conditional) {
  const int line = tokens_.line();
  ExpressionPtr first = parse_expression(conditional);
  if (!tokens_.at_operator(",")) return first;
  ListDisplay tuple{.items = {}, .is_tuple = true};
  tuple.items.push_back(std::move(first));
  while (tokens_.skip_operator(",") && !at_tuple_end()) tuple.items.push_back(parse_expression(conditional));
  return make(line, std::move(tuple));
}

ExpressionPtr ExpressionParser::parse_conditional() {
  const int line = tokens_.line();
  ExpressionPtr value = parse_or();
  while (tokens_.skip_name("if")) {
    ExpressionPtr condition = parse_or();
    ExpressionPtr otherwise;
    if (tokens_.skip_name("else")) {
      const Nesting nesting(depth_, line);
      otherwise = parse_conditional();
    }
    value = make(line, Conditional{std::move(condition), std::move(value), std::move(otherwise)});
  }
  return value;
}

ExpressionPtr ExpressionParser::parse_or() {
  const int line = tokens_.line();
  ExpressionPtr left = parse_and();
  while (tokens_.skip_name("or")) left = make(line, Logic{false, std::move(left), parse_and()});
  return left;
}

ExpressionPtr ExpressionParser::parse_and() {
  const int line = tokens_.line();
  ExpressionPtr left = parse_not();
  while (tokens_.skip_name("and")) left = make(line, Logic{true, std::move(left), parse_not()});
  return left;
}

ExpressionPtr ExpressionParser::parse_not() {
  const int line = tokens_.line();
  if (!tokens_.at_name("not")) return parse_comparison();
  tokens_.next();
  const Nesting nesting(depth_, line);
  return make(line, Unary{Unary::Operator::kNot, parse_not()});
}

ExpressionPtr ExpressionParser::parse_comparison() {
  const int line = tokens_.line();
  Comparison comparison{.first = parse_sum(), .rest = {}};
  for (;;) {
    if (const auto op = compare_operator(tokens_.current())) {
      tokens_.next();
      comparison.rest.emplace_back(*op, parse_sum());
    } else if (tokens_.skip_name("in")) {
      comparison.rest.emplace_back(CompareOperator::kIn, parse_sum());
    } else if (tokens_.at_name("not") && tokens_.look_ahead().kind == Kind::kName &&
               tokens_.look_ahead().text == "in") {
      tokens_.next();
      tokens_.next();
      comparison.rest.emplace_back(CompareOperator::kNotIn, parse_sum());
    } else {
      break;
    }
  }
  if (comparison.rest.empty()) return std::move(comparison.first);
  return make(line, std::move(comparison));
}

ExpressionPtr ExpressionParser::parse_sum() {
  const int line = tokens_.line();
  ExpressionPtr left = parse_concatenation();
  while (tokens_.at_operator("+") || tokens_.at_operator("-")) {
    const auto op = tokens_.next().text == "+" ? BinaryOperator::kAdd : BinaryOperator::kSubtract;
    left = make(line, Binary{op, std::move(left), parse_concatenation()});
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_concatenation() {
  const int line = tokens_.line();
  ExpressionPtr left = parse_product();
  while (tokens_.skip_operator("~")) {
    left = make(line, Binary{BinaryOperator::kConcatenate, std::move(left), parse_product()});
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_product() {
  const int line = tokens_.line();
  ExpressionPtr left = parse_power();
  while (const auto op = product_operator(tokens_.current())) {
    tokens_.next();
    left = make(line, Binary{*op, std::move(left), parse_power()});
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_power() {
  const int line = tokens_.line();
  ExpressionPtr left = parse_unary(true);
  while (tokens_.skip_operator("**")) {
    left = make(line, Binary{BinaryOperator::kPower, std::move(left), parse_unary(true)});
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_unary(bool with_filters) {
  const int line = tokens_.line();
  const Nesting nesting(depth_, line);
  ExpressionPtr value;
  if (tokens_.at_operator("-") || tokens_.at_operator("+")) {
    const auto op = tokens_.next().text == "-" ? Unary::Operator::kMinus : Unary::Operator::kPlus;
    value = make(line, Unary{op, parse_unary(false)});
  } else {
    value = parse_primary();
  }
  value = parse_postfix(std::move(value));
  return with_filters ? parse_filters_and_tests(std::move(value)) : std::move(value);
}

ExpressionPtr ExpressionParser::parse_primary() {
  switch (tokens_.current().kind) {
    case Kind::kName:
      return parse_name_or_constant();
    case Kind::kString:
      return parse_text();
    case Kind::kInteger:
    case Kind::kFloat:
      return parse_number();
    default:
      break;
  }
  if (tokens_.at_operator("(")) return parse_parenthesized();
  if (tokens_.at_operator("[")) return parse_list();
  if (tokens_.at_operator("{")) return parse_dict();
  tokens_.unexpected("an expression");
}

ExpressionPtr ExpressionParser::parse_name_or_constant() {
  const Token token = tokens_.next();
  if (token.text == "true" || token.text == "True") return make(token.line, Literal{true});
  if (token.text == "false" || token.text == "False") return make(token.line, Literal{false});
  if (token.text == "none" || token.text == "None") return make(token.line, Literal{Value()});
  if (token.text == "varargs") ++varargs_seen_;
  if (token.text == "kwargs") ++kwargs_seen_;
  return make(token.line, Name{token.text});
}

ExpressionPtr ExpressionParser::parse_text() {
  const int line = tokens_.line();
  std::string text;
  while (tokens_.at(Kind::kString)) text += tokens_.next().text;
  return make(line, Literal{std::move(text)});
}

ExpressionPtr ExpressionParser::parse_number() {
  const Token token = tokens_.next();
  if (token.kind == Kind::kFloat) {
    return make(token.line,
                Literal{std::strtod(token.text.c_str(), nullptr)});  // out of range: infinite, or 0
  }
  int64_t number = 0;
  if (std::from_chars(token.text.data(), token.text.data() + token.text.size(), number).ec != std::errc()) {
    fail("line {}: the integer {} does not fit in 64 bits", token.line, token.text);
  }
  return make(token.line, Literal{number});
}

ExpressionPtr ExpressionParser::parse_parenthesized() {
  const int line = tokens_.line();
  tokens_.expect_operator("(");
  if (tokens_.skip_operator(")")) return make(line, ListDisplay{.items = {}, .is_tuple = true});
  ExpressionPtr value = parse_tuple(WithConditional::kYes);
  tokens_.expect_operator(")");
  return value;
}

ExpressionPtr ExpressionParser::parse_list() {
  const int line = tokens_.line();
  ListDisplay list;
  tokens_.expect_operator("[");
  while (!tokens_.at_operator("]")) {
    list.items.push_back(parse_conditional());
    if (!tokens_.skip_operator(",")) break;
  }
  tokens_.expect_operator("]");
  return make(line, std::move(list));
}

ExpressionPtr ExpressionParser::parse_dict() {
  const int line = tokens_.line();
  DictDisplay dict;
  tokens_.expect_operator("{");
  while (!tokens_.at_operator("}")) {
    ExpressionPtr key = parse_conditional();
    tokens_.expect_operator(":");
    dict.entries.emplace_back(std::move(key), parse_conditional());
    if (!tokens_.skip_operator(",")) break;
  }
  tokens_.expect_operator("}");
  return make(line, std::move(dict));
}

ExpressionPtr ExpressionParser::parse_postfix(ExpressionPtr value) {
  for (;;) {
    const int line = tokens_.line();
    if (tokens_.skip_operator(".")) {
      if (tokens_.at(Kind::kInteger)) {
        value = make(line, Subscript{std::move(value), parse_number()});
      } else {
        value =
            make(line, Attribute{std::move(value), tokens_.expect(Kind::kName, "an attribute's name").text});
      }
    } else if (tokens_.at_operator("[")) {
      value = parse_subscript(std::move(value));
    } else if (tokens_.at_operator("(")) {
      value = make(line, Call{std::move(value), parse_arguments()});
    } else {
      return value;
    }
  }
}

// object[index] or object[begin:end:step]
ExpressionPtr ExpressionParser::parse_subscript(ExpressionPtr value) {
  const int line = tokens_.line();
  tokens_.expect_operator("[");
  std::array<ExpressionPtr, 3> parts;
  size_t colons = 0;
  for (;;) {
    if (!tokens_.at_operator(":") && !tokens_.at_operator("]"))
      parts[colons] = parse_tuple(WithConditional::kYes);
    if (colons == 2 || !tokens_.skip_operator(":")) break;
    ++colons;
  }
  tokens_.expect_operator("]");
  if (colons > 0) {
    return make(line, Slice{std::move(value), std::move(parts[0]), std::move(parts[1]), std::move(parts[2])});
  }
  if (!parts[0]) fail("line {}: expected an index between [ and ]", line);
  return make(line, Subscript{std::move(value), std::move(parts[0])});
}

ExpressionPtr ExpressionParser::parse_filters_and_tests(ExpressionPtr value) {
  for (;;) {
    const int line = tokens_.line();
    if (tokens_.skip_operator("|")) {
      value = parse_filter(std::move(value));
    } else if (tokens_.skip_name("is")) {
      value = parse_test(std::move(value));
    } else if (tokens_.at_operator("(")) {
      value = make(line, Call{std::move(value), parse_arguments()});
    } else {
      return value;
    }
  }
}

std::string ExpressionParser::parse_dotted_name(std::string_view words) {
  std::string name = tokens_.expect(Kind::kName, words).text;
  while (tokens_.skip_operator(".")) name += "." + tokens_.expect(Kind::kName, words).text;
  return name;
}

ExpressionPtr ExpressionParser::parse_filter(ExpressionPtr value) {
  const int line = tokens_.line();
  FilterCall filter{.input = std::move(value), .name = parse_dotted_name("a filter's name"), .arguments = {}};
  if (tokens_.at_operator("(")) filter.arguments = parse_arguments();
  return make(line, std::move(filter));
}

bool ExpressionParser::at_test_argument() const {
  if (tokens_.at(Kind::kString) || tokens_.at(Kind::kInteger) || tokens_.at(Kind::kFloat)) return true;
  if (tokens_.at_operator("[") || tokens_.at_operator("{")) return true;
  return tokens_.at(Kind::kName) && !tokens_.at_any_name({"else", "or", "and", "is", "if", "in", "not"});
}

// Without parentheses a test takes one argument: `x is divisibleby 3`.
ExpressionPtr ExpressionParser::parse_test(ExpressionPtr value) {
  const int line = tokens_.line();
  const bool negated = tokens_.skip_name("not");
  TestCall test{.input = std::move(value), .name = parse_dotted_name("a test's name"), .arguments = {}};
  if (tokens_.at_operator("(")) {
    test.arguments = parse_arguments();
  } else if (at_test_argument()) {
    test.arguments.positional.push_back(parse_postfix(parse_primary()));
  }
  ExpressionPtr result = make(line, std::move(test));
  return negated ? make(line, Unary{Unary::Operator::kNot, std::move(result)}) : std::move(result);
}

CallArguments ExpressionParser::parse_arguments() {
  CallArguments arguments;
  tokens_.expect_operator("(");
  const Nesting nesting(depth_, tokens_.line());
  while (!tokens_.at_operator(")")) {
    const bool is_named = tokens_.at(Kind::kName) && tokens_.look_ahead().kind == Kind::kOperator &&
                          tokens_.look_ahead().text == "=";
    if (tokens_.skip_operator("*")) {
      arguments.spread = parse_conditional();
    } else if (tokens_.skip_operator("**")) {
      arguments.named_spread = parse_conditional();
    } else if (is_named) {
      std::string name = tokens_.next().text;
      tokens_.next();
      arguments.named.emplace_back(std::move(name), parse_conditional());
    } else if (!arguments.named.empty()) {
      fail("line {}: a positional argument after a named one", tokens_.line());
    } else {
      arguments.positional.push_back(parse_conditional());
    }
    if (!tokens_.skip_operator(",")) break;
  }
  tokens_.expect_operator(")");
  return arguments;
}

ExpressionPtr ExpressionParser::parse_filter_chain() {
  nodes_ = 0;
  ExpressionPtr value = parse_filter(nullptr);
  while (tokens_.skip_operator("|")) value = parse_filter(std::move(value));
  return value;
}

ExpressionPtr ExpressionParser::parse_postfix_call() {
  nodes_ = 0;
  const int line = tokens_.line();
  ExpressionPtr value = parse_unary(false);
  if (!std::holds_alternative<Call>(value->node)) fail("line {}: expected a call of a macro", line);
  return value;
}

Target ExpressionParser::parse_single_target(bool allow_attribute) {
  const int line = tokens_.line();
  if (tokens_.skip_operator("(")) {
    const Nesting nesting(depth_, line);
    Target target = parse_target(false);
    tokens_.expect_operator(")");
    return target;
  }
  Target target{.name = tokens_.expect(Kind::kName, "a name").text, .attribute = {}, .parts = {}};
  constexpr std::array<std::string_view, 6> kConstants = {"true", "false", "none", "True", "False", "None"};
  if (std::find(kConstants.begin(), kConstants.end(), target.name) != kConstants.end()) {
    fail("line {}: cannot assign to {}", line, target.name);
  }
  if (allow_attribute && tokens_.skip_operator(".")) {
    target.attribute = tokens_.expect(Kind::kName, "an attribute's name").text;
  }
  return target;
}

Target ExpressionParser::parse_target(bool allow_attribute) {
  Target first = parse_single_target(allow_attribute);
  if (!tokens_.at_operator(",")) return first;
  Target tuple;
  tuple.parts.push_back(std::move(first));
  while (tokens_.skip_operator(",") && (tokens_.at(Kind::kName) || tokens_.at_operator("(")) &&
         !tokens_.at_name("in")) {
    tuple.parts.push_back(parse_single_target(allow_attribute));
  }
  return tuple;
}

std::vector<Parameter> ExpressionParser::parse_parameters() {
  std::vector<Parameter> parameters;
  tokens_.expect_operator("(");
  while (!tokens_.at_operator(")")) {
    const int line = tokens_.line();
    Parameter parameter{.name = tokens_.expect(Kind::kName, "a parameter's name").text, .otherwise = nullptr};
    if (tokens_.skip_operator("=")) {
      parameter.otherwise = parse();
    } else if (!parameters.empty() && parameters.back().otherwise) {
      fail("line {}: parameter {} without a default after one that has it", line, parameter.name);
    }
    parameters.push_back(std::move(parameter));
    if (!tokens_.skip_operator(",")) break;
  }
  tokens_.expect_operator(")");
  return parameters;
}

}  // namespace musaic::jinja
