#include <algorithm>
#include <array>

#include "tokenizer/jinja/arguments.h"
#include "tokenizer/jinja/filter_table.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/text.h"

namespace musaic::jinja {
namespace {

// What sorting, uniqueness, minimum and grouping compare by.
Value sort_key(const Value& item, const Value* attribute, bool case_sensitive) {
  Value key = attribute && !attribute->is_none() ? get_path(item, *attribute) : item;
  return !case_sensitive && key.is_text() ? Value(lower(key.text())) : key;
}

// Sorted by what `key_of` gives, equal ones as they were.
template <class KeyOf>
List sort_by(const List& items, KeyOf key_of, bool reverse, Budget& budget) {
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items) keyed.emplace_back(key_of(item), item);
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    budget.spend(1);
    return reverse ? less(b.first, a.first) : less(a.first, b.first);
  });
  List sorted;
  for (auto& entry : keyed) sorted.push_back(std::move(entry.second));
  return sorted;
}

Value filter_length(const Value& input, const Arguments&, Budget&) {
  return static_cast<int64_t>(length_of(input));
}

Value filter_list(const Value& input, const Arguments&, Budget&) {
  return Value(items_of(input));
}

Value filter_first(const Value& input, const Arguments&, Budget&) {
  const List items = items_of(input);
  return items.empty() ? Value(Undefined{"the first item of an empty sequence"}) : items.front();
}

Value filter_last(const Value& input, const Arguments&, Budget&) {
  const List items = items_of(input);
  return items.empty() ? Value(Undefined{"the last item of an empty sequence"}) : items.back();
}

Value filter_default(const Value& input, const Arguments& arguments, Budget&) {
  const auto bound = bind("default", arguments, {"default_value", "boolean"});
  const bool replaced = input.is_undefined() || (flag_or(bound[1], false) && !is_true(input));
  if (!replaced) return input;
  return bound[0] ? *bound[0] : Value("");
}

Value filter_join(const Value& input, const Arguments& arguments, Budget&) {
  const auto bound = bind("join", arguments, {"d", "attribute"});
  const std::string separator = bound[0] ? to_text(*bound[0]) : "";
  std::string out;
  bool first = true;
  for (const Value& item : items_of(input)) {
    if (!std::exchange(first, false)) out += separator;
    out += to_text(bound[1] ? get_path(item, *bound[1]) : item);
    check_value_bytes(out.size());
  }
  return out;
}

Value filter_reverse(const Value& input, const Arguments&, Budget&) {
  if (input.is_text()) {
    const Value step(-1);
    return slice(input, nullptr, nullptr, &step);
  }
  List items = items_of(input);
  std::reverse(items.begin(), items.end());
  return Value(std::move(items));
}

