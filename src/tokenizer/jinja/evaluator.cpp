#include "tokenizer/jinja/evaluator.h"

#include <algorithm>
#include <utility>

#include "tokenizer/jinja/evaluator_frames.h"
#include "tokenizer/jinja/globals.h"

namespace musaic::jinja {

Evaluator::Evaluator(const Dict& context, std::time_t now) : globals_(nullptr) {
  live_scopes_.push_back(globals_.id());
  define_globals(now);
  for (const auto& [name, value] : context.entries) globals_.set(name.text(), value);
}

Evaluator::~Evaluator() {
  for (const auto& space : namespaces_) space->attributes.entries.clear();
}

void Evaluator::define_globals(std::time_t now) {
  for (Callable& function : make_globals(now, budget_)) {
    const std::string name = function.name;
    globals_.set(name, std::make_shared<const Callable>(std::move(function)));
  }
  const auto make = [this](const Arguments& arguments) { return make_namespace(arguments); };
  globals_.set("namespace", std::make_shared<const Callable>(Callable{"namespace", make}));
}

// namespace(a = 1) or namespace({"a": 1})
Value Evaluator::make_namespace(const Arguments& arguments) {
  auto space = std::make_shared<Namespace>();
  for (const Value& argument : arguments.positional) {
    if (!argument.is_dict()) fail("namespace: expected a mapping, got '{}'", type_name(argument));
    for (const auto& [name, value] : argument.dict().entries) space->attributes.set(name, value);
  }
  for (const auto& [name, value] : arguments.named) space->attributes.set(name, value);
  namespaces_.push_back(space);
  return space;
}

std::string Evaluator::render(const Body& body) {
  Frame frame(*this, globals_);
  run(body, frame.scope());
  return std::move(out_);
}

void Evaluator::write(std::string_view text) {
  budget_.spend_bytes(text.size());
  check_value_bytes(out_.size() + text.size());
  out_ += text;
}

Evaluator::Flow Evaluator::run(const Body& body, Scope& scope) {
  for (const Statement& statement : body) {
    if (const Flow flow = run(statement, scope); flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::run(const Statement& statement, Scope& scope) {
  const Depth depth(*this);
  budget_.spend(1);
  try {
    return std::visit([&](const auto& node) { return run(node, scope); }, statement.node);
  } catch (const PlacedError&) {
    throw;
  } catch (const RaisedException&) {
    throw;
  } catch (const TemplateError& error) {
    throw PlacedError(fmt::format("line {}: {}", statement.line, error.what()));
  }
}

Evaluator::Flow Evaluator::run(const Data& data, Scope&) {
  write(data.text);
  return Flow::kNext;
}

Evaluator::Flow Evaluator::run(const Output& output, Scope& scope) {
  const Value value = evaluate(*output.value, scope);
  if (value.is_text()) {
    write(value.text());
  } else {
    write(to_text(value));
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::run(const If& statement, Scope& scope) {
  for (const auto& [condition, body] : statement.branches) {
    if (is_true(evaluate(*condition, scope))) return run(body, scope);
  }
  return run(statement.otherwise, scope);
}

// The items that pass the loop's condition.
List Evaluator::loop_items(const For& statement, Scope& scope) {
  List items = items_of(evaluate(*statement.iterable, scope));
  budget_.spend(items.size());
  if (!statement.condition) return items;
  List kept;
  for (Value& item : items) {
    Frame frame(*this, scope);
    assign(statement.target, item, frame.scope());
    if (is_true(evaluate(*statement.condition, frame.scope()))) kept.push_back(std::move(item));
  }
  return kept;
}

Evaluator::Flow Evaluator::run(const For& statement, Scope& scope) {
  const auto loop = std::make_shared<Loop>();
  loop->items = loop_items(statement, scope);
  loop->nesting = nesting_over(loop->items);
  if (loop->items.empty()) return run(statement.otherwise, scope);
  for (loop->index0 = 0; loop->index0 < loop->items.size(); ++loop->index0) {
    Frame frame(*this, scope);
    frame.scope().set("loop", loop);
    assign(statement.target, loop->items[loop->index0], frame.scope());
    budget_.spend(1);
    if (run(statement.body, frame.scope()) == Flow::kBreak) break;
  }
  loop->last_changed.reset();
  return Flow::kNext;
}

void Evaluator::assign(const Target& target, const Value& value, Scope& scope) {
  if (!target.parts.empty()) {
    const List items = items_of(value);
    if (items.size() != target.parts.size()) {
      fail("cannot unpack {} values into {} names", items.size(), target.parts.size());
    }
    for (size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i], scope);
  } else if (target.attribute.empty()) {
    scope.set(target.name, value);
  } else {
    const Value* object = scope.find(target.name);
    const auto* space = object ? object->get_if<std::shared_ptr<Namespace>>() : nullptr;
    if (space == nullptr) fail("cannot assign an attribute of '{}', which is no namespace", target.name);
    (*space)->attributes.set(Value(target.attribute), value);
  }
}

Evaluator::Flow Evaluator::run(const Set& statement, Scope& scope) {
  assign(statement.target, evaluate(*statement.value, scope), scope);
  return Flow::kNext;
}

std::string Evaluator::capture(const Body& body, Scope& scope) {
  std::string outer = std::exchange(out_, {});
  run(body, scope);
  return std::exchange(out_, std::move(outer));
}

Evaluator::Flow Evaluator::run(const SetBlock& statement, Scope& scope) {
  Frame frame(*this, scope);
  std::string text = capture(statement.body, frame.scope());
  const Value value = statement.filters ? evaluate_filters(*statement.filters, std::move(text), scope)
                                        : Value(std::move(text));
  assign(statement.target, value, scope);
  return Flow::kNext;
}

Evaluator::Flow Evaluator::run(const With& statement, Scope& scope) {
  Frame frame(*this, scope);
  for (const auto& [target, value] : statement.values) assign(target, evaluate(*value, scope), frame.scope());
  return run(statement.body, frame.scope());
}

Evaluator::Flow Evaluator::run(const Macro& macro, Scope& scope) {
  scope.set(macro.name, make_macro(macro, scope));
  return Flow::kNext;
}

Value Evaluator::make_macro(const Macro& macro, const Scope& scope) {
  const auto call = [this, &macro, &scope, id = scope.id()](const Arguments& arguments) {
    const bool is_live = std::binary_search(live_scopes_.begin(), live_scopes_.end(), id);
    if (!is_live) fail("macro '{}' is called after the end of the block that defines it", macro.name);
    return call_macro(macro, scope, arguments);
  };
  return std::make_shared<const Callable>(Callable{macro.name, call});
}

Value Evaluator::call_macro(const Macro& macro, const Scope& scope, const Arguments& arguments) {
  const Depth depth(*this);
  Frame frame(*this, scope);
  bind_parameters(macro, arguments, frame.scope());
  return capture(macro.body, frame.scope());
}

void Evaluator::bind_parameters(const Macro& macro, const Arguments& arguments, Scope& scope) {
  const size_t given = std::min(arguments.positional.size(), macro.parameters.size());
  if (arguments.positional.size() > macro.parameters.size() && !macro.uses_varargs) {
    fail("macro '{}' takes not more than {} arguments", macro.name, macro.parameters.size());
  }
  Dict others;
  for (const auto& [name, value] : arguments.named) {
    const auto parameter = std::find_if(macro.parameters.begin(), macro.parameters.end(),
                                        [&](const Parameter& known) { return known.name == name; });
    const bool is_taken = parameter - macro.parameters.begin() < static_cast<ptrdiff_t>(given);
    if (parameter != macro.parameters.end() && is_taken) {
      fail("macro '{}' got two values for the argument '{}'", macro.name, name);
    }
    if (parameter != macro.parameters.end() || name == "caller") {
      scope.set(name, value);
    } else if (macro.uses_kwargs) {
      others.set(Value(name), value);
    } else {
      fail("macro '{}' takes no keyword argument '{}'", macro.name, name);
    }
  }
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    const auto is_named = [&](const auto& entry) { return entry.first == parameter.name; };
    if (i < given) {
      scope.set(parameter.name, arguments.positional[i]);
    } else if (std::none_of(arguments.named.begin(), arguments.named.end(), is_named)) {
      scope.set(parameter.name,
                parameter.otherwise
                    ? evaluate(*parameter.otherwise, scope)
                    : Value(Undefined{"parameter '" + parameter.name + "' was not provided and"}));
    }
  }
  if (macro.uses_varargs) {
    scope.set("varargs", Value(List(arguments.positional.begin() + given, arguments.positional.end()), true));
  }
  if (macro.uses_kwargs) scope.set("kwargs", Value(std::move(others)));
}

Evaluator::Flow Evaluator::run(const CallBlock& block, Scope& scope) {
  const Call& call = std::get<Call>(block.call->node);
  const Value callee = evaluate(*call.callee, scope);
  Arguments arguments = evaluate_arguments(call.arguments, scope);
  arguments.named.emplace_back("caller", make_macro(block.caller, scope));
  write(to_text(call_value(callee, arguments)));
  return Flow::kNext;
}

Evaluator::Flow Evaluator::run(const FilterBlock& block, Scope& scope) {
  Frame frame(*this, scope);
  write(to_text(evaluate_filters(*block.filters, capture(block.body, frame.scope()), scope)));
  return Flow::kNext;
}

Evaluator::Flow Evaluator::run(const Block& block, Scope& scope) {
  Frame frame(*this, scope);
  return run(block.body, frame.scope());
}

}  // namespace musaic::jinja
