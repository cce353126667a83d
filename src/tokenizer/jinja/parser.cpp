#include "tokenizer/jinja/parser.h"

#include <initializer_list>

#include "tokenizer/jinja/expression_parser.h"
#include "tokenizer/jinja/token_stream.h"

namespace musaic::jinja {
namespace {

using Kind = Token::Kind;
using EndTags = std::initializer_list<std::string_view>;

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)), expressions_(tokens_) {}

  Body run() { return parse_body({}); }

 private:
  Body parse_body(EndTags ends);
  Body parse_block_until(std::string_view end);
  void parse_item(Body& body);
  Statement parse_tag();
  void end_tag() { tokens_.expect(Kind::kBlockEnd, "the end of the tag"); }

  Statement parse_if(int line);
  Statement parse_for(int line);
  Statement parse_set(int line);
  Statement parse_with(int line);
  Statement parse_macro(int line);
  void parse_macro_body(Macro& macro, std::string_view end);
  Statement parse_call(int line);
  Statement parse_filter(int line);

  TokenStream tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;  // around the current place
};

// Up to a tag of `ends`, whose `{% name` is read; or the end of the template when there are none.
Body Parser::parse_body(EndTags ends) {
  if (++depth_ > kMaxBlockDepth)
    fail("line {}: blocks are nested more than {} deep", tokens_.line(), kMaxBlockDepth);
  Body body;
  for (;;) {
    if (tokens_.at(Kind::kEnd)) {
      if (ends.size() > 0)
        fail("line {}: expected {{% {} %}}, got the end of the template", tokens_.line(), *(ends.end() - 1));
      break;
    }
    if (tokens_.at(Kind::kBlockBegin)) {
      tokens_.next();
      if (tokens_.at_any_name(ends)) break;
      body.push_back(parse_tag());
    } else {
      parse_item(body);
    }
  }
  --depth_;
  return body;
}

Body Parser::parse_block_until(std::string_view end) {
  end_tag();
  Body body = parse_body({end});
  tokens_.next();
  end_tag();
  return body;
}

// Text or {{ ... }}.
void Parser::parse_item(Body& body) {
  const int line = tokens_.line();
  if (tokens_.at(Kind::kData)) {
    body.push_back({line, Data{tokens_.next().text}});
    return;
  }
  tokens_.expect(Kind::kVariableBegin, "text or a tag");
  body.push_back({line, Output{expressions_.parse_tuple()}});
  tokens_.expect(Kind::kVariableEnd, "the end of the tag");
}

// What follows `{%`.
Statement Parser::parse_tag() {
  const int line = tokens_.line();
  const std::string name = tokens_.expect(Kind::kName, "a tag's name").text;
  if (name == "if") return parse_if(line);
  if (name == "for") return parse_for(line);
  if (name == "set") return parse_set(line);
  if (name == "with") return parse_with(line);
  if (name == "macro") return parse_macro(line);
  if (name == "call") return parse_call(line);
  if (name == "filter") return parse_filter(line);
  if (name == "generation") return {line, Block{parse_block_until("endgeneration")}};
  const bool is_break = name == "break";
  if (!is_break && name != "continue") fail("line {}: unknown tag '{}'", line, name);
  if (loops_ == 0) fail("line {}: {} outside of a loop", line, name);
  end_tag();
  if (is_break) return {line, Break{}};
  return {line, Continue{}};
}

Statement Parser::parse_if(int line) {
  If statement;
  for (;;) {
    ExpressionPtr condition = expressions_.parse_tuple();
    end_tag();
    Body body = parse_body({"elif", "else", "endif"});
    statement.branches.emplace_back(std::move(condition), std::move(body));
    if (!tokens_.skip_name("elif")) break;
  }
  if (tokens_.skip_name("else")) {
    statement.otherwise = parse_block_until("endif");
  } else {
    tokens_.next();
    end_tag();
  }
  return {line, std::move(statement)};
}

Statement Parser::parse_for(int line) {
  For statement;
  statement.target = expressions_.parse_target(false);
  tokens_.expect_name("in");
  statement.iterable = expressions_.parse_iterable();
  if (tokens_.skip_name("if")) statement.condition = expressions_.parse();
  if (tokens_.at_name("recursive")) fail("line {}: recursive loops are not supported", line);
  end_tag();
  ++loops_;
  statement.body = parse_body({"else", "endfor"});
  --loops_;
  if (tokens_.skip_name("else")) {
    statement.otherwise = parse_block_until("endfor");
  } else {
    tokens_.next();
    end_tag();
  }
  return {line, std::move(statement)};
}

Statement Parser::parse_set(int line) {
  Target target = expressions_.parse_target(true);
  if (tokens_.skip_operator("=")) {
    ExpressionPtr value = expressions_.parse_tuple();
    end_tag();
    return {line, Set{std::move(target), std::move(value)}};
  }
  ExpressionPtr filters;
  if (tokens_.skip_operator("|")) filters = expressions_.parse_filter_chain();
  Body body = parse_block_until("endset");
  return {line, SetBlock{std::move(target), std::move(filters), std::move(body)}};
}

Statement Parser::parse_with(int line) {
  With statement;
  while (!tokens_.at(Kind::kBlockEnd)) {
    Target target = expressions_.parse_target(false);
    tokens_.expect_operator("=");
    statement.values.emplace_back(std::move(target), expressions_.parse());
    if (!tokens_.skip_operator(",")) break;
  }
  statement.body = parse_block_until("endwith");
  return {line, std::move(statement)};
}

void Parser::parse_macro_body(Macro& macro, std::string_view end) {
  const int loops = std::exchange(loops_, 0);
  const int varargs = expressions_.varargs_seen();
  const int kwargs = expressions_.kwargs_seen();
  macro.body = parse_block_until(end);
  macro.uses_varargs = expressions_.varargs_seen() > varargs;
  macro.uses_kwargs = expressions_.kwargs_seen() > kwargs;
  loops_ = loops;
}

Statement Parser::parse_macro(int line) {
  Macro macro;
  macro.name = tokens_.expect(Kind::kName, "a macro's name").text;
  macro.parameters = expressions_.parse_parameters();
  parse_macro_body(macro, "endmacro");
  return {line, std::move(macro)};
}

Statement Parser::parse_call(int line) {
  CallBlock block;
  block.caller.name = "caller";
  if (tokens_.at_operator("(")) block.caller.parameters = expressions_.parse_parameters();
  block.call = expressions_.parse_postfix_call();
  parse_macro_body(block.caller, "endcall");
  return {line, std::move(block)};
}

Statement Parser::parse_filter(int line) {
  FilterBlock block;
  block.filters = expressions_.parse_filter_chain();
  block.body = parse_block_until("endfilter");
  return {line, std::move(block)};
}

}  // namespace

Body parse_template(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    fail("the template has {} bytes, at most {} are allowed", source.size(), kMaxSourceBytes);
  }
  return Parser(source).run();
}

}  // namespace musaic::jinja
