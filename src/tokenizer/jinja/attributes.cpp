#include <algorithm>
#include <charconv>

#include "tokenizer/jinja/arguments.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/methods.h"
#include "tokenizer/jinja/text.h"

namespace musaic::jinja {
namespace {

Value pairs_of(const Dict& dict) {
  List pairs;
  for (const auto& [key, value] : dict.entries) pairs.push_back(Value(List{key, value}, true));
  return Value(std::move(pairs));
}

Value dict_items(const Value& object, const Arguments& arguments) {
  bind("items", arguments, {});
  return pairs_of(object.dict());
}

Value dict_keys(const Value& object, const Arguments& arguments) {
  bind("keys", arguments, {});
  return Value(items_of(object));
}

Value dict_values(const Value& object, const Arguments& arguments) {
  bind("values", arguments, {});
  List values;
  for (const auto& entry : object.dict().entries) values.push_back(entry.second);
  return Value(std::move(values));
}

Value dict_get(const Value& object, const Arguments& arguments) {
  const auto bound = bind("get", arguments, {"key", "default"});
  if (!bound[0]) fail("get: expected a key");
  const Value* value = object.dict().find(*bound[0]);
  return value ? *value : bound[1] ? *bound[1] : Value();
}

Value copy_of(const Value& object, const Arguments& arguments) {
  bind("copy", arguments, {});
  return object;
}

Value list_index(const Value& object, const Arguments& arguments) {
  const auto bound = bind("index", arguments, {"value"});
  if (!bound[0]) fail("index: expected a value");
  const List& items = object.list();
  for (size_t i = 0; i < items.size(); ++i) {
    if (equal(items[i], *bound[0])) return static_cast<int64_t>(i);
  }
  fail("index: the value is not in the list");
}

Value list_count(const Value& object, const Arguments& arguments) {
  const auto bound = bind("count", arguments, {"value"});
  if (!bound[0]) fail("count: expected a value");
  return static_cast<int64_t>(std::count_if(object.list().begin(), object.list().end(),
                                            [&](const Value& item) { return equal(item, *bound[0]); }));
}

Loop& loop_of(const Value& object) {
  return **object.get_if<std::shared_ptr<Loop>>();
}

Value loop_cycle(const Value& object, const Arguments& arguments) {
  if (arguments.positional.empty()) fail("loop.cycle: no items for cycling given");
  return arguments.positional[loop_of(object).index0 % arguments.positional.size()];
}

Value loop_changed(const Value& object, const Arguments& arguments) {
  Loop& loop = loop_of(object);
  const bool changed = !loop.last_changed || !equal(Value(*loop.last_changed), Value(arguments.positional));
  loop.last_changed = arguments.positional;
  return changed;
}

// Lists and dicts cannot be changed: templates run in an immutable sandbox.
Value refuse_change(const Value& object, const Arguments&) {
  fail("a template may not change a {}", type_name(object));
}

constexpr MethodEntry kDictMethods[] = {
    {"items", dict_items},      {"keys", dict_keys},      {"values", dict_values},
    {"get", dict_get},          {"copy", copy_of},        {"update", refuse_change},
    {"pop", refuse_change},     {"clear", refuse_change}, {"setdefault", refuse_change},
    {"popitem", refuse_change},
};
constexpr MethodEntry kListMethods[] = {
    {"index", list_index},     {"count", list_count},      {"copy", copy_of},
    {"append", refuse_change}, {"extend", refuse_change},  {"insert", refuse_change},
    {"pop", refuse_change},    {"remove", refuse_change},  {"clear", refuse_change},
    {"sort", refuse_change},   {"reverse", refuse_change},
};
constexpr MethodEntry kLoopMethods[] = {{"cycle", loop_cycle}, {"changed", loop_changed}};

template <class Table>
const MethodEntry* find_in(const Table& table, std::string_view name) {
  const auto found =
      std::find_if(std::begin(table), std::end(table), [&](const auto& entry) { return entry.name == name; });
  return found == std::end(table) ? nullptr : &*found;
}

Value loop_attribute(const Loop& loop, std::string_view name) {
  const auto index = static_cast<int64_t>(loop.index0);
  const auto length = static_cast<int64_t>(loop.items.size());
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "revindex") return length - index;
  if (name == "revindex0") return length - index - 1;
  if (name == "first") return index == 0;
  if (name == "last") return index == length - 1;
  if (name == "length") return length;
  if (name == "depth") return 1;  // of recursive loops, which there are none of
  if (name == "depth0") return 0;
  if (name == "previtem")
    return index > 0 ? loop.items[index - 1] : Value(Undefined{"there is no previous item"});
  if (name == "nextitem")
    return index + 1 < length ? loop.items[index + 1] : Value(Undefined{"there is no next item"});
  return Undefined{fmt::format("'loop' has no attribute '{}'", name)};
}

[[noreturn]] void fail_undefined(const Undefined& undefined) {
  fail("{} is undefined", undefined.name);
}

Value method_placeholder(std::string_view name) {
  const auto refuse = [](const Arguments&) -> Value { fail("a method must be called where it is named"); };
  return std::make_shared<const Callable>(Callable{std::string(name), refuse});
}

Value missing(const Value& object, std::string_view name) {
  return Undefined{fmt::format("'{} object' has no attribute '{}'", type_name(object), name)};
}

}  // namespace

const MethodEntry* find_method(const Value& object, std::string_view name) {
  if (object.is_text()) return find_text_method(name);
  if (object.is_dict()) return find_in(kDictMethods, name);
  if (object.is<Sequence>()) return find_in(kListMethods, name);
  return object.is<std::shared_ptr<Loop>>() ? find_in(kLoopMethods, name) : nullptr;
}

bool has_method(const Value& object, std::string_view name) {
  return find_method(object, name) != nullptr;
}

Value call_method(const Value& object, std::string_view name, const Arguments& arguments) {
  const MethodEntry* method = find_method(object, name);
  if (method == nullptr) fail("'{}' has no method '{}'", type_name(object), name);
  return method->call(object, arguments);
}

Value get_attribute(const Value& object, std::string_view name) {
  if (const auto* undefined = object.get_if<Undefined>()) fail_undefined(*undefined);
  if (has_method(object, name)) return method_placeholder(name);
  if (const auto* loop = object.get_if<std::shared_ptr<Loop>>()) return loop_attribute(**loop, name);
  const auto* space = object.get_if<std::shared_ptr<Namespace>>();
  const Value* found = space              ? (*space)->attributes.find(name)
                       : object.is_dict() ? object.dict().find(name)
                                          : nullptr;
  return found ? *found : missing(object, name);
}

Value get_item(const Value& object, const Value& key) {
  if (const auto* undefined = object.get_if<Undefined>()) fail_undefined(*undefined);
  if (auto item = find_item(object, key)) return std::move(*item);
  if (key.is_text() && !object.is_dict()) return get_attribute(object, key.text());
  if (key.is_text() && has_method(object, key.text())) return method_placeholder(key.text());
  return missing(object, to_text(key));
}

Value get_path(const Value& object, const Value& path) {
  if (!path.is_text()) return get_item(object, path);
  Value value = object;
  for (const std::string& part : split_at(path.text(), ".")) {
    int64_t index = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index = error == std::errc() && end == part.data() + part.size() && index >= 0;
    value = get_item(value, is_index ? Value(index) : Value(part));
  }
  return value;
}

}  // namespace musaic::jinja
