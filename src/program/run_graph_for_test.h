#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "backends/cpu/cpu_backend.h"
#include "ops/kernels_cpu.h"
#include "ops/op_list.h"
#include "program/program.h"
#include "tensor/host_tensor.h"

namespace musaic {

// Runs whole graphs on the CPU on random data that depend on names alone: a graph before and after a pass
// reads the same numbers, merged weights included.
class GraphOnRandomData {
 public:
  using Data = std::map<std::string, HostTensor, std::less<>>;

  // `given`: inputs that cannot be random, such as indices; live counts are `num_<symbol>`.
  GraphOnRandomData(DimBindings bindings, Data given)
      : bindings_(std::move(bindings)), given_(std::move(given)) {
    define_ops(registry_);
    add_cpu_kernels(registry_);
  }

  const OpRegistry& registry() const { return registry_; }
  const Target& target() const { return target_; }

  // Graph outputs, and states after the run, by name; once eagerly, once captured.
  Data run(const Graph& graph, bool captured = false) {
    Program program(graph, target_, backend_, /*whole=*/false);
    const Plan& plan = program.add_bucket(1, bindings_);
    Data weights;
    WeightStore store(backend_);
    store.request(program.graph(), plan);
    store.load({.read = [&](const GraphValue& weight) { return rows_of(weight, weights); },
                .release = [](const GraphValue&) {}},
               1, {});
    Data data = leaves_and_outputs(graph);
    AddressBook addresses;
    for (const auto& [name, tensor] : data) addresses[name] = tensor.data();
    const auto arena = backend_.allocate(program.arena_bytes() + 1, "arena");
    program.bind(addresses, store, arena->data());
    if (captured) {
      program.capture(1);
      program.replay(1);
    } else {
      program.run_eagerly(1);
    }
    backend_.stream().synchronize();
    return results(graph, data);
  }

  // Every result of `a` and `b`, bit for bit; what differs by name.
  std::vector<std::string> differences(const Graph& a, const Graph& b) {
    const Data left = run(a);
    const Data right = run(b, /*captured=*/true);
    std::vector<std::string> names;
    if (left.size() != right.size()) names.push_back("the number of results");
    for (const auto& [name, tensor] : left) {
      const auto found = right.find(name);
      if (found == right.end() || !tensor.same_bits(found->second)) names.push_back(name);
    }
    return names;
  }

 private:
  static uint32_t seed_of(const std::string& name) {
    uint32_t seed = 2166136261u;  // FNV-1a: the same on every machine
    for (unsigned char c : name) seed = (seed ^ c) * 16777619u;
    return seed;
  }

  HostTensor random(const std::string& name, DType dtype, const DimShape& dims) const {
    std::vector<int64_t> shape;
    for (const Dim& dim : dims) shape.push_back(dim.evaluate(bindings_));
    const auto found = given_.find(name);
    if (found != given_.end()) return found->second;
    if (dtype == DType::kI32 || dtype == DType::kI8 || dtype == DType::kF8E4M3)
      return HostTensor(dtype, Shape(shape));
    return HostTensor::random(dtype, Shape(shape), seed_of(name));
  }

  // Part by part, so that a merged weight holds its parts' numbers. `made` keeps them alive.
  WeightRows rows_of(const GraphValue& weight, Data& made) const {
    const DimShape& shape = weight.meta.shape;
    WeightRows rows{.dtype = weight.meta.dtype};
    rows.columns = shape.size() > 1 ? shape[1].constant() : 1;
    for (const std::string& part : weight.weight_parts) {
      const int64_t part_rows = part_rows_.count(part) ? part_rows_.at(part) : shape[0].constant();
      const DimShape dims = shape.size() > 1 ? DimShape{part_rows, rows.columns} : DimShape{part_rows};
      const HostTensor& tensor = made.emplace(part, random(part, weight.meta.dtype, dims)).first->second;
      rows.parts.push_back({part_rows, tensor.data()});
      rows.rows += part_rows;
    }
    return rows;
  }

  Data leaves_and_outputs(const Graph& graph) {
    Data data;
    for (const GraphValue& value : graph.values) {
      if (value.kind == ValueKind::kWeight && value.weight_parts.size() == 1)
        part_rows_[value.weight_parts[0]] = value.meta.shape[0].constant();
      if (value.kind == ValueKind::kInput || value.kind == ValueKind::kState)
        data.emplace(value.name, random(value.name, value.meta.dtype, value.meta.shape));
      if (value.kind == ValueKind::kConstant) {
        HostTensor tensor = random(value.name, value.meta.dtype, value.meta.shape);
        std::copy(value.constant->begin(), value.constant->end(), tensor.data());
        data.emplace(value.name, std::move(tensor));
      }
    }
    for (const auto& [name, id] : graph.outputs) {
      const Meta& meta = graph.values[id].meta;
      HostTensor tensor = random("", meta.dtype, meta.shape);
      tensor.poison();
      data.insert_or_assign(name, std::move(tensor));
    }
    return data;
  }

  static Data results(const Graph& graph, const Data& data) {
    Data results;
    for (const auto& [name, id] : graph.outputs) results.emplace(name, data.at(name));
    for (const GraphValue& value : graph.values) {
      if (value.kind == ValueKind::kState) results.emplace(value.name, data.at(value.name));
    }
    return results;
  }

  DimBindings bindings_;
  Data given_;
  OpRegistry registry_;
  CpuBackend backend_{CpuBackendOptions{.num_threads = 1, .isa = std::nullopt}};
  Target target_{registry_, backend_.device(), backend_.capabilities()};
  std::map<std::string, int64_t, std::less<>> part_rows_;  // of every weight seen so far
};

}  // namespace musaic
