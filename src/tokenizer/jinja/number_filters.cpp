#include <array>
#include <charconv>
#include <cmath>

#include "tokenizer/jinja/arguments.h"
#include "tokenizer/jinja/filter_table.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/text.h"

namespace musaic::jinja {
namespace {

constexpr double kIntegerRange = 9.2e18;

template <class Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  text = strip(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  Number number{};
  std::from_chars_result result{};
  if constexpr (std::is_same_v<Number, double>) {
    result = std::from_chars(text.data(), text.data() + text.size(), number);
  } else {
    result = std::from_chars(text.data(), text.data() + text.size(), number, base);
  }
  if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size())
    return std::nullopt;
  return number;
}

// What cannot be converted becomes the default.
Value filter_int(const Value& input, const Arguments& arguments, Budget&) {
  const auto bound = bind("int", arguments, {"default", "base"});
  const Value otherwise = bound[0] ? *bound[0] : Value(0);
  if (input.is_integer()) return input.integer();
  if (input.is_number()) {
    return std::fabs(input.number()) < kIntegerRange ? Value(static_cast<int64_t>(input.number()))
                                                     : otherwise;
  }
  if (!input.is_text()) return otherwise;
  const int64_t base = integer_or(bound[1], 10, "int");
  if (base < 2 || base > 36) fail("int: base {}, expected 2 to 36", base);
  if (const auto integer = parse_number<int64_t>(input.text(), static_cast<int>(base))) return *integer;
  const auto real = parse_number<double>(input.text());
  return real && std::fabs(*real) < kIntegerRange ? Value(static_cast<int64_t>(*real)) : otherwise;
}

Value filter_float(const Value& input, const Arguments& arguments, Budget&) {
  const auto bound = bind("float", arguments, {"default"});
  if (input.is_number()) return input.number();
  const auto real = input.is_text() ? parse_number<double>(input.text()) : std::nullopt;
  if (real) return *real;
  return bound[0] ? *bound[0] : Value(0.0);
}

Value filter_abs(const Value& input, const Arguments&, Budget&) {
  if (input.is_integer()) return input.integer() < 0 ? negate(input) : Value(input.integer());
  if (!input.is_number()) fail("abs: expected a number, got '{}'", type_name(input));
  return std::fabs(input.number());
}

// Python rounds the decimal that is meant: the digits written with one more are right in almost all cases.
double round_half_even(double number, int64_t precision) {
  if (precision >= 0) return parse_number<double>(fmt::format("{:.{}f}", number, precision)).value_or(number);
  const double scale = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(number / scale) * scale;
}

Value filter_round(const Value& input, const Arguments& arguments, Budget&) {
  constexpr int64_t kMaxPrecision = 300;
  const auto bound = bind("round", arguments, {"precision", "method"});
  const int64_t precision = integer_or(bound[0], 0, "round");
  const std::string method = text_or(bound[1], "common", "round");
  if (!input.is_number()) fail("round: expected a number, got '{}'", type_name(input));
  if (precision > kMaxPrecision || precision < -kMaxPrecision)
    fail("round: precision {} is out of range", precision);
  if (method == "common") {
    if (input.is_integer() && precision >= 0) return input.integer();
    const double rounded = round_half_even(input.number(), precision);
    if (input.is_integer() && std::fabs(rounded) >= kIntegerRange)
      fail("round: the result does not fit in 64 bits");
    return input.is_integer() ? Value(static_cast<int64_t>(rounded)) : Value(rounded);
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return std::ceil(input.number() * scale) / scale;
  if (method == "floor") return std::floor(input.number() * scale) / scale;
  fail("round: method '{}', expected common, ceil or floor", method);
}

constexpr std::array kNumberFilters = {
    FilterEntry{"int", filter_int},
    FilterEntry{"float", filter_float},
    FilterEntry{"abs", filter_abs},
    FilterEntry{"round", filter_round},
};

}  // namespace

std::span<const FilterEntry> number_filters() {
  return kNumberFilters;
}

}  // namespace musaic::jinja
