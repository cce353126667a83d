#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace musaic {

using DimBindings = std::map<std::string, int64_t, std::less<>>;

// A dimension: a number, a symbol (`tokens`), or an expression of them. Immutable; folded when built, so that
// two equal spellings compare equal after constant folding.
class Dim {
 public:
  enum class Kind { kConstant, kSymbol, kAdd, kSub, kMul, kCeilDiv, kRoundUp, kMin };

  Dim(int64_t value = 0);  // NOLINT: numbers are dimensions
  static Dim symbol(std::string name);
  // `tokens`, `576`, `ceil_div(tokens, 16) * 2`: what to_string prints. nullopt when it does not parse.
  static std::optional<Dim> parse(std::string_view text);

  bool is_constant() const { return !expression_; }
  // REQUIRES: is_constant().
  int64_t constant() const;
  // The symbol's name when this is a bare symbol.
  std::optional<std::string> symbol_name() const;
  // REQUIRES: every symbol is bound.
  int64_t evaluate(const DimBindings& bindings) const;

  friend Dim operator+(const Dim& a, const Dim& b);
  friend Dim operator-(const Dim& a, const Dim& b);
  friend Dim operator*(const Dim& a, const Dim& b);
  friend Dim ceil_div(const Dim& a, const Dim& b);
  friend Dim round_up(const Dim& a, const Dim& multiple);
  friend Dim min(const Dim& a, const Dim& b);
  friend bool operator==(const Dim& a, const Dim& b);
  friend std::string to_string(const Dim& dim);

 private:
  struct Expression;
  static Dim make(Kind kind, const Dim& a, const Dim& b);

  int64_t value_ = 0;
  std::shared_ptr<const Expression>
      expression_;  // shared: expressions are immutable and reused by many shapes
};

using DimShape = std::vector<Dim>;

DimShape contiguous_strides(const DimShape& shape);
Dim elements(const DimShape& shape);
std::string to_string(const DimShape& shape);  // "[tokens, 576]"

}  // namespace musaic
