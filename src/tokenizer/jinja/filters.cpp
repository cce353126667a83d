#include "tokenizer/jinja/filters.h"

#include <algorithm>

#include "tokenizer/jinja/filter_table.h"

namespace musaic::jinja {
namespace {

const FilterEntry* find_filter(std::string_view name) {
  for (const auto table : {text_filters(), sequence_filters(), number_filters()}) {
    for (const FilterEntry& entry : table) {
      if (entry.name == name) return &entry;
    }
  }
  return nullptr;
}

size_t bytes_of(const Value& value) {
  return value.is_text() ? value.text().size() : value.is_list() ? value.list().size() * sizeof(Value) : 0;
}

}  // namespace

bool is_filter(std::string_view name) {
  return find_filter(name) != nullptr;
}

Value apply_filter(std::string_view name, const Value& input, const Arguments& arguments, Budget& budget) {
  const FilterEntry* filter = find_filter(name);
  if (filter == nullptr) fail("no filter named '{}'", name);
  budget.spend_bytes(bytes_of(input));
  Value result = filter->apply(input, arguments, budget);
  budget.spend_bytes(bytes_of(result));
  return result;
}

}  // namespace musaic::jinja
