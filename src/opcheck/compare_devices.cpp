#include "opcheck/compare_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "base/status.h"
#include "opcheck/check_fake.h"
#include "opcheck/check_kernel.h"
#include "opcheck/device_call.h"
#include "opcheck/sample_calls.h"

namespace musaic {
namespace {

// The allowed share of the largest magnitude.
double tolerance_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 1e-4;  // sums of some thousand terms in another order
    case DType::kF16:
      return 2e-3;  // two roundings to 11 bits
    case DType::kBF16:
      return 1.6e-2;  // two roundings to 8 bits
    case DType::kF8E4M3:
      return 0.13;  // one step
    default:
      return 0.0;
  }
}

// Matrix units may add products of FP8 values in 14 bits; over a bf16 cache an attention kernel may round,
// over latents of 16 bits one that expands them may have keys and values in f16.
double allowance_of(const OpCheckResult& result) {
  if (result.op == "musaic::paged_attention" && result.dtype == name(DType::kBF16)) return 100.0;
  if (result.op == "musaic::mla_expanded_attention" && result.dtype != name(DType::kF32)) return 20.0;
  return result.dtype == name(DType::kF8E4M3) ? 10.0 : 1.0;
}

bool is_small_integer(DType dtype) {
  return dtype == DType::kI8 || dtype == DType::kU8;
}

bool has_values(DType dtype) {
  return tolerance_of(dtype) > 0.0 || dtype == DType::kI8 || dtype == DType::kI32;
}

// One op's samples on both devices.
class DeviceComparison {
 public:
  DeviceComparison(const OpRegistry& registry, Backend& device, Backend& reference,
                   const CaseListener& on_case)
      : registry_(registry), device_(device), reference_(reference), on_case_(on_case) {}

  void run(const OpDef& op) {
    if (op.is_view || !op.samples) return;
    for (const OpSample& sample : op.samples()) run(op, sample);
  }

  std::vector<OpCheckResult> results() const {
    std::vector<OpCheckResult> out;
    for (const auto& [key, result] : results_) out.push_back(result);
    return out;
  }

 private:
  void run(const OpDef& op, const OpSample& sample) {
    const std::string dtype = dtype_of(sample);
    OpCheckResult& result = results_[{op.schema.name, dtype}];
    result.op = op.schema.name;
    result.device = device_.device().type;
    result.dtype = dtype;
    const FakeCheck fake = check_fake(op, sample, device_.device());
    const Attributes attributes = complete_attributes(op.schema, sample.attributes);
    std::vector<Meta> outputs;
    for (const FakeOutput& output : fake.outputs) outputs.push_back(output.meta);
    const CallQuery query(op, sample, attributes, outputs, device_);
    const CallQuery reference_query(op, sample, attributes, outputs, reference_);
    const Kernel* expected = registry_.find_kernel(op, reference_.device().type, reference_query.query());
    bool taken = false;
    for (const Kernel& kernel : op.kernels) {
      if (kernel.device_type != device_.device().type || expected == nullptr) continue;
      if (kernel.supports && !kernel.supports(query.query())) continue;
      taken = true;
      result.kernels.insert(kernel.name);
      for (const std::optional<int32_t>& live_rows : live_rows_of(sample)) {
        ++result.cases;
        compare({op, kernel, sample, attributes, outputs, fake.has_rows, live_rows},
                {op, *expected, sample, attributes, outputs, fake.has_rows, live_rows}, result);
      }
    }
    result.without_kernel += !taken;
  }

  void compare(const CheckedCall& call, const CheckedCall& expected, OpCheckResult& result) {
    const std::string name =
        fmt::format("{}, {} against {}", call.sample.name, call.kernel.name, expected.kernel.name);
    if (on_case_) on_case_(fmt::format("{}: {}", call.op.schema.name, name));
    const auto fail = [&](const std::string& problem) {
      result.failures.push_back(fmt::format("{}: {}", name, problem));
    };
    try {
      const KernelCheck got = run_kernel(call, device_);
      const KernelCheck want = run_kernel(expected, reference_);
      for (size_t i = 0; i < got.outputs.size(); ++i) {
        const std::string problem = far_apart(got.outputs[i], want.outputs[i], allowance_of(result));
        if (!problem.empty()) return fail(fmt::format("output {}: {}", i, problem));
      }
      for (size_t i = 0; i < got.inputs.size(); ++i) {
        if (!got.inputs[i].defined()) continue;
        const std::string problem = far_apart(got.inputs[i], want.inputs[i]);
        if (!problem.empty()) return fail(fmt::format("input {}: {}", i, problem));
      }
    } catch (const LoadError& error) {
      fail(error.what());
    }
  }

  const OpRegistry& registry_;
  Backend& device_;
  Backend& reference_;
  const CaseListener& on_case_;
  std::map<std::tuple<std::string, std::string>, OpCheckResult> results_;
};

}  // namespace

std::string far_apart(const HostTensor& got, const HostTensor& expected, double allowance) {
  if (got.same_bits(expected)) return "";
  const DType dtype = got.meta().dtype;
  if (!has_values(dtype)) return "the bytes differ";
  const std::vector<float> a = got.to_floats();
  const std::vector<float> b = expected.to_floats();
  double scale = 0.0;
  for (float value : b) {
    if (std::isfinite(value)) scale = std::max(scale, std::abs(static_cast<double>(value)));
  }
  const double allowed = is_small_integer(dtype) ? 1.0 : tolerance_of(dtype) * allowance * scale;
  for (size_t i = 0; i < a.size(); ++i) {
    const bool equal = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
    if (equal || std::abs(static_cast<double>(a[i]) - b[i]) <= allowed) continue;
    return fmt::format("value {} of {} is {}, expected {} (largest magnitude {:.4g})", i, a.size(), a[i],
                       b[i], scale);
  }
  return "";
}

std::vector<OpCheckResult> compare_devices(const OpRegistry& registry, const std::vector<std::string>& ops,
                                           Backend& device, Backend& reference, const CaseListener& on_case) {
  DeviceComparison comparison(registry, device, reference, on_case);
  for (const std::string& name : ops) comparison.run(registry.get(name));
  return comparison.results();
}

}  // namespace musaic
