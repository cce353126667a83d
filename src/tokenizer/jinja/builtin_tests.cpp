#include <algorithm>
#include <array>

#include "tokenizer/jinja/arguments.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/text.h"

namespace musaic::jinja {
namespace {

bool is_space_free_case(const Value& value, std::string (*mapped)(std::string_view)) {
  const std::string text = to_text(value);
  return text == mapped(text) && upper(text) != lower(text);
}

bool is_iterable(const Value& value) {
  return value.is_list() || value.is_text() || value.is_dict() || value.is_undefined() ||
         value.is<std::shared_ptr<Loop>>();
}

bool is_divisible(const Value& value, const Value& by) {
  const Value rest = apply(BinaryOperator::kModulo, value, by);
  return rest.number() == 0;
}

bool is_same(const Value& a, const Value& b) {
  return type_name(a) == type_name(b) && equal(a, b);
}

bool is_number(const Value& value) {
  return value.is_number();
}

struct TestEntry {
  std::string_view name;
  bool (*apply)(const Value& value);
};
struct BinaryTestEntry {
  std::string_view name;
  bool (*apply)(const Value& value, const Value& argument);
};

template <CompareOperator op>
bool compares(const Value& value, const Value& argument) {
  return apply(op, value, argument);
}

constexpr TestEntry kTests[] = {
    {"defined", [](const Value& v) { return !v.is_undefined(); }},
    {"undefined", [](const Value& v) { return v.is_undefined(); }},
    {"none", [](const Value& v) { return v.is_none(); }},
    {"string", [](const Value& v) { return v.is_text(); }},
    {"mapping", [](const Value& v) { return v.is_dict(); }},
    {"iterable", is_iterable},
    {"sequence",
     [](const Value& v) { return v.is_list() || v.is_text() || v.is_dict() || v.is_undefined(); }},
    {"number", is_number},
    {"integer", [](const Value& v) { return v.is<int64_t>(); }},
    {"float", [](const Value& v) { return v.is<double>(); }},
    {"boolean", [](const Value& v) { return v.is<bool>(); }},
    {"true", [](const Value& v) { return v.is<bool>() && is_true(v); }},
    {"false", [](const Value& v) { return v.is<bool>() && !is_true(v); }},
    {"odd", [](const Value& v) { return !is_divisible(v, Value(2)); }},
    {"even", [](const Value& v) { return is_divisible(v, Value(2)); }},
    {"lower", [](const Value& v) { return is_space_free_case(v, lower); }},
    {"upper", [](const Value& v) { return is_space_free_case(v, upper); }},
    {"callable", [](const Value& v) { return v.is<std::shared_ptr<const Callable>>(); }},
    {"escaped", [](const Value&) { return false; }},
    {"filter", [](const Value& v) { return v.is_text() && is_filter(v.text()); }},
    {"test", [](const Value& v) { return v.is_text() && is_test(v.text()); }},
};

constexpr BinaryTestEntry kBinaryTests[] = {
    {"in", [](const Value& v, const Value& container) { return contains(container, v); }},
    {"divisibleby", is_divisible},
    {"sameas", is_same},
    {"eq", compares<CompareOperator::kEqual>},
    {"equalto", compares<CompareOperator::kEqual>},
    {"==", compares<CompareOperator::kEqual>},
    {"ne", compares<CompareOperator::kNotEqual>},
    {"!=", compares<CompareOperator::kNotEqual>},
    {"lt", compares<CompareOperator::kLess>},
    {"lessthan", compares<CompareOperator::kLess>},
    {"<", compares<CompareOperator::kLess>},
    {"le", compares<CompareOperator::kLessEqual>},
    {"<=", compares<CompareOperator::kLessEqual>},
    {"gt", compares<CompareOperator::kGreater>},
    {"greaterthan", compares<CompareOperator::kGreater>},
    {">", compares<CompareOperator::kGreater>},
    {"ge", compares<CompareOperator::kGreaterEqual>},
    {">=", compares<CompareOperator::kGreaterEqual>},
};

template <class Table>
auto find_entry(const Table& table, std::string_view name) {
  const auto found =
      std::find_if(std::begin(table), std::end(table), [&](const auto& entry) { return entry.name == name; });
  return found == std::end(table) ? nullptr : &*found;
}

}  // namespace

bool is_test(std::string_view name) {
  return find_entry(kTests, name) || find_entry(kBinaryTests, name);
}

bool apply_test(std::string_view name, const Value& input, const Arguments& arguments) {
  if (const TestEntry* test = find_entry(kTests, name)) {
    bind(name, arguments, {});
    return test->apply(input);
  }
  const BinaryTestEntry* test = find_entry(kBinaryTests, name);
  if (test == nullptr) fail("no test named '{}'", name);
  const auto bound = bind(name, arguments, {"other"});
  if (bound[0] == nullptr) fail("test '{}': expected an argument", name);
  return test->apply(input, *bound[0]);
}

}  // namespace musaic::jinja
