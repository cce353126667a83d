#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/jinja/value.h"

namespace musaic::jinja {

// The variables of a block; what is not found here is looked for in the blocks around it. Lives on the stack
// of the evaluator: `parent` outlives it.
class Scope {
 public:
  explicit Scope(const Scope* parent, uint64_t id = 0) : parent_(parent), id_(id) {}

  uint64_t id() const { return id_; }

  const Value* find(std::string_view name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent_) {
      for (const auto& [known, value] : scope->variables_) {
        if (known == name) return &value;
      }
    }
    return nullptr;
  }

  void set(std::string_view name, Value value) {
    for (auto& [known, old] : variables_) {
      if (known != name) continue;
      old = std::move(value);
      return;
    }
    variables_.emplace_back(name, std::move(value));
  }

 private:
  const Scope* parent_;
  uint64_t id_;
  std::vector<std::pair<std::string, Value>> variables_;
};

}  // namespace musaic::jinja
