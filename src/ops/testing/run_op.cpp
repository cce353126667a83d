#include "ops/testing/run_op.h"

#include <gtest/gtest.h>

#include <cstring>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/thread_pool.h"
#include "base/status.h"
#include "ir/builder.h"
#include "ops/kernels_cpu.h"
#include "ops/op_list.h"

namespace musaic::testing {
namespace {

Shape evaluate(const DimShape& dims) {
  std::vector<int64_t> numbers;
  for (const Dim& dim : dims) numbers.push_back(dim.evaluate({}));
  return Shape(numbers);
}

Attributes complete(const Schema& schema, const Attributes& given) {
  Attributes out = given;
  for (const SchemaArgument& argument : schema.arguments) {
    if (argument.default_value && argument.type != SchemaType::kTensor && !out.contains(argument.name))
      out.set(argument.name, *argument.default_value);
  }
  return out;
}

// An op with memory for one call, at addresses that stay the same from run to run.
class BoundOp {
 public:
  BoundOp(const OpRegistry& registry, const OpCase& op_case)
      : case_(op_case),
        op_(registry.get(op_case.op)),
        attributes_(complete(op_.schema, op_case.attributes)),
        capabilities_(use_cpu_isa(op_case.isa)),
        inputs_(op_case.inputs),
        live_rows_(op_case.live_rows.value_or(0)) {
    inputs_.resize(static_cast<size_t>(op_.schema.num_tensors()));
    make_outputs();
    choose_kernel(registry);
    if (kernel_->packing) pack(*kernel_->packing);
  }

  // Inputs as given, outputs and workspace full of poison.
  void reset() {
    for (size_t i = 0; i < case_.inputs.size(); ++i) {
      if (inputs_[i].defined()) std::memcpy(inputs_[i].data(), case_.inputs[i].data(), inputs_[i].bytes());
    }
    for (TestTensor& output : outputs_) output.poison();
    std::memset(workspace_.data(), 0xFF, workspace_.bytes());
  }

  void run(CpuStream& stream) {
    std::vector<Tensor> inputs;
    for (const TestTensor& input : inputs_) inputs.push_back(input.tensor());
    if (packed_.defined()) inputs[static_cast<size_t>(kernel_->packing->input)].data = packed_.data();
    std::vector<Tensor> outputs;
    for (const TestTensor& output : outputs_) outputs.push_back(output.tensor());
    kernel_->run({.inputs = inputs,
                  .outputs = outputs,
                  .workspace = workspace_.tensor(),
                  .attributes = attributes_,
                  .live_rows = case_.live_rows ? &live_rows_ : nullptr,
                  .stream = stream});
  }

  OpRun result() const { return {kernel_->name, outputs_, inputs_}; }
  const Schema& schema() const { return op_.schema; }

 private:
  void make_outputs() {
    for (const TestTensor& input : inputs_) input_metas_.push_back(input.meta());
    for (size_t i = 0; i < inputs_.size(); ++i)
      input_pointers_.push_back(inputs_[i].defined() ? &input_metas_[i] : nullptr);
    for (const FakeOutput& fake : op_.fake({op_.schema, input_pointers_, attributes_})) {
      output_metas_.push_back(fake.meta);
      outputs_.emplace_back(fake.meta.dtype, evaluate(fake.meta.shape));
    }
  }

  void choose_kernel(const OpRegistry& registry) {
    std::vector<const Meta*> outputs;
    for (const Meta& meta : output_metas_) outputs.push_back(&meta);
    const KernelQuery query{input_pointers_, outputs, attributes_, capabilities_};
    for (const Kernel& kernel : op_.kernels) {
      if (kernel.name == case_.kernel && kernel.supports(query)) kernel_ = &kernel;
    }
    if (case_.kernel.empty()) kernel_ = registry.find_kernel(op_, "cpu", query);
    if (kernel_ == nullptr) fail_load("{}: no kernel {} for this case", case_.op, case_.kernel);
    const int64_t bytes =
        kernel_->workspace_bytes == nullptr ? 0 : kernel_->workspace_bytes(query).evaluate({});
    workspace_ = TestTensor(DType::kU8, {bytes});
  }

