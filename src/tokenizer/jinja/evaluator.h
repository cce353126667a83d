#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/scope.h"
#include "tokenizer/jinja/value.h"

namespace musaic::jinja {

// One rendering of a template.
class Evaluator {
 public:
  // `now` is what strftime_now tells.
  Evaluator(const Dict& context, std::time_t now);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  // Throws TemplateError.
  std::string render(const Body& body);

 private:
  enum class Flow { kNext, kBreak, kContinue };
  class Depth;
  class Frame;

  void define_globals(std::time_t now);
  Value make_namespace(const Arguments& arguments);

  Flow run(const Body& body, Scope& scope);
  Flow run(const Statement& statement, Scope& scope);
  Flow run(const Data& data, Scope& scope);
  Flow run(const Output& output, Scope& scope);
  Flow run(const If& statement, Scope& scope);
  Flow run(const For& statement, Scope& scope);
  Flow run(const Set& statement, Scope& scope);
  Flow run(const SetBlock& statement, Scope& scope);
  Flow run(const With& statement, Scope& scope);
  Flow run(const Macro& macro, Scope& scope);
  Flow run(const CallBlock& block, Scope& scope);
  Flow run(const FilterBlock& block, Scope& scope);
  Flow run(const Block& block, Scope& scope);
  Flow run(const Break&, Scope&) { return Flow::kBreak; }
  Flow run(const Continue&, Scope&) { return Flow::kContinue; }

  List loop_items(const For& statement, Scope& scope);
  void assign(const Target& target, const Value& value, Scope& scope);
  std::string capture(const Body& body, Scope& scope);
  void write(std::string_view text);
  Value make_macro(const Macro& macro, const Scope& scope);
  Value call_macro(const Macro& macro, const Scope& scope, const Arguments& arguments);
  void bind_parameters(const Macro& macro, const Arguments& arguments, Scope& scope);

  Value evaluate(const Expression& expression, const Scope& scope);
  Value evaluate(const Literal& literal, const Scope&) { return literal.value; }
  Value evaluate(const Name& name, const Scope& scope);
  Value evaluate(const ListDisplay& list, const Scope& scope);
  Value evaluate(const DictDisplay& dict, const Scope& scope);
  Value evaluate(const Attribute& attribute, const Scope& scope);
  Value evaluate(const Subscript& subscript, const Scope& scope);
  Value evaluate(const Slice& node, const Scope& scope);
  Value evaluate(const Call& call, const Scope& scope);
  Value evaluate(const FilterCall& filter, const Scope& scope);
  Value evaluate(const TestCall& test, const Scope& scope);
  Value evaluate(const Unary& unary, const Scope& scope);
  Value evaluate(const Binary& binary, const Scope& scope);
  Value evaluate(const Logic& logic, const Scope& scope);
  Value evaluate(const Comparison& comparison, const Scope& scope);
  Value evaluate(const Conditional& conditional, const Scope& scope);
  Value evaluate_filters(const Expression& filters, std::string text, const Scope& scope);
  Arguments evaluate_arguments(const CallArguments& arguments, const Scope& scope);
  Value call_value(const Value& callee, const Arguments& arguments);
  void spend_on(const Value& value);

  Budget budget_;
  int depth_ = 0;
  uint64_t next_scope_id_ = 1;
  std::vector<uint64_t> live_scopes_;                   // ids of the scopes on the stack, ascending
  std::vector<std::shared_ptr<Namespace>> namespaces_;  // emptied at the end: they may hold one another
  const Value* block_text_ = nullptr;                   // what a chain of filters on a block begins with
  std::string out_;
  Scope globals_;
};

}  // namespace musaic::jinja
