#include "program/target.h"

#include <fmt/format.h>

#include <optional>

#include "base/status.h"

namespace musaic {
namespace {

std::vector<const Meta*> metas_of(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<const Meta*> metas;
  for (ValueId id : ids) metas.push_back(id == kNoValue ? nullptr : &graph.values[id].meta);
  return metas;
}

// Absent where the op refuses such arguments.
std::optional<std::vector<FakeOutput>> outputs_of(const FakeCall& call, const Fake& fake) {
  try {
    return fake(call);
  } catch (const LoadError&) {
    return std::nullopt;
  }
}

}  // namespace

const Kernel* find_kernel(const Target& target, const Graph& graph, const Node& node) {
  const auto inputs = metas_of(graph, node.inputs);
  const auto outputs = metas_of(graph, node.outputs);
  return target.registry.find_kernel(target.registry.get(node.op), target.device.type,
                                     {inputs, outputs, node.attributes, target.capabilities});
}

bool takes(const Kernel& kernel, const Target& target, const Graph& graph, const Node& node) {
  if (kernel.device_type != target.device.type) return false;
  const auto inputs = metas_of(graph, node.inputs);
  const auto outputs = metas_of(graph, node.outputs);
  return !kernel.supports || kernel.supports({inputs, outputs, node.attributes, target.capabilities});
}

bool supports(const Target& target, std::string_view op, std::span<const Value> inputs,
              const Attributes& attributes) {
  std::vector<const Meta*> metas;
  for (const Value& input : inputs) metas.push_back(input.defined() ? &input.meta() : nullptr);
  return supports(target, op, metas, attributes);
}

bool supports(const Target& target, std::string_view op_name, std::span<const Meta* const> inputs,
              const Attributes& attributes) {
  const OpDef* op = target.registry.find(op_name);
  if (op == nullptr || !op->fake) return false;
  std::vector<const Meta*> metas(inputs.begin(), inputs.end());
  metas.resize(static_cast<size_t>(op->schema.num_tensors()), nullptr);
  const auto fakes = outputs_of({op->schema, metas, attributes}, op->fake);
  if (!fakes) return false;
  std::vector<const Meta*> outputs;
  for (const FakeOutput& fake : *fakes) outputs.push_back(&fake.meta);
  return target.registry.find_kernel(*op, target.device.type,
                                     {metas, outputs, attributes, target.capabilities}) != nullptr;
}

std::string missing_op(const Target& target, std::string_view op) {
  return fmt::format("{} has no {}", target.device.type, op);
}

}  // namespace musaic
