#include "tensor/dim.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/check.h"

namespace musaic {

struct Dim::Expression {
  Kind kind;
  std::string symbol;
  Dim left;
  Dim right;
};

namespace {

int64_t divide_up(int64_t a, int64_t b) {
  CHECK(b > 0, "{} divided by {}", a, b);
  return a / b + (a % b > 0);
}

int64_t apply(Dim::Kind kind, int64_t a, int64_t b) {
  switch (kind) {
    case Dim::Kind::kAdd:
      return a + b;
    case Dim::Kind::kSub:
      return a - b;
    case Dim::Kind::kMul:
      return a * b;
    case Dim::Kind::kCeilDiv:
      return divide_up(a, b);
    case Dim::Kind::kRoundUp:
      return divide_up(a, b) * b;
    case Dim::Kind::kMin:
      return std::min(a, b);
    default:
      CHECK(false, "no operation");
  }
  return 0;
}

bool is_value(const Dim& dim, int64_t value) {
  return dim.is_constant() && dim.constant() == value;
}

// Recursive descent over: sum := product (('+'|'-') product)*, product := atom ('*' atom)*.
class DimParser {
 public:
  explicit DimParser(std::string_view text) : text_(text) {}

  std::optional<Dim> parse() {
    auto dim = sum();
    skip_spaces();
    return dim && text_.empty() ? dim : std::nullopt;
  }

 private:
  void skip_spaces() {
    while (!text_.empty() && text_.front() == ' ') text_.remove_prefix(1);
  }
  bool take(char c) {
    skip_spaces();
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::optional<Dim> sum() {
    auto left = product();
    while (left) {
      if (take('+')) {
        left = combine(Dim::Kind::kAdd, left, product());
      } else if (take('-')) {
        left = combine(Dim::Kind::kSub, left, product());
      } else {
        break;
      }
    }
    return left;
  }
  std::optional<Dim> product() {
    auto left = atom();
    while (left && take('*')) left = combine(Dim::Kind::kMul, left, atom());
    return left;
  }
  // Nothing where an operand is missing, numbers leave 64 bits, or the expression grows too deep to walk.
  std::optional<Dim> combine(Dim::Kind kind, const std::optional<Dim>& a, const std::optional<Dim>& b) {
    if (!a || !b || ++operations_ > kMaxOperations) return std::nullopt;
    if (a->is_constant() && b->is_constant() && !fits(kind, a->constant(), b->constant()))
      return std::nullopt;
    switch (kind) {
      case Dim::Kind::kAdd:
        return *a + *b;
      case Dim::Kind::kSub:
        return *a - *b;
      case Dim::Kind::kMul:
        return *a * *b;
      case Dim::Kind::kCeilDiv:
        return ceil_div(*a, *b);
      case Dim::Kind::kRoundUp:
        return round_up(*a, *b);
      default:
        return min(*a, *b);
    }
  }
  static bool fits(Dim::Kind kind, int64_t a, int64_t b) {
    int64_t out = 0;
    if (kind == Dim::Kind::kAdd) return !__builtin_add_overflow(a, b, &out);
    if (kind == Dim::Kind::kSub) return !__builtin_sub_overflow(a, b, &out);
    if (kind == Dim::Kind::kMul) return !__builtin_mul_overflow(a, b, &out);
    if (kind == Dim::Kind::kRoundUp) return !__builtin_mul_overflow(divide_up(a, b), b, &out);
    return true;
  }
  std::optional<Dim> atom() {
    if (++atoms_ > kMaxOperations) return std::nullopt;
    if (take('(')) {
      auto inner = sum();
      return inner && take(')') ? inner : std::nullopt;
    }
    skip_spaces();
    size_t length = text_.starts_with('-') ? 1 : 0;  // of a negative number
    while (length < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[length])) || text_[length] == '_')) {
      ++length;
    }
    if (length == 0) return std::nullopt;
    const std::string word(text_.substr(0, length));
    text_.remove_prefix(length);
    const char first = word.front();
    if (first == '-' || std::isdigit(static_cast<unsigned char>(first))) return number(word);
    return take('(') ? call(word) : Dim::symbol(word);
  }
  static std::optional<Dim> number(const std::string& word) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
    return Dim(value);
  }
  std::optional<Dim> call(const std::string& function) {
    const auto a = sum();
    if (!a || !take(',')) return std::nullopt;
    const auto b = sum();
    if (!b || !take(')')) return std::nullopt;
    if (function == "min") return combine(Dim::Kind::kMin, a, b);
    if (b->is_constant() && b->constant() <= 0) return std::nullopt;
    if (function == "ceil_div") return combine(Dim::Kind::kCeilDiv, a, b);
    if (function == "round_up") return combine(Dim::Kind::kRoundUp, a, b);
    return std::nullopt;
  }

  static constexpr int kMaxOperations = 256;  // far above any shape's; bounds the recursion

  std::string_view text_;
  int operations_ = 0;
  int atoms_ = 0;  // parentheses count too
};

}  // namespace

