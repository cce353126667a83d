#include "tokenizer/jinja/value.h"

#include <algorithm>
#include <array>

#include "tokenizer/jinja/text.h"
#include "tokenizer/unicode.h"

namespace musaic::jinja {

namespace {

int one_deeper(int nesting) {
  if (nesting >= kMaxNesting) fail("a value is nested more than {} deep", kMaxNesting);
  return nesting + 1;
}

}  // namespace

int nesting_of(const Value& value) {
  if (const Sequence* sequence = value.get_if<Sequence>()) return sequence->nesting;
  if (value.is_dict()) return value.dict().nesting;
  const auto* loop = value.get_if<std::shared_ptr<Loop>>();
  return loop ? (*loop)->nesting : 0;
}

int nesting_over(const List& items) {
  int deepest = 0;
  for (const Value& item : items) deepest = std::max(deepest, nesting_of(item));
  return one_deeper(deepest);
}

Value::Value(List items, bool is_tuple) {
  if (items.size() > kMaxItems) fail("a list of {} items, at most {} are allowed", items.size(), kMaxItems);
  const int nesting = nesting_over(items);
  data_ = Sequence{std::make_shared<const List>(std::move(items)), is_tuple, nesting};
}

Value::Value(Dict dict) {
  int deepest = 0;
  for (const auto& entry : dict.entries) deepest = std::max(deepest, nesting_of(entry.second));
  dict.nesting = one_deeper(deepest);
  data_ = std::make_shared<const Dict>(std::move(dict));
}

const std::string& Value::text() const {
  return *std::get<Text>(data_);
}
const List& Value::list() const {
  return *std::get<Sequence>(data_).items;
}
const Dict& Value::dict() const {
  return *std::get<std::shared_ptr<const Dict>>(data_);
}

int64_t Value::integer() const {
  if (const bool* flag = get_if<bool>()) return *flag ? 1 : 0;
  return std::get<int64_t>(data_);
}

double Value::number() const {
  if (const double* number = get_if<double>()) return *number;
  return static_cast<double>(integer());
}

const Value* Dict::find(const Value& key) const {
  for (const auto& [name, value] : entries) {
    if (equal(name, key)) return &value;
  }
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (name.is_text() && name.text() == key) return &value;
  }
  return nullptr;
}

void Dict::set(Value key, Value value) {
  for (auto& [name, old] : entries) {
    if (!equal(name, key)) continue;
    old = std::move(value);
    return;
  }
  entries.emplace_back(std::move(key), std::move(value));
}

std::string_view type_name(const Value& value) {
  constexpr std::array<std::string_view, 11> kNames = {"Undefined", "NoneType", "bool",       "int",
                                                       "float",     "str",      "list",       "dict",
                                                       "Namespace", "function", "LoopContext"};
  const Sequence* sequence = value.get_if<Sequence>();
  return sequence && sequence->is_tuple ? "tuple" : kNames[value.data().index()];
}

bool is_true(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_number()) return value.number() != 0;
  if (value.is_text()) return !value.text().empty();
  if (value.is_list()) return !value.list().empty();
  if (value.is_dict()) return !value.dict().entries.empty();
  return true;
}

bool equal(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return a.integer() == b.integer();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.data().index() != b.data().index()) return false;
  if (a.is_text()) return a.text() == b.text();
  if (a.is_list()) {
    return a.get_if<Sequence>()->is_tuple == b.get_if<Sequence>()->is_tuple &&
           std::equal(a.list().begin(), a.list().end(), b.list().begin(), b.list().end(), equal);
  }
  if (a.is_dict()) {
    const Dict& left = a.dict();
    const Dict& right = b.dict();
    return left.entries.size() == right.entries.size() &&
           std::all_of(left.entries.begin(), left.entries.end(), [&](const auto& entry) {
             const Value* other = right.find(entry.first);
             return other && equal(entry.second, *other);
           });
  }
  if (const auto* space = a.get_if<std::shared_ptr<Namespace>>()) {
    return *space == *b.get_if<std::shared_ptr<Namespace>>();
  }
  if (const auto* callable = a.get_if<std::shared_ptr<const Callable>>()) {
    return *callable == *b.get_if<std::shared_ptr<const Callable>>();
  }
  if (const auto* loop = a.get_if<std::shared_ptr<Loop>>())
    return *loop == *b.get_if<std::shared_ptr<Loop>>();
  return true;  // both none, or both undefined
}

int compare(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer();
  if (a.is_number() && b.is_number()) return a.number() < b.number() ? -1 : a.number() > b.number();
  if (a.is_text() && b.is_text()) return a.text().compare(b.text());
  if (a.is_list() && b.is_list() && type_name(a) == type_name(b)) {
    const List& left = a.list();
    const List& right = b.list();
    for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
      if (!equal(left[i], right[i])) return compare(left[i], right[i]);
    }
    return left.size() < right.size() ? -1 : left.size() > right.size();
  }
  fail("'<' not supported between instances of '{}' and '{}'", type_name(a), type_name(b));
}

bool less(const Value& a, const Value& b) {
  return compare(a, b) < 0;
}

List items_of(const Value& value) {
  if (value.is_list()) return value.list();
  if (value.is_undefined()) return {};
  List items;
  if (value.is_text()) {
    for (const std::string_view character : characters_of(value.text())) items.emplace_back(character);
  } else if (value.is_dict()) {
    for (const auto& entry : value.dict().entries) items.push_back(entry.first);
  } else {
    fail("'{}' object is not iterable", type_name(value));
  }
  return items;
}

size_t length_of(const Value& value) {
  if (value.is_list()) return value.list().size();
  if (value.is_undefined()) return 0;
  if (value.is_text()) return count_characters(value.text());
  if (value.is_dict()) return value.dict().entries.size();
  if (const auto* loop = value.get_if<std::shared_ptr<Loop>>()) return (*loop)->items.size();
  fail("object of type '{}' has no len()", type_name(value));
}

std::optional<Value> find_item(const Value& value, const Value& key) {
  if (value.is_dict()) {
    const Value* item = value.dict().find(key);
    return item ? std::optional(*item) : std::nullopt;
  }
  if (!key.is_integer() || !(value.is_list() || value.is_text())) return std::nullopt;
  const auto length = static_cast<int64_t>(length_of(value));
  const int64_t index = key.integer() < 0 ? key.integer() + length : key.integer();
  if (index < 0 || index >= length) return std::nullopt;
  if (value.is_list()) return value.list()[index];
  const std::string_view text = value.text();
  size_t offset = 0;
  for (int64_t i = 0; i < index; ++i) offset += decode_character(text, offset).bytes;
  return Value(text.substr(offset, decode_character(text, offset).bytes));
}

}  // namespace musaic::jinja
