#include "tokenizer/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "tokenizer/jinja/text.h"

namespace musaic::jinja {
namespace {

constexpr std::string_view symbol_of(BinaryOperator op) {
  constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**", "~"};
  return kSymbols[static_cast<size_t>(op)];
}

[[noreturn]] void fail_operands(BinaryOperator op, const Value& left, const Value& right) {
  for (const Value* value : {&left, &right}) {
    if (const auto* undefined = value->get_if<Undefined>()) fail("{} is undefined", undefined->name);
  }
  fail("unsupported operand types for {}: '{}' and '{}'", symbol_of(op), type_name(left), type_name(right));
}

[[noreturn]] void fail_overflow() {
  fail("an integer does not fit in 64 bits");
}

int64_t add(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) fail_overflow();
  return sum;
}

int64_t subtract(int64_t a, int64_t b) {
  int64_t difference = 0;
  if (__builtin_sub_overflow(a, b, &difference)) fail_overflow();
  return difference;
}

int64_t multiply(int64_t a, int64_t b) {
  int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) fail_overflow();
  return product;
}

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == 0) fail("division by zero");
  if (b == -1) return subtract(0, a);
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; --exponent) {
    result = multiply(result, base);
    if (result == 0 || result == 1) break;
    if (result == -1) return exponent % 2 == 1 ? -1 : 1;
  }
  return result;
}

Value apply_integers(BinaryOperator op, int64_t a, int64_t b) {
  switch (op) {
    case BinaryOperator::kAdd:
      return add(a, b);
    case BinaryOperator::kSubtract:
      return subtract(a, b);
    case BinaryOperator::kMultiply:
      return multiply(a, b);
    case BinaryOperator::kFloorDivide:
      return floor_divide(a, b);
    case BinaryOperator::kModulo:
      return b == -1 ? int64_t{0} : a - floor_divide(a, b) * b;
    case BinaryOperator::kPower:
      if (b >= 0) return power(a, b);
      [[fallthrough]];
    default:
      break;
  }
  if (op == BinaryOperator::kPower && a == 0) fail("0 cannot be raised to a negative power");
  if (op == BinaryOperator::kPower) return std::pow(static_cast<double>(a), static_cast<double>(b));
  if (b == 0) fail("division by zero");
  return static_cast<double>(a) / static_cast<double>(b);
}

Value apply_numbers(BinaryOperator op, double a, double b) {
  const bool divides =
      op == BinaryOperator::kDivide || op == BinaryOperator::kFloorDivide || op == BinaryOperator::kModulo;
  if (divides && b == 0) fail("division by zero");
  switch (op) {
    case BinaryOperator::kAdd:
      return a + b;
    case BinaryOperator::kSubtract:
      return a - b;
    case BinaryOperator::kMultiply:
      return a * b;
    case BinaryOperator::kDivide:
      return a / b;
    case BinaryOperator::kFloorDivide:
      return std::floor(a / b);
    case BinaryOperator::kModulo: {
      const double rest = std::fmod(a, b);
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
    default:
      return std::pow(a, b);
  }
}

List repeat_list(const List& items, int64_t times) {
  List out;
  for (int64_t i = 0; i < times && !items.empty(); ++i) {
    if (out.size() + items.size() > kMaxItems) fail("a list of more than {} items", kMaxItems);
    out.insert(out.end(), items.begin(), items.end());
  }
  return out;
}

Value concatenate_lists(const Value& left, const Value& right) {
  List items = left.list();
  items.insert(items.end(), right.list().begin(), right.list().end());
  return Value(std::move(items), left.get_if<Sequence>()->is_tuple);
}

Value multiply_sequence(const Value& sequence, int64_t times) {
  if (sequence.is_text()) return repeat(sequence.text(), times);
  return Value(repeat_list(sequence.list(), times), sequence.get_if<Sequence>()->is_tuple);
}

Value concatenate(const Value& left, const Value& right) {
  std::string text = to_text(left);
  text += to_text(right);
  check_value_bytes(text.size());
  return text;
}

struct SliceBounds {
  int64_t begin, end, step;
};

SliceBounds clamp_slice(const Value* begin, const Value* end, const Value* step, int64_t length) {
  const auto number = [](const Value* value, int64_t otherwise) {
    if (value == nullptr || value->is_none()) return otherwise;
    if (!value->is_integer()) fail("slice bounds must be integers, got '{}'", type_name(*value));
    return value->integer();
  };
  SliceBounds bounds{};
  bounds.step = number(step, 1);
  if (bounds.step == 0) fail("slice step cannot be zero");
  const bool backwards = bounds.step < 0;
  const int64_t low = backwards ? -1 : 0;
  const int64_t high = backwards ? length - 1 : length;
  const auto clamp = [&](int64_t index) { return std::clamp(index < 0 ? index + length : index, low, high); };
  const auto bound = [&](const Value* value, int64_t otherwise) {
    return value == nullptr || value->is_none() ? otherwise : clamp(number(value, 0));
  };
  bounds.begin = bound(begin, backwards ? high : low);
  bounds.end = bound(end, backwards ? low : high);
  return bounds;
}

template <class Take>
void for_each_index(const SliceBounds& bounds, Take take) {
  if (bounds.step > 0) {
    for (int64_t i = bounds.begin; i < bounds.end;) {
      take(i);
      if (bounds.step >= bounds.end - i) break;
      i += bounds.step;
    }
  } else {
    for (int64_t i = bounds.begin; i > bounds.end;) {
      take(i);
      if (bounds.step <= bounds.end - i) break;
      i += bounds.step;
    }
  }
}

}  // namespace

