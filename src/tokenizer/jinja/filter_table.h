#pragma once

#include <span>
#include <string_view>

#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/value.h"

namespace musaic::jinja {

struct FilterEntry {
  std::string_view name;
  Value (*apply)(const Value& input, const Arguments& arguments, Budget& budget);
};

std::span<const FilterEntry> text_filters();
std::span<const FilterEntry> sequence_filters();
std::span<const FilterEntry> number_filters();

}  // namespace musaic::jinja
