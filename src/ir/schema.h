#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ir/attributes.h"

namespace musaic {

enum class SchemaType { kTensor, kInt, kFloat, kBool, kString, kIntList };

struct SchemaArgument {
  std::string name;
  SchemaType type = SchemaType::kTensor;
  int list_length = 0;    // of `int[2]`; 0: any
  bool optional = false;  // `Tensor?`, `float?`: may be left out
  std::string alias;      // `a` of Tensor(a!) or Tensor(a)
  bool mutated = false;   // `!`
  bool keyword_only = false;
  bool default_none = false;  // `=None` of an optional
  std::optional<Attribute> default_value;
};

struct SchemaReturn {
  std::string name;   // may be empty
  std::string alias;  // the argument's alias name when the output is a view of it
};

// An operator's contract in PyTorch's grammar:
// `musaic::rope_(Tensor(a!) x, Tensor cos_sin, bool interleaved=False) -> ()`.
// Not supported, and refused by name: lists but of int, types beyond SchemaType, alias sets of several names,
// that change or are wildcards, and returns of a written argument (its new version is a result anyway).
// A read argument of a written one's alias set may share its memory; else a written argument shares none.
struct Schema {
  std::string name;  // "musaic::rope_", "aten::add.Tensor" with an overload
  std::vector<SchemaArgument> arguments;
  std::vector<SchemaReturn> returns;

  // The error names the column (from 1), what was expected there, and what came.
  static Result<Schema> parse(std::string_view text);
  int num_tensors() const;
  // The tensor arguments in order.
  std::vector<const SchemaArgument*> tensors() const;
};

std::string to_string(const Schema& schema);

// What is wrong with a call's non-tensor arguments: missing, unknown, of another type or length. nullopt:
// nothing.
std::optional<std::string> attribute_problem(const Schema& schema, const Attributes& attributes);

}  // namespace musaic
