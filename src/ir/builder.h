#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace musaic {

class GraphBuilder;

// A handle on a graph value: what models compute with. Copyable; the builder outlives it.
class Value {
 public:
  Value() = default;  // absent optional
  Value(GraphBuilder* builder, ValueId id) : builder_(builder), id_(id) {}

  bool defined() const { return builder_ != nullptr; }
  ValueId id() const { return id_; }
  GraphBuilder& builder() const { return *builder_; }
  const Meta& meta() const;
  const Dim& dim(int axis) const { return meta().dim(axis); }

 private:
  GraphBuilder* builder_ = nullptr;
  ValueId id_ = kNoValue;
};

// Appends nodes to one graph. An op call runs the fake kernel and checks the schema.
class GraphBuilder {
 public:
  GraphBuilder(const OpRegistry& registry, std::string name, Device device);
  // Continues a graph (passes). REQUIRES: its values stay valid.
  GraphBuilder(const OpRegistry& registry, Graph graph);

  // REQUIRES of input and state: the name is new. A weight or constant that is asked for again is the same
  // value. REQUIRES: of the same dtype and shape.
  Value input(std::string name, DType dtype, DimShape shape);
  // `parts`: names of the tensors stacked along dimension 0.
  Value weight(std::vector<std::string> parts, DType dtype, DimShape shape);
  Value constant(std::string name, DType dtype, DimShape shape, std::vector<std::byte> bytes);
  Value state(std::string name, DType dtype, DimShape shape);
  void output(std::string name, Value value);

  // Outputs first, then the new versions of the mutated arguments, in schema order.
  std::vector<Value> call(std::string_view op, std::span<const Value> inputs, Attributes attributes = {});
  std::vector<Value> call(std::string_view op, std::initializer_list<Value> inputs,
                          Attributes attributes = {});

  const OpRegistry& registry() const { return registry_; }
  const Graph& graph() const { return graph_; }
  Graph take() { return std::move(graph_); }

 private:
  ValueId add(GraphValue value);
  void check_new(const std::string& name) const;
  // The leaf that is there already. REQUIRES: it is of that kind, dtype and shape.
  Value known(ValueId id, ValueKind kind, DType dtype, const DimShape& shape);

  const OpRegistry& registry_;
  Graph graph_;
};

}  // namespace musaic
