#include "ir/builder.h"

#include "base/status.h"
#include "ir/call_rules.h"
#include "ir/weight_names.h"

namespace musaic {
namespace {

void refuse(const Schema& schema, const std::optional<std::string>& problem) {
  if (problem) fail_load("{}: {}", schema.name, *problem);
}

// Attributes by schema: defaults filled in, unknown, missing or wrong ones refused.
Attributes complete_attributes(const Schema& schema, Attributes attributes) {
  for (const SchemaArgument& argument : schema.arguments) {
    if (argument.default_value && !attributes.contains(argument.name))
      attributes.set(argument.name, *argument.default_value);
  }
  refuse(schema, attribute_problem(schema, attributes));
  return attributes;
}

std::vector<const Meta*> input_metas(const Graph& graph, const std::vector<ValueId>& inputs) {
  std::vector<const Meta*> metas;
  for (ValueId id : inputs) metas.push_back(id == kNoValue ? nullptr : &graph.values[id].meta);
  return metas;
}

}  // namespace

const Meta& Value::meta() const {
  return builder_->graph().values[id_].meta;
}

GraphBuilder::GraphBuilder(const OpRegistry& registry, std::string name, Device device)
    : registry_(registry) {
  graph_.name = std::move(name);
  graph_.device = std::move(device);
}

GraphBuilder::GraphBuilder(const OpRegistry& registry, Graph graph)
    : registry_(registry), graph_(std::move(graph)) {}

ValueId GraphBuilder::add(GraphValue value) {
  const ValueId id = static_cast<ValueId>(graph_.values.size());
  if (value.storage == kNoValue) value.storage = id;
  if (value.kind == ValueKind::kNode) value.name = std::to_string(id);
  graph_.values.push_back(std::move(value));
  return id;
}

void GraphBuilder::check_new(const std::string& name) const {
  CHECK(graph_.find(name) == kNoValue, "graph {}: {} is there already", graph_.name, name);
}

Value GraphBuilder::known(ValueId id, ValueKind kind, DType dtype, const DimShape& shape) {
  const GraphValue& value = graph_.values[id];
  CHECK(value.kind == kind && value.meta == Meta::contiguous(dtype, shape, graph_.device),
        "graph {}: {} is {}, asked for as {}{}", graph_.name, value.name, to_string(value.meta), name(dtype),
        to_string(shape));
  return {this, id};
}

Value GraphBuilder::input(std::string name, DType dtype, DimShape shape) {
  check_new(name);
  return {this, add({.name = std::move(name),
                     .kind = ValueKind::kInput,
                     .meta = Meta::contiguous(dtype, std::move(shape), graph_.device)})};
}

Value GraphBuilder::weight(std::vector<std::string> parts, DType dtype, DimShape shape) {
  std::string name = name_of_weight(parts);
  const ValueId found = graph_.find(name);
  if (found != kNoValue) return known(found, ValueKind::kWeight, dtype, shape);
  return {this, add({.name = std::move(name),
                     .kind = ValueKind::kWeight,
                     .meta = Meta::contiguous(dtype, std::move(shape), graph_.device),
                     .weight_parts = std::move(parts)})};
}

Value GraphBuilder::constant(std::string name, DType dtype, DimShape shape, std::vector<std::byte> bytes) {
  const ValueId found = graph_.find(name);
  if (found != kNoValue) return known(found, ValueKind::kConstant, dtype, shape);
  return {this, add({.name = std::move(name),
                     .kind = ValueKind::kConstant,
                     .meta = Meta::contiguous(dtype, std::move(shape), graph_.device),
                     .constant = std::make_shared<const std::vector<std::byte>>(std::move(bytes))})};
}

Value GraphBuilder::state(std::string name, DType dtype, DimShape shape) {
  check_new(name);
  return {this, add({.name = std::move(name),
                     .kind = ValueKind::kState,
                     .meta = Meta::contiguous(dtype, std::move(shape), graph_.device)})};
}

void GraphBuilder::output(std::string name, Value value) {
  graph_.outputs.emplace_back(std::move(name), value.id());
}

std::vector<Value> GraphBuilder::call(std::string_view op, std::initializer_list<Value> inputs,
                                      Attributes attributes) {
  return call(op, std::span(inputs.begin(), inputs.size()), std::move(attributes));
}

std::vector<Value> GraphBuilder::call(std::string_view name, std::span<const Value> inputs,
                                      Attributes attributes) {
  const OpDef* op = registry_.find(name);
  if (op == nullptr) fail_load("{}: no such operator", name);
  if (!op->fake) fail_load("{}: has no fake kernel, so it cannot be traced", name);
  const auto tensors = op->schema.tensors();

  Node node;
  node.op = op->schema.name;
  for (const Value& input : inputs) {
    CHECK(!input.defined() || &input.builder() == this, "{}: %{} is a value of another graph", name,
          input.id());
    node.inputs.push_back(input.id());
  }
  refuse(op->schema, arity_problem(op->schema, node.inputs));
  node.inputs.resize(tensors.size(), kNoValue);
  refuse(op->schema, write_problem(graph_, op->schema, node.inputs));
  node.attributes = complete_attributes(op->schema, std::move(attributes));

  const auto metas = input_metas(graph_, node.inputs);
  const std::vector<FakeOutput> fakes = op->fake({op->schema, metas, node.attributes});
  refuse(op->schema, fake_problem(op->schema, node.inputs, fakes));
  const int node_index = static_cast<int>(graph_.nodes.size());
  std::vector<Value> results;
  for (const FakeOutput& fake : fakes) {
    GraphValue value{.name = "", .kind = ValueKind::kNode, .meta = fake.meta, .node = node_index};
    if (fake.view_of >= 0) {
      const GraphValue& base = graph_.values[node.inputs[fake.view_of]];
      value.storage = base.storage;
      value.offset = base.offset + fake.view_offset;
    }
    node.outputs.push_back(add(std::move(value)));
    results.emplace_back(this, node.outputs.back());
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i]->mutated || node.inputs[i] == kNoValue) continue;
    const GraphValue before = graph_.values[node.inputs[i]];
    const ValueId version = add({.name = "",
                                 .kind = ValueKind::kNode,
                                 .meta = before.meta,
                                 .node = node_index,
                                 .storage = before.storage,
                                 .offset = before.offset});
    node.mutations.push_back({static_cast<int>(i), version});
    results.emplace_back(this, version);
  }
  graph_.nodes.push_back(std::move(node));
  return results;
}

}  // namespace musaic