Value apply(BinaryOperator op, const Value& left, const Value& right) {
  if (op == BinaryOperator::kConcatenate) return concatenate(left, right);
  if (left.is_integer() && right.is_integer()) return apply_integers(op, left.integer(), right.integer());
  if (left.is_number() && right.is_number()) return apply_numbers(op, left.number(), right.number());
  if (op == BinaryOperator::kAdd && left.is_text() && right.is_text()) return concatenate(left, right);
  if (op == BinaryOperator::kAdd && left.is_list() && type_name(left) == type_name(right)) {
    return concatenate_lists(left, right);
  }
  const auto is_sequence = [](const Value& value) { return value.is_text() || value.is_list(); };
  if (op == BinaryOperator::kMultiply && is_sequence(left) && right.is_integer()) {
    return multiply_sequence(left, right.integer());
  }
  if (op == BinaryOperator::kMultiply && left.is_integer() && is_sequence(right)) {
    return multiply_sequence(right, left.integer());
  }
  if (op == BinaryOperator::kModulo && left.is_text()) {
    const Sequence* values = right.get_if<Sequence>();
    return format_percent(left.text(), values && values->is_tuple ? *values->items : List{right});
  }
  fail_operands(op, left, right);
}

Value negate(const Value& value) {
  if (value.is_integer()) return apply_integers(BinaryOperator::kSubtract, 0, value.integer());
  if (value.is_number()) return -value.number();
  if (const auto* undefined = value.get_if<Undefined>()) fail("{} is undefined", undefined->name);
  fail("bad operand type for -: '{}'", type_name(value));
}

bool contains(const Value& container, const Value& item) {
  if (container.is_text()) {
    if (!item.is_text()) fail("'in <string>' requires string as left operand, not {}", type_name(item));
    return container.text().find(item.text()) != std::string::npos;
  }
  if (container.is_dict()) return container.dict().find(item) != nullptr;
  if (container.is_list()) {
    return std::any_of(container.list().begin(), container.list().end(),
                       [&](const Value& other) { return equal(other, item); });
  }
  if (container.is_undefined()) return false;
  fail("argument of type '{}' is not iterable", type_name(container));
}

bool apply(CompareOperator op, const Value& left, const Value& right) {
  switch (op) {
    case CompareOperator::kEqual:
      return equal(left, right);
    case CompareOperator::kNotEqual:
      return !equal(left, right);
    case CompareOperator::kIn:
      return contains(right, left);
    case CompareOperator::kNotIn:
      return !contains(right, left);
    default:
      break;
  }
  for (const Value* value : {&left, &right}) {
    if (const auto* undefined = value->get_if<Undefined>()) fail("{} is undefined", undefined->name);
  }
  const bool unordered =
      left.is_number() && right.is_number() && (std::isnan(left.number()) || std::isnan(right.number()));
  if (unordered) return false;
  const int order = compare(left, right);
  switch (op) {
    case CompareOperator::kLess:
      return order < 0;
    case CompareOperator::kLessEqual:
      return order <= 0;
    case CompareOperator::kGreater:
      return order > 0;
    default:
      return order >= 0;
  }
}

Value slice(const Value& value, const Value* begin, const Value* end, const Value* step) {
  if (value.is_text()) {
    const auto characters = characters_of(value.text());
    std::string out;
    for_each_index(clamp_slice(begin, end, step, static_cast<int64_t>(characters.size())),
                   [&](int64_t i) { out += characters[i]; });
    return out;
  }
  if (!value.is_list()) {
    if (const auto* undefined = value.get_if<Undefined>()) fail("{} is undefined", undefined->name);
    fail("'{}' object cannot be sliced", type_name(value));
  }
  const List& items = value.list();
  List out;
  for_each_index(clamp_slice(begin, end, step, static_cast<int64_t>(items.size())),
                 [&](int64_t i) { out.push_back(items[i]); });
  return Value(std::move(out), value.get_if<Sequence>()->is_tuple);
}

}  // namespace musaic::jinja