  // In two ranges, as threads would.
  void pack(const WeightPacking& packing) {
    const TestTensor& weight = inputs_[static_cast<size_t>(packing.input)];
    const Tensor tensor = weight.tensor();
    const WeightRows source{
        tensor.dtype, tensor.shape[0], tensor.shape[1], {{tensor.shape[0], weight.data()}}};
    packed_ = TestTensor(DType::kU8, {static_cast<int64_t>(packing.bytes(source.rows, source.columns))});
    const int64_t half = source.rows / 2 / packing.row_alignment * packing.row_alignment;
    if (half > 0) packing.pack(source, 0, half, packed_.data());
    packing.pack(source, half, source.rows, packed_.data());
  }

  OpCase case_;
  const OpDef& op_;
  Attributes attributes_;
  Capabilities capabilities_;
  std::vector<TestTensor> inputs_;
  std::vector<Meta> input_metas_;
  std::vector<const Meta*> input_pointers_;
  std::vector<Meta> output_metas_;
  std::vector<TestTensor> outputs_;
  TestTensor workspace_;
  TestTensor packed_;
  const Kernel* kernel_ = nullptr;
  int32_t live_rows_;
};

void expect_same(const OpRun& got, const OpRun& expected, const std::string& what) {
  for (size_t i = 0; i < expected.outputs.size(); ++i)
    EXPECT_TRUE(got.outputs[i].same_bits(expected.outputs[i])) << what << ": output " << i << " differs";
  for (size_t i = 0; i < expected.inputs.size(); ++i)
    EXPECT_TRUE(got.inputs[i].same_bits(expected.inputs[i])) << what << ": input " << i << " differs";
}

void expect_untouched(const OpRun& run, const OpCase& op_case, const Schema& schema) {
  const auto arguments = schema.tensors();
  for (size_t i = 0; i < op_case.inputs.size(); ++i) {
    if (arguments[i]->mutated) continue;
    EXPECT_TRUE(run.inputs[i].same_bits(op_case.inputs[i])) << run.kernel << " wrote " << arguments[i]->name;
  }
  if (!op_case.live_rows) return;
  for (const TestTensor& output : run.outputs) {
    for (int64_t row = *op_case.live_rows; row < output.tensor().shape[0]; ++row)
      EXPECT_TRUE(output.row_is_poisoned(row)) << run.kernel << " wrote pad row " << row;
  }
}

}  // namespace

OpRegistry cpu_registry() {
  OpRegistry registry;
  define_ops(registry);
  add_cpu_kernels(registry);
  return registry;
}

std::vector<CpuIsa> available_isas() {
  std::vector<CpuIsa> out;
  for (int isa = 0; isa <= static_cast<int>(detect_cpu_isa()); ++isa) out.push_back(static_cast<CpuIsa>(isa));
  return out;
}

OpRun run_op(const OpRegistry& registry, const OpCase& op_case) {
  BoundOp op(registry, op_case);
  ThreadPool pool(op_case.num_threads);
  CpuStream stream(pool);
  op.reset();
  op.run(stream);
  return op.result();
}

OpRun check_op(const OpRegistry& registry, const OpCase& op_case) {
  BoundOp op(registry, op_case);
  ThreadPool pool(op_case.num_threads);
  CpuStream stream(pool);
  op.reset();
  op.run(stream);
  const OpRun eager = op.result();
  expect_untouched(eager, op_case, op.schema());

  stream.begin_capture();
  op.run(stream);
  const std::vector<CpuLaunch> launches = stream.end_capture();
  for (const char* what : {"first replay", "second replay"}) {
    op.reset();
    stream.replay(launches);
    expect_same(op.result(), eager, what);
  }

  ThreadPool one_thread(1);
  CpuStream serial(one_thread);
  op.reset();
  op.run(serial);
  expect_same(op.result(), eager, "one thread");
  return eager;
}

}  // namespace musaic::testing
