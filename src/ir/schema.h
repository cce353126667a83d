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
  bool optional = false;      // `Tensor?`
  std::string alias;          // `a` of Tensor(a!) or Tensor(a)
  bool mutated = false;       // `!`
  bool default_none = false;  // `=None` of a Tensor?
  std::optional<Attribute> default_value;
};

struct SchemaReturn {
  std::string alias;  // the argument's alias name when the output is a view of it
};

// An operator's contract in PyTorch's grammar:
// `musaic::rope_(Tensor(a!) x, Tensor cos_sin, bool interleaved=False) -> ()`.
struct Schema {
  std::string name;  // "musaic::rope_"
  std::vector<SchemaArgument> arguments;
  std::vector<SchemaReturn> returns;

  static Result<Schema> parse(std::string_view text);
  int num_tensors() const;
  // The tensor arguments in order.
  std::vector<const SchemaArgument*> tensors() const;
};

std::string to_string(const Schema& schema);

// What is wrong with a call's non-tensor arguments: missing, unknown or of another type. nullopt: nothing.
std::optional<std::string> attribute_problem(const Schema& schema, const Attributes& attributes);

}  // namespace musaic
