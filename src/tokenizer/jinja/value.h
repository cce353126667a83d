#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tokenizer/jinja/limits.h"

namespace musaic::jinja {

class Value;
struct Dict;
struct Namespace;
struct Callable;
struct Loop;
using List = std::vector<Value>;

struct Undefined {
  std::string name;  // what was looked for
};
struct None {};
struct Sequence {  // immutable: templates run as in an immutable sandbox
  std::shared_ptr<const List> items;
  bool is_tuple = false;
  int nesting = 0;
};

// A value of the template language, as Python has them. Cheap to copy: what is large is shared.
class Value {
 public:
  using Text = std::shared_ptr<const std::string>;
  using Variant =
      std::variant<Undefined, None, bool, int64_t, double, Text, Sequence, std::shared_ptr<const Dict>,
                   std::shared_ptr<Namespace>, std::shared_ptr<const Callable>, std::shared_ptr<Loop>>;

  Value() : data_(None{}) {}
  Value(Undefined undefined) : data_(std::move(undefined)) {}
  Value(bool value) : data_(value) {}
  Value(int value) : data_(int64_t{value}) {}
  Value(int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(std::string text) : data_(std::make_shared<const std::string>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(List items, bool is_tuple = false);  // both fail when nested too deep
  Value(Dict dict);
  Value(std::shared_ptr<Namespace> space) : data_(std::move(space)) {}
  Value(std::shared_ptr<const Callable> callable) : data_(std::move(callable)) {}
  Value(std::shared_ptr<Loop> loop) : data_(std::move(loop)) {}

  template <class T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&data_);
  }
  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  bool is_text() const { return is<Text>(); }
  bool is_list() const { return is<Sequence>(); }  // or tuple
  bool is_dict() const { return is<std::shared_ptr<const Dict>>(); }
  bool is_number() const { return is<int64_t>() || is<double>() || is<bool>(); }
  bool is_integer() const { return is<int64_t>() || is<bool>(); }

  const std::string& text() const;  // REQUIRES: is_text()
  const List& list() const;         // REQUIRES: is_list()
  const Dict& dict() const;         // REQUIRES: is_dict()
  int64_t integer() const;          // REQUIRES: is_integer()
  double number() const;            // REQUIRES: is_number()

  const Variant& data() const { return data_; }

 private:
  Variant data_;
};

struct Dict {
  std::vector<std::pair<Value, Value>> entries;  // in the order of insertion
  int nesting = 0;                               // set when it becomes a Value

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(Value key, Value value);
};

struct Namespace {
  Dict attributes;
};

struct Arguments {
  List positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Callable {
  std::string name;
  std::function<Value(const Arguments&)> call;
};

// `loop` within a for block.
struct Loop {
  List items;
  int nesting = 0;
  size_t index0 = 0;
  std::optional<List> last_changed;  // arguments of loop.changed()
};

// How deep lists and dicts lie in one another, this one included. Values that would be nested too deep cannot
// be made: so recursion over values, and their destruction, is bounded.
int nesting_of(const Value& value);
int nesting_over(const List& items);

// Python's name of the type: "str", "int", "list".
std::string_view type_name(const Value& value);

bool is_true(const Value& value);
bool equal(const Value& a, const Value& b);
// Negative, 0 or positive; fails for types that have no order. NaN is below nothing.
int compare(const Value& a, const Value& b);
bool less(const Value& a, const Value& b);

std::string to_text(const Value& value);  // str()
std::string to_repr(const Value& value);  // repr()
std::string number_repr(double number);

// Items of a list, characters of a text, keys of a dict; none of an undefined. Fails for other types.
List items_of(const Value& value);
size_t length_of(const Value& value);

// `value[key]`; nullopt when there is none.
std::optional<Value> find_item(const Value& value, const Value& key);

}  // namespace musaic::jinja
