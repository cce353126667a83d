#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/thread_pool.h"
#include "base/check.h"
#include "ir/builder.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

// Runs a graph of constant shapes node by node.
class Interpreter {
 public:
  Interpreter(const OpRegistry& registry, const Graph& graph, const OpCase& op_case)
      : registry_(registry),
        graph_(graph),
        case_(op_case),
        capabilities_(use_cpu_isa(op_case.isa)),
        pool_(op_case.num_threads),
        stream_(pool_),
        memory_(graph.values.size()),
        live_rows_(op_case.live_rows.value_or(0)) {}

  void set_input(ValueId value, const TestTensor& tensor) { memory_[static_cast<size_t>(value)] = tensor; }

  void run() {
    for (const Node& node : graph_.nodes) {
      const OpDef& op = registry_.get(node.op);
      if (!op.is_view) run(node, op);
    }
  }

  // REQUIRES: the value owns its memory or is a mutation of one that does.
  TestTensor result(ValueId value) const {
    return memory_[static_cast<size_t>(graph_.values[static_cast<size_t>(value)].storage)];
  }

 private:
  const GraphValue& value(ValueId id) const { return graph_.values[static_cast<size_t>(id)]; }

  Tensor address(ValueId id) const {
    if (id == kNoValue) return {};
    const GraphValue& at = value(id);
    std::vector<int64_t> shape, strides;
    for (const Dim& dim : at.meta.shape) shape.push_back(dim.evaluate({}));
    for (const Dim& dim : at.meta.strides) strides.push_back(dim.evaluate({}));
    std::byte* base = memory_[static_cast<size_t>(at.storage)].data();
    return {base + byte_size(at.meta.dtype, at.offset.evaluate({})), at.meta.dtype, Shape(shape),
            Shape(strides)};
  }

  void run(const Node& node, const OpDef& op) {
    std::vector<const Meta*> input_metas, output_metas;
    std::vector<Tensor> inputs, outputs;
    for (ValueId id : node.inputs) {
      input_metas.push_back(id == kNoValue ? nullptr : &value(id).meta);
      inputs.push_back(address(id));
    }
    for (ValueId id : node.outputs) {
      std::vector<int64_t> shape;
      for (const Dim& dim : value(id).meta.shape) shape.push_back(dim.evaluate({}));
      memory_[static_cast<size_t>(id)] = TestTensor(value(id).meta.dtype, Shape(shape));
      output_metas.push_back(&value(id).meta);
      outputs.push_back(address(id));
    }
    const KernelQuery query{input_metas, output_metas, node.attributes, capabilities_};
    const Kernel* kernel = registry_.find_kernel(op, "cpu", query);
    CHECK(kernel != nullptr, "no kernel for {}", node.op);
    const int64_t bytes =
        kernel->workspace_bytes == nullptr ? 0 : kernel->workspace_bytes(query).evaluate({});
    const TestTensor workspace(DType::kU8, {bytes});
    kernel->run({.inputs = inputs,
                 .outputs = outputs,
                 .workspace = workspace.tensor(),
                 .attributes = node.attributes,
                 .live_rows = case_.live_rows ? &live_rows_ : nullptr,
                 .stream = stream_});
  }

  const OpRegistry& registry_;
  const Graph& graph_;
  const OpCase& case_;
  Capabilities capabilities_;
  ThreadPool pool_;
  CpuStream stream_;
  std::vector<TestTensor> memory_;  // by storage
  int32_t live_rows_;
};

}  // namespace

OpRun run_decomposition(const OpRegistry& registry, const OpCase& op_case) {
  const OpDef& op = registry.get(op_case.op);
  CHECK(op.decomposition != nullptr, "{} has no decomposition", op_case.op);
  GraphBuilder builder(registry, "decomposition", Device{});
  std::vector<Value> inputs;
  for (size_t i = 0; i < op_case.inputs.size(); ++i) {
    const Meta meta = op_case.inputs[i].meta();
    CHECK(meta.is_contiguous(), "input {} is not contiguous", i);
    inputs.push_back(builder.input("input" + std::to_string(i), meta.dtype, meta.shape));
  }
  Attributes attributes = op_case.attributes;
  for (const SchemaArgument& argument : op.schema.arguments) {
    if (argument.default_value && !attributes.contains(argument.name))
      attributes.set(argument.name, *argument.default_value);
  }
  const std::vector<Value> results = op.decomposition(builder, inputs, attributes);

  Interpreter interpreter(registry, builder.graph(), op_case);
  for (size_t i = 0; i < inputs.size(); ++i) interpreter.set_input(inputs[i].id(), op_case.inputs[i]);
  interpreter.run();
  OpRun run{.kernel = "decomposition", .outputs = {}, .inputs = op_case.inputs};
  const auto arguments = op.schema.tensors();
  size_t next = op.schema.returns.size();
  for (size_t i = 0; i < next; ++i) run.outputs.push_back(interpreter.result(results[i].id()));
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i]->mutated) run.inputs[i] = interpreter.result(results[next++].id());
  }
  return run;
}

}  // namespace musaic::testing
