#include "ops/testing/run_with_features.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "ir/op_sample.h"
#include "opcheck/check_fake.h"
#include "opcheck/check_kernel.h"
#include "opcheck/device_call.h"
#include "ops/op_list.h"
#include "ops/testing/test_device.h"

namespace musaic::testing {
namespace {

// What a test gives as a sample: pad rows hold what the test put there, and it says itself what is written.
OpSample sample_of(const OpCase& op_case) {
  OpSample sample{.name = "test", .inputs = {}, .attributes = op_case.attributes, .partial = true};
  for (const TestTensor& input : op_case.inputs) sample.inputs.push_back({.tensor = input});
  return sample;
}

// A case as a call of the kernel that it names or that comes first.
class CaseCall {
 public:
  CaseCall(const OpRegistry& registry, const OpCase& op_case, const Backend& backend,
           const std::vector<std::string>& features = {})
      : op_(registry.get(op_case.op)),
        sample_(sample_of(op_case)),
        attributes_(complete_attributes(op_.schema, op_case.attributes)),
        live_rows_(op_case.live_rows),
        capabilities_(backend.capabilities()) {
    capabilities_.features.insert(features.begin(), features.end());
    make_outputs();
    choose_kernel(registry, op_case, backend);
  }

  CheckedCall call() const { return {op_, *kernel_, sample_, attributes_, outputs_, has_rows_, live_rows_}; }
  const std::string& kernel() const { return kernel_->name; }

 private:
  void make_outputs() {
    std::vector<Meta> metas;
    std::vector<const Meta*> pointers;
    metas.reserve(sample_.inputs.size());
    for (const SampleInput& input : sample_.inputs) {
      metas.push_back(input.tensor.meta());
      pointers.push_back(input.tensor.defined() ? &metas.back() : nullptr);
    }
    pointers.resize(static_cast<size_t>(op_.schema.num_tensors()));
    for (const FakeOutput& output : op_.fake({op_.schema, pointers, attributes_}))
      outputs_.push_back(output.meta);
    has_rows_.assign(outputs_.size(), live_rows_.has_value());
  }

  // Names are those of the CPU's kernels: another device takes its first.
  void choose_kernel(const OpRegistry& registry, const OpCase& op_case, const Backend& backend) {
    const CallQuery call(op_, sample_, attributes_, outputs_, backend);
    const KernelQuery query = {call.query().inputs, call.query().outputs, attributes_, capabilities_};
    const std::string& device = backend.device().type;
    if (op_case.kernel.empty() || device != "cpu") {
      kernel_ = registry.find_kernel(op_, device, query);
    } else {
      for (const Kernel& kernel : op_.kernels) {
        const bool takes = !kernel.supports || kernel.supports(query);
        if (kernel.name == op_case.kernel && takes) kernel_ = &kernel;
      }
    }
    if (kernel_ == nullptr) fail_load("{}: no kernel {} for this case", op_case.op, op_case.kernel);
  }

  const OpDef& op_;
  const OpSample sample_;
  const Attributes attributes_;
  const std::optional<int32_t> live_rows_;
  Capabilities capabilities_;
  std::vector<Meta> outputs_;
  std::vector<bool> has_rows_;
  const Kernel* kernel_ = nullptr;
};

std::unique_ptr<Backend> backend_for(const OpCase& op_case, int num_threads) {
  return make_test_backend({.num_threads = num_threads, .isa = op_case.isa});
}

}  // namespace

OpRegistry cpu_registry() {
  OpRegistry registry;
  define_ops(registry);
  add_test_kernels(registry);
  return registry;
}

std::vector<CpuIsa> available_isas() {
  std::vector<CpuIsa> out;
  for (int isa = 0; isa <= static_cast<int>(detect_cpu_isa()); ++isa) out.push_back(static_cast<CpuIsa>(isa));
  return out;
}

OpRun run_op(const OpRegistry& registry, const OpCase& op_case) {
  const auto backend = backend_for(op_case, op_case.num_threads);
  const CaseCall call(registry, op_case, *backend);
  KernelCheck run = run_kernel(call.call(), *backend);
  return {call.kernel(), std::move(run.outputs), std::move(run.inputs)};
}

OpRun check_op(const OpRegistry& registry, const OpCase& op_case) {
  return check_op_with_features(registry, op_case, {});
}

OpRun check_op_with_features(const OpRegistry& registry, const OpCase& op_case,
                             const std::vector<std::string>& features) {
  const auto backend = backend_for(op_case, op_case.num_threads);
  const auto one_thread = backend_for(op_case, 1);
  const CaseCall call(registry, op_case, *backend, features);
  KernelCheck check = check_kernel(call.call(), *backend, one_thread.get());
  for (const std::string& problem : check.problems) ADD_FAILURE() << call.kernel() << " " << problem;
  return {call.kernel(), std::move(check.outputs), std::move(check.inputs)};
}

}  // namespace musaic::testing