Dim::Dim(int64_t value) : value_(value) {}

Dim Dim::symbol(std::string name) {
  Dim dim;
  dim.expression_ = std::make_shared<const Expression>(Expression{Kind::kSymbol, std::move(name), 0, 0});
  return dim;
}

Dim Dim::make(Kind kind, const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant()) return apply(kind, a.value_, b.value_);
  Dim dim;
  dim.expression_ = std::make_shared<const Expression>(Expression{kind, "", a, b});
  return dim;
}

std::optional<Dim> Dim::parse(std::string_view text) {
  return DimParser(text).parse();
}

int64_t Dim::constant() const {
  CHECK(is_constant(), "{} is no constant", to_string(*this));
  return value_;
}

std::optional<std::string> Dim::symbol_name() const {
  if (is_constant() || expression_->kind != Kind::kSymbol) return std::nullopt;
  return expression_->symbol;
}

int64_t Dim::evaluate(const DimBindings& bindings) const {
  if (is_constant()) return value_;
  if (expression_->kind == Kind::kSymbol) {
    const auto found = bindings.find(expression_->symbol);
    CHECK(found != bindings.end(), "dimension {} is not bound", expression_->symbol);
    return found->second;
  }
  return apply(expression_->kind, expression_->left.evaluate(bindings),
               expression_->right.evaluate(bindings));
}

Dim operator+(const Dim& a, const Dim& b) {
  if (is_value(a, 0)) return b;
  if (is_value(b, 0)) return a;
  return Dim::make(Dim::Kind::kAdd, a, b);
}

Dim operator-(const Dim& a, const Dim& b) {
  if (is_value(b, 0)) return a;
  if (a == b) return 0;
  return Dim::make(Dim::Kind::kSub, a, b);
}

Dim operator*(const Dim& a, const Dim& b) {
  if (is_value(a, 1)) return b;
  if (is_value(b, 1)) return a;
  if (is_value(a, 0) || is_value(b, 0)) return 0;
  return Dim::make(Dim::Kind::kMul, a, b);
}

Dim ceil_div(const Dim& a, const Dim& b) {
  return is_value(b, 1) ? a : Dim::make(Dim::Kind::kCeilDiv, a, b);
}
Dim round_up(const Dim& a, const Dim& multiple) {
  return is_value(multiple, 1) ? a : Dim::make(Dim::Kind::kRoundUp, a, multiple);
}
Dim min(const Dim& a, const Dim& b) {
  return a == b ? a : Dim::make(Dim::Kind::kMin, a, b);
}

bool operator==(const Dim& a, const Dim& b) {
  if (a.is_constant() || b.is_constant()) return a.is_constant() && b.is_constant() && a.value_ == b.value_;
  if (a.expression_ == b.expression_) return true;
  const Dim::Expression& x = *a.expression_;
  const Dim::Expression& y = *b.expression_;
  return x.kind == y.kind && x.symbol == y.symbol && x.left == y.left && x.right == y.right;
}

std::string to_string(const Dim& dim) {
  if (dim.is_constant()) return std::to_string(dim.value_);
  const Dim::Expression& e = *dim.expression_;
  const auto operand = [](const Dim& d) {
    const bool sum = !d.is_constant() &&
                     (d.expression_->kind == Dim::Kind::kAdd || d.expression_->kind == Dim::Kind::kSub ||
                      d.expression_->kind == Dim::Kind::kMul);
    return sum ? "(" + to_string(d) + ")" : to_string(d);
  };
  switch (e.kind) {
    case Dim::Kind::kSymbol:
      return e.symbol;
    case Dim::Kind::kAdd:
      return operand(e.left) + " + " + operand(e.right);
    case Dim::Kind::kSub:
      return operand(e.left) + " - " + operand(e.right);
    case Dim::Kind::kMul:
      return operand(e.left) + " * " + operand(e.right);
    case Dim::Kind::kCeilDiv:
      return fmt::format("ceil_div({}, {})", to_string(e.left), to_string(e.right));
    case Dim::Kind::kRoundUp:
      return fmt::format("round_up({}, {})", to_string(e.left), to_string(e.right));
    case Dim::Kind::kMin:
      return fmt::format("min({}, {})", to_string(e.left), to_string(e.right));
    default:
      return "?";
  }
}

DimShape contiguous_strides(const DimShape& shape) {
  DimShape strides(shape.size());
  Dim stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride = shape[i] * stride;
  }
  return strides;
}

Dim elements(const DimShape& shape) {
  Dim product = 1;
  for (const Dim& dim : shape) product = product * dim;
  return product;
}

std::string to_string(const DimShape& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + to_string(shape[i]);
  return out + "]";
}

}  // namespace musaic
