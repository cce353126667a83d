#include <cmath>
#include <string_view>

#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/text.h"

namespace musaic::jinja {
namespace {

constexpr int kMaxWidth = 10'000;

struct Specification {
  bool left = false, zeros = false, sign = false;
  int width = 0;
  int precision = -1;
  char kind = 's';
};

int read_number(std::string_view format, size_t& at) {
  int number = 0;
  for (; at < format.size() && format[at] >= '0' && format[at] <= '9'; ++at) {
    number = number * 10 + (format[at] - '0');
    if (number > kMaxWidth) fail("format: a width above {}", kMaxWidth);
  }
  return number;
}

Specification read_specification(std::string_view format, size_t& at) {
  Specification spec;
  for (; at < format.size() && (format[at] == '-' || format[at] == '0' || format[at] == '+'); ++at) {
    spec.left |= format[at] == '-';
    spec.zeros |= format[at] == '0';
    spec.sign |= format[at] == '+';
  }
  spec.width = read_number(format, at);
  if (at < format.size() && format[at] == '.') spec.precision = read_number(format, ++at);
  if (at >= format.size()) fail("format: incomplete specification");
  spec.kind = format[at++];
  return spec;
}

std::string format_number(const Specification& spec, const Value& value) {
  if (!value.is_number()) fail("format: %{} needs a number, got '{}'", spec.kind, type_name(value));
  const bool is_real = spec.kind == 'f' || spec.kind == 'F';
  if (is_real) {
    const int precision = spec.precision < 0 ? 6 : spec.precision;
    return spec.sign ? fmt::format("{:+.{}f}", value.number(), precision)
                     : fmt::format("{:.{}f}", value.number(), precision);
  }
  if (!value.is_integer() && !(std::abs(value.number()) < 9e18))
    fail("format: %{} of a number out of range", spec.kind);
  const int64_t number = value.is_integer() ? value.integer() : static_cast<int64_t>(value.number());
  if (spec.kind == 'x') return fmt::format("{:x}", number);
  return spec.sign ? fmt::format("{:+}", number) : std::to_string(number);
}

std::string format_value(const Specification& spec, const Value& value) {
  switch (spec.kind) {
    case 'd':
    case 'i':
    case 'x':
    case 'f':
    case 'F':
      return format_number(spec, value);
    case 's':
    case 'r': {
      const std::string text = spec.kind == 's' ? to_text(value) : to_repr(value);
      if (spec.precision < 0) return text;
      const Value limit(spec.precision);
      return slice(Value(text), nullptr, &limit, nullptr).text();
    }
    default:
      fail("format: unsupported character '{}'", spec.kind);
  }
}

std::string pad(std::string text, const Specification& spec) {
  const int missing = spec.width - static_cast<int>(count_characters(text));
  if (missing <= 0) return text;
  if (spec.left) return text + std::string(missing, ' ');
  const bool is_number = spec.kind != 's' && spec.kind != 'r';
  if (!spec.zeros || !is_number) return std::string(missing, ' ') + text;
  const size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  return text.insert(sign, std::string(missing, '0'));
}

}  // namespace

std::string format_percent(const std::string& format, const List& values) {
  std::string out;
  size_t used = 0;
  for (size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      out += format[at++];
      continue;
    }
    ++at;
    if (at < format.size() && format[at] == '%') {
      out += format[at++];
      continue;
    }
    const Specification spec = read_specification(format, at);
    if (used >= values.size()) fail("format: not enough arguments");
    out += pad(format_value(spec, values[used++]), spec);
    check_value_bytes(out.size());
  }
  if (used < values.size()) fail("format: not all arguments were used");
  return out;
}

}  // namespace musaic::jinja
