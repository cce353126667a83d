#include "ir/call_rules.h"

#include <fmt/format.h>

#include "ir/overlap.h"
#include "tensor/shape.h"

namespace musaic {
namespace {

bool is_read_only(const GraphValue& value) {
  return value.kind == ValueKind::kWeight || value.kind == ValueKind::kConstant;
}

// What is wrong when the written argument and the other share memory.
std::string sharing_problem(const SchemaArgument& written, const SchemaArgument& other) {
  if (other.mutated)
    return fmt::format("{} and {} share memory, and both are written", written.name, other.name);
  return fmt::format("{} shares memory with {}, which is written and of another alias set", other.name,
                     written.name);
}

std::string name_of(const Schema& schema, size_t output) {
  const std::string& name = schema.returns[output].name;
  return name.empty() ? fmt::format("output {}", output) : name;
}

std::optional<std::string> shape_problem(const Meta& meta) {
  if (meta.strides.size() != meta.shape.size()) {
    return fmt::format("has {} strides for {} dimensions", meta.strides.size(), meta.shape.size());
  }
  if (meta.rank() > Shape::kMaxRank)
    return fmt::format("has {} dimensions, at most {} are possible", meta.rank(), Shape::kMaxRank);
  return std::nullopt;
}

std::optional<std::string> alias_problem(const std::string& alias, std::span<const ValueId> inputs,
                                         const std::vector<const SchemaArgument*>& tensors, int view_of) {
  const std::string wanted =
      alias.empty() ? "memory of its own" : fmt::format("a view of the alias set ({})", alias);
  if (view_of < 0) {
    if (alias.empty()) return std::nullopt;
    return fmt::format("is memory of its own, by the schema {}", wanted);
  }
  if (view_of >= static_cast<int>(tensors.size()))
    return fmt::format("is a view of tensor {}, of which there are {}", view_of, tensors.size());
  const SchemaArgument& base = *tensors[static_cast<size_t>(view_of)];
  if (inputs[static_cast<size_t>(view_of)] == kNoValue)
    return fmt::format("is a view of {}, which is absent", base.name);
  if (alias.empty() || base.alias != alias)
    return fmt::format("is a view of {}, by the schema {}", base.name, wanted);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> arity_problem(const Schema& schema, std::span<const ValueId> inputs) {
  const auto tensors = schema.tensors();
  if (inputs.size() > tensors.size())
    return fmt::format("{} tensors given, expected {}", inputs.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const bool given = i < inputs.size() && inputs[i] != kNoValue;
    if (!given && !tensors[i]->optional) return fmt::format("tensor {} is missing", tensors[i]->name);
  }
  return std::nullopt;
}

std::optional<std::string> write_problem(const Graph& graph, const Schema& schema,
                                         std::span<const ValueId> inputs) {
  const auto tensors = schema.tensors();
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!tensors[i]->mutated || inputs[i] == kNoValue) continue;
    const GraphValue& written = graph.values[static_cast<size_t>(inputs[i])];
    const GraphValue& owner = graph.values[static_cast<size_t>(written.storage)];
    if (is_read_only(owner)) return fmt::format("{} would write {}", tensors[i]->name, owner.name);
    for (size_t j = 0; j < inputs.size(); ++j) {
      if (j == i || inputs[j] == kNoValue) continue;
      const bool may_share = !tensors[j]->mutated && tensors[j]->alias == tensors[i]->alias;
      if (!may_share && overlaps(written, graph.values[static_cast<size_t>(inputs[j])]))
        return sharing_problem(*tensors[i], *tensors[j]);
    }
  }
  return std::nullopt;
}

std::optional<std::string> fake_problem(const Schema& schema, std::span<const ValueId> inputs,
                                        std::span<const FakeOutput> outputs) {
  if (outputs.size() != schema.returns.size()) {
    return fmt::format("the fake kernel gives {} outputs, the schema {}", outputs.size(),
                       schema.returns.size());
  }
  const auto tensors = schema.tensors();
  for (size_t i = 0; i < outputs.size(); ++i) {
    auto problem = shape_problem(outputs[i].meta);
    if (!problem) problem = alias_problem(schema.returns[i].alias, inputs, tensors, outputs[i].view_of);
    if (problem) return fmt::format("by the fake kernel {} {}", name_of(schema, i), *problem);
  }
  return std::nullopt;
}

}  // namespace musaic
