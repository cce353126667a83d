#pragma once

#include <vector>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/token_stream.h"

namespace musaic::jinja {

// Reads expressions; precedence, lowest first: if-else, or, and, not, comparisons, + -, ~, * / // %, **,
// unary, filters and tests, calls and attributes.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  ExpressionPtr parse();               // one expression
  ExpressionPtr parse_tuple();         // or several with commas: a tuple
  ExpressionPtr parse_iterable();      // a tuple without if-else: `if` is the loop's
  ExpressionPtr parse_filter_chain();  // name | name(...) on a block's text
  ExpressionPtr parse_postfix_call();  // macro(...)
  Target parse_target(bool allow_attribute);
  std::vector<Parameter> parse_parameters();          // (a, b = 1)
  int varargs_seen() const { return varargs_seen_; }  // how often these names were read so far
  int kwargs_seen() const { return kwargs_seen_; }

 private:
  enum class WithConditional { kYes, kNo };

  ExpressionPtr parse_expression(WithConditional conditional);
  ExpressionPtr parse_tuple(WithConditional conditional);
  ExpressionPtr parse_conditional();
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_comparison();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_concatenation();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  ExpressionPtr parse_unary(bool with_filters);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_name_or_constant();
  ExpressionPtr parse_text();
  ExpressionPtr parse_number();
  ExpressionPtr parse_parenthesized();
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  ExpressionPtr parse_postfix(ExpressionPtr value);
  ExpressionPtr parse_subscript(ExpressionPtr value);
  ExpressionPtr parse_filters_and_tests(ExpressionPtr value);
  ExpressionPtr parse_filter(ExpressionPtr value);
  ExpressionPtr parse_test(ExpressionPtr value);
  CallArguments parse_arguments();
  Target parse_single_target(bool allow_attribute);
  std::string parse_dotted_name(std::string_view words);
  bool at_tuple_end() const;
  bool at_test_argument() const;

  template <class Node>
  ExpressionPtr make(int line, Node node);

  TokenStream& tokens_;
  int varargs_seen_ = 0;
  int kwargs_seen_ = 0;
  int nodes_ = 0;  // of the outermost expression
  int depth_ = 0;  // of brackets and prefix operators
};

}  // namespace musaic::jinja
