#include "tokenizer/jinja/evaluator_frames.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/operators.h"

namespace musaic::jinja {
namespace {

constexpr uint64_t kEntriesPerWork = 8;  // of a dict or list that is searched

// What the callee of `object.name(...)` or `object["name"](...)` is called on.
struct MethodCall {
  const Expression* object = nullptr;
  std::string_view name;
};

MethodCall method_call(const Expression& callee) {
  const auto* attribute = std::get_if<Attribute>(&callee.node);
  return attribute ? MethodCall{attribute->object.get(), attribute->name} : MethodCall{};
}

}  // namespace

void Evaluator::spend_on(const Value& value) {
  if (value.is_text()) {
    budget_.spend_bytes(value.text().size());
  } else if (value.is_list()) {
    budget_.spend(1 + value.list().size() / kEntriesPerWork);
  } else if (value.is_dict()) {
    budget_.spend(1 + value.dict().entries.size() / kEntriesPerWork);
  }
}

Value Evaluator::evaluate(const Expression& expression, const Scope& scope) {
  const Depth depth(*this);
  budget_.spend(1);
  return std::visit([&](const auto& node) { return evaluate(node, scope); }, expression.node);
}

Value Evaluator::evaluate(const Name& name, const Scope& scope) {
  const Value* value = scope.find(name.name);
  return value ? *value : Value(Undefined{"'" + name.name + "'"});
}

Value Evaluator::evaluate(const ListDisplay& list, const Scope& scope) {
  List items;
  for (const ExpressionPtr& item : list.items) items.push_back(evaluate(*item, scope));
  return Value(std::move(items), list.is_tuple);
}

Value Evaluator::evaluate(const DictDisplay& display, const Scope& scope) {
  Dict dict;
  for (const auto& [key, value] : display.entries) {
    Value name = evaluate(*key, scope);
    if (!name.is_text() && !name.is_number() && !name.is_none())
      fail("unhashable type: '{}'", type_name(name));
    dict.set(std::move(name), evaluate(*value, scope));
  }
  return Value(std::move(dict));
}

Value Evaluator::evaluate(const Attribute& attribute, const Scope& scope) {
  const Value object = evaluate(*attribute.object, scope);
  if (object.is_dict()) spend_on(object);
  return get_attribute(object, attribute.name);
}

Value Evaluator::evaluate(const Subscript& subscript, const Scope& scope) {
  const Value object = evaluate(*subscript.object, scope);
  if (!object.is_list()) spend_on(object);
  return get_item(object, evaluate(*subscript.index, scope));
}

Value Evaluator::evaluate(const Slice& node, const Scope& scope) {
  const Value object = evaluate(*node.object, scope);
  spend_on(object);
  const auto bound = [&](const ExpressionPtr& part) { return part ? evaluate(*part, scope) : Value(); };
  const Value begin = bound(node.begin);
  const Value end = bound(node.end);
  const Value step = bound(node.step);
  return slice(object, &begin, &end, &step);
}

Value Evaluator::evaluate(const Call& call, const Scope& scope) {
  const MethodCall method = method_call(*call.callee);
  if (method.object == nullptr) {
    const Value callee = evaluate(*call.callee, scope);
    return call_value(callee, evaluate_arguments(call.arguments, scope));
  }
  const Value object = evaluate(*method.object, scope);
  spend_on(object);
  if (!has_method(object, method.name)) {
    const Value callee = get_attribute(object, method.name);
    return call_value(callee, evaluate_arguments(call.arguments, scope));
  }
  Value result = call_method(object, method.name, evaluate_arguments(call.arguments, scope));
  spend_on(result);
  return result;
}

Value Evaluator::call_value(const Value& callee, const Arguments& arguments) {
  if (const auto* undefined = callee.get_if<Undefined>()) fail("{} is undefined", undefined->name);
  const auto* callable = callee.get_if<std::shared_ptr<const Callable>>();
  if (callable == nullptr) fail("'{}' object is not callable", type_name(callee));
  return (*callable)->call(arguments);
}

Arguments Evaluator::evaluate_arguments(const CallArguments& arguments, const Scope& scope) {
  Arguments values;
  for (const ExpressionPtr& argument : arguments.positional)
    values.positional.push_back(evaluate(*argument, scope));
  if (arguments.spread) {
    for (Value& item : items_of(evaluate(*arguments.spread, scope)))
      values.positional.push_back(std::move(item));
  }
  for (const auto& [name, argument] : arguments.named)
    values.named.emplace_back(name, evaluate(*argument, scope));
  if (arguments.named_spread) {
    const Value named = evaluate(*arguments.named_spread, scope);
    if (!named.is_dict()) fail("the argument after ** must be a mapping, not {}", type_name(named));
    for (const auto& [name, value] : named.dict().entries) values.named.emplace_back(to_text(name), value);
  }
  return values;
}

Value Evaluator::evaluate(const FilterCall& filter, const Scope& scope) {
  const Value input = filter.input ? evaluate(*filter.input, scope) : *block_text_;
  return apply_filter(filter.name, input, evaluate_arguments(filter.arguments, scope), budget_);
}

Value Evaluator::evaluate_filters(const Expression& filters, std::string text, const Scope& scope) {
  const Value input(std::move(text));
  const Value* outer = std::exchange(block_text_, &input);
  Value result = evaluate(filters, scope);
  block_text_ = outer;
  return result;
}

Value Evaluator::evaluate(const TestCall& test, const Scope& scope) {
  const Value input = evaluate(*test.input, scope);
  return apply_test(test.name, input, evaluate_arguments(test.arguments, scope));
}

Value Evaluator::evaluate(const Unary& unary, const Scope& scope) {
  const Value operand = evaluate(*unary.operand, scope);
  if (unary.op == Unary::Operator::kNot) return !is_true(operand);
  return unary.op == Unary::Operator::kMinus ? negate(operand) : negate(negate(operand));
}

Value Evaluator::evaluate(const Binary& binary, const Scope& scope) {
  const Value left = evaluate(*binary.left, scope);
  Value result = apply(binary.op, left, evaluate(*binary.right, scope));
  spend_on(result);
  return result;
}

Value Evaluator::evaluate(const Logic& logic, const Scope& scope) {
  Value left = evaluate(*logic.left, scope);
  return is_true(left) == logic.is_and ? evaluate(*logic.right, scope) : left;
}

Value Evaluator::evaluate(const Comparison& comparison, const Scope& scope) {
  Value left = evaluate(*comparison.first, scope);
  for (const auto& [op, operand] : comparison.rest) {
    Value right = evaluate(*operand, scope);
    spend_on(right);
    if (!apply(op, left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Evaluator::evaluate(const Conditional& conditional, const Scope& scope) {
  if (is_true(evaluate(*conditional.condition, scope))) return evaluate(*conditional.then, scope);
  if (conditional.otherwise) return evaluate(*conditional.otherwise, scope);
  return Undefined{"the inline if without else"};
}

}  // namespace musaic::jinja