Value filter_sort(const Value& input, const Arguments& arguments, Budget& budget) {
  const auto bound = bind("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = flag_or(bound[1], false);
  const auto key_of = [&](const Value& item) { return sort_key(item, bound[2], case_sensitive); };
  return Value(sort_by(items_of(input), key_of, flag_or(bound[0], false), budget));
}

Value filter_unique(const Value& input, const Arguments& arguments, Budget& budget) {
  const auto bound = bind("unique", arguments, {"case_sensitive", "attribute"});
  List seen;
  List items;
  for (const Value& item : items_of(input)) {
    Value key = sort_key(item, bound[1], flag_or(bound[0], false));
    budget.spend(1 + seen.size());
    if (contains(Value(seen), key)) continue;
    seen.push_back(std::move(key));
    items.push_back(item);
  }
  return Value(std::move(items));
}

Value filter_dictsort(const Value& input, const Arguments& arguments, Budget& budget) {
  const auto bound = bind("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  if (!input.is_dict()) fail("dictsort: expected a dict, got '{}'", type_name(input));
  const std::string by = text_or(bound[1], "key", "dictsort");
  if (by != "key" && by != "value") fail("dictsort: by '{}', expected key or value", by);
  List pairs;
  for (const auto& [key, value] : input.dict().entries) pairs.push_back(Value(List{key, value}, true));
  const auto key_of = [&](const Value& pair) {
    return sort_key(pair.list()[by == "key" ? 0 : 1], nullptr, flag_or(bound[0], false));
  };
  return Value(sort_by(pairs, key_of, flag_or(bound[2], false), budget));
}

Value filter_items(const Value& input, const Arguments&, Budget&) {
  if (input.is_undefined()) return Value(List{});
  if (!input.is_dict()) fail("items: can only get item pairs from a mapping, got '{}'", type_name(input));
  List pairs;
  for (const auto& [key, value] : input.dict().entries) pairs.push_back(Value(List{key, value}, true));
  return Value(std::move(pairs));
}

// map(attribute = "a.b", default = x) or map("filter", arguments...)
Value filter_map(const Value& input, const Arguments& arguments, Budget& budget) {
  List out;
  if (arguments.positional.empty()) {
    const auto bound = bind("map", arguments, {"attribute", "default"});
    if (!bound[0]) fail("map: expected a filter or an attribute");
    for (const Value& item : items_of(input)) {
      budget.spend(1);
      Value value = get_path(item, *bound[0]);
      out.push_back(value.is_undefined() && bound[1] ? *bound[1] : std::move(value));
    }
    return Value(std::move(out));
  }
  const std::string name = text_or(&arguments.positional[0], "", "map");
  const Arguments rest{List(arguments.positional.begin() + 1, arguments.positional.end()), arguments.named};
  for (const Value& item : items_of(input)) {
    budget.spend(1);
    out.push_back(apply_filter(name, item, rest, budget));
  }
  return Value(std::move(out));
}

// Items for which a test, or their truth, says `wanted`.
Value select_items(const Value& input, Arguments arguments, bool by_attribute, bool wanted, Budget& budget) {
  List& positional = arguments.positional;
  if (by_attribute && positional.empty()) fail("selectattr: expected an attribute");
  const Value attribute = by_attribute ? positional[0] : Value();
  const size_t test = by_attribute ? 1 : 0;
  const std::string name = positional.size() > test ? text_or(&positional[test], "", "select") : "";
  positional.erase(positional.begin(), positional.begin() + std::min(positional.size(), test + 1));
  List out;
  for (const Value& item : items_of(input)) {
    budget.spend(1);
    const Value tested = by_attribute ? get_path(item, attribute) : item;
    if ((name.empty() ? is_true(tested) : apply_test(name, tested, arguments)) == wanted) out.push_back(item);
  }
  return Value(std::move(out));
}

Value filter_select(const Value& input, const Arguments& arguments, Budget& budget) {
  return select_items(input, arguments, false, true, budget);
}
Value filter_reject(const Value& input, const Arguments& arguments, Budget& budget) {
  return select_items(input, arguments, false, false, budget);
}
Value filter_selectattr(const Value& input, const Arguments& arguments, Budget& budget) {
  return select_items(input, arguments, true, true, budget);
}
Value filter_rejectattr(const Value& input, const Arguments& arguments, Budget& budget) {
  return select_items(input, arguments, true, false, budget);
}

Value extreme(std::string_view name, const Value& input, const Arguments& arguments, bool largest) {
  const auto bound = bind(name, arguments, {"case_sensitive", "attribute"});
  const List items = items_of(input);
  if (items.empty()) return Undefined{"no aggregated item, the sequence was empty"};
  const auto key_of = [&](const Value& item) { return sort_key(item, bound[1], flag_or(bound[0], false)); };
  const Value* best = &items[0];
  for (const Value& item : items) {
    if (largest ? less(key_of(*best), key_of(item)) : less(key_of(item), key_of(*best))) best = &item;
  }
  return *best;
}

Value filter_min(const Value& input, const Arguments& arguments, Budget&) {
  return extreme("min", input, arguments, false);
}
Value filter_max(const Value& input, const Arguments& arguments, Budget&) {
  return extreme("max", input, arguments, true);
}

Value filter_sum(const Value& input, const Arguments& arguments, Budget& budget) {
  const auto bound = bind("sum", arguments, {"attribute", "start"});
  Value sum = bound[1] ? *bound[1] : Value(0);
  for (const Value& item : items_of(input)) {
    budget.spend(1);
    sum =
        apply(BinaryOperator::kAdd, sum, bound[0] && !bound[0]->is_none() ? get_path(item, *bound[0]) : item);
  }
  return sum;
}

Value filter_batch(const Value& input, const Arguments& arguments, Budget&) {
  const auto bound = bind("batch", arguments, {"linecount", "fill_with"});
  const int64_t size = integer_or(bound[0], 0, "batch");
  if (size < 1 || size > static_cast<int64_t>(kMaxItems)) fail("batch: size {}, expected at least 1", size);
  List batches;
  List current;
  for (const Value& item : items_of(input)) {
    if (static_cast<int64_t>(current.size()) == size) batches.push_back(Value(std::exchange(current, {})));
    current.push_back(item);
  }
  if (!current.empty()) {
    if (bound[1] && !bound[1]->is_none()) current.resize(size, *bound[1]);
    batches.push_back(Value(std::move(current)));
  }
  return Value(std::move(batches));
}

Value filter_slice(const Value& input, const Arguments& arguments, Budget&) {
  const auto bound = bind("slice", arguments, {"slices", "fill_with"});
  const int64_t slices = integer_or(bound[0], 0, "slice");
  if (slices < 1 || slices > static_cast<int64_t>(kMaxItems))
    fail("slice: {} slices, expected at least 1", slices);
  const List items = items_of(input);
  const auto count = static_cast<int64_t>(items.size());
  const bool fills = bound[1] && !bound[1]->is_none();
  List out;
  for (int64_t i = 0, begin = 0; i < slices; ++i) {
    const int64_t size = count / slices + (i < count % slices ? 1 : 0);
    List part(items.begin() + begin, items.begin() + begin + size);
    if (fills && i >= count % slices) part.push_back(*bound[1]);
    out.push_back(Value(std::move(part)));
    begin += size;
  }
  return Value(std::move(out));
}

Value filter_groupby(const Value& input, const Arguments& arguments, Budget& budget) {
  const auto bound = bind("groupby", arguments, {"attribute", "default", "case_sensitive"});
  if (!bound[0]) fail("groupby: expected an attribute");
  const auto value_of = [&](const Value& item) {
    Value value = get_path(item, *bound[0]);
    return value.is_undefined() && bound[1] ? *bound[1] : value;
  };
  const auto key_of = [&](const Value& item) {
    return sort_key(value_of(item), nullptr, flag_or(bound[2], false));
  };
  List groups;
  List current;
  const auto close = [&] {
    if (current.empty()) return;
    Value name = value_of(current.front());
    groups.push_back(Value(List{std::move(name), Value(std::exchange(current, {}))}, true));
  };
  for (const Value& item : sort_by(items_of(input), key_of, false, budget)) {
    if (!current.empty() && !equal(key_of(current.back()), key_of(item))) close();
    current.push_back(item);
  }
  close();
  return Value(std::move(groups));
}

Value filter_attr(const Value& input, const Arguments& arguments, Budget&) {
  const auto bound = bind("attr", arguments, {"name"});
  const std::string name = text_or(bound[0], "", "attr");
  return input.is_dict() ? Value(Undefined{name}) : get_attribute(input, name);
}

constexpr std::array kSequenceFilters = {
    FilterEntry{"length", filter_length},
    FilterEntry{"count", filter_length},
    FilterEntry{"list", filter_list},
    FilterEntry{"first", filter_first},
    FilterEntry{"last", filter_last},
    FilterEntry{"default", filter_default},
    FilterEntry{"d", filter_default},
    FilterEntry{"join", filter_join},
    FilterEntry{"reverse", filter_reverse},
    FilterEntry{"sort", filter_sort},
    FilterEntry{"unique", filter_unique},
    FilterEntry{"dictsort", filter_dictsort},
    FilterEntry{"items", filter_items},
    FilterEntry{"map", filter_map},
    FilterEntry{"select", filter_select},
    FilterEntry{"reject", filter_reject},
    FilterEntry{"selectattr", filter_selectattr},
    FilterEntry{"rejectattr", filter_rejectattr},
    FilterEntry{"min", filter_min},
    FilterEntry{"max", filter_max},
    FilterEntry{"sum", filter_sum},
    FilterEntry{"batch", filter_batch},
    FilterEntry{"slice", filter_slice},
    FilterEntry{"groupby", filter_groupby},
    FilterEntry{"attr", filter_attr},
};

}  // namespace

std::span<const FilterEntry> sequence_filters() {
  return kSequenceFilters;
}

}  // namespace musaic::jinja
