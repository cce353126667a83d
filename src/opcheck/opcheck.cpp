#include "opcheck/opcheck.h"

#include <fmt/format.h>

#include <optional>

#include "base/status.h"
#include "opcheck/check_fake.h"
#include "opcheck/check_kernel.h"
#include "opcheck/device_call.h"
#include "opcheck/sample_calls.h"

namespace musaic {
namespace {

// One sample on one device: the fake, then each kernel that takes it.
class SampleCheck {
 public:
  SampleCheck(const OpDef& op, const OpSample& sample, Backend& backend, Backend* one_thread,
              const std::string& variant, const CaseListener& on_case, OpCheckResult& result)
      : op_(op),
        sample_(sample),
        backend_(backend),
        one_thread_(one_thread),
        variant_(variant),
        on_case_(on_case),
        result_(result),
        attributes_(complete_attributes(op.schema, sample.attributes)) {}

  void run() {
    const FakeCheck fake = check_fake(op_, sample_, backend_.device());
    for (const std::string& problem : fake.problems) fail("", problem);
    if (op_.is_view || !fake.problems.empty()) {
      ++result_.cases;
      return;
    }
    for (const FakeOutput& output : fake.outputs) outputs_.push_back(output.meta);
    has_rows_ = fake.has_rows;
    const CallQuery query(op_, sample_, attributes_, outputs_, backend_);
    bool taken = false;
    for (const Kernel& kernel : op_.kernels) {
      if (kernel.device_type != backend_.device().type) continue;
      if (kernel.supports && !kernel.supports(query.query())) continue;
      taken = true;
      run_kernel_with_pads(kernel);
    }
    result_.without_kernel += !taken;
  }

 private:
  void run_kernel_with_pads(const Kernel& kernel) {
    result_.kernels.insert(kernel.name);
    for (const std::optional<int32_t>& live_rows : live_rows_of(sample_)) {
      ++result_.cases;
      const CheckedCall call{op_, kernel, sample_, attributes_, outputs_, has_rows_, live_rows};
      const std::string which =
          kernel.name + (live_rows ? fmt::format(", {} live", *live_rows) : std::string());
      if (on_case_) on_case_(fmt::format("{}: {}", op_.schema.name, case_name(which)));
      try {
        for (const std::string& problem : check_kernel(call, backend_, one_thread_).problems)
          fail(which, problem);
      } catch (const LoadError& error) {
        fail(which, error.what());
      }
    }
  }

  // `kernel` may be empty, as the variant.
  std::string case_name(const std::string& kernel) const {
    return fmt::format("{}{}{}{}", sample_.name, kernel.empty() ? "" : ", ", kernel,
                       variant_.empty() ? "" : " (" + variant_ + ")");
  }

  void fail(const std::string& kernel, const std::string& problem) {
    result_.failures.push_back(fmt::format("{}: {}", case_name(kernel), problem));
  }

  const OpDef& op_;
  const OpSample& sample_;
  Backend& backend_;
  Backend* one_thread_;
  const std::string& variant_;
  const CaseListener& on_case_;
  OpCheckResult& result_;
  const Attributes attributes_;
  std::vector<Meta> outputs_;
  std::vector<bool> has_rows_;
};

}  // namespace

OpChecks::OpChecks(const OpRegistry& registry, std::vector<std::string> ops, CaseListener on_case)
    : registry_(registry), ops_(std::move(ops)), on_case_(std::move(on_case)) {}

void OpChecks::run(Backend& backend, Backend* one_thread, const std::string& variant) {
  devices_.insert(backend.device().type);
  for (const std::string& name : ops_) check_op(registry_.get(name), backend, one_thread, variant);
}

void OpChecks::check_op(const OpDef& op, Backend& backend, Backend* one_thread, const std::string& variant) {
  const std::string& device = backend.device().type;
  const auto result_for = [&](const std::string& dtype) -> OpCheckResult& {
    OpCheckResult& result = results_[{op.schema.name, device, dtype}];
    result.op = op.schema.name;
    result.device = device;
    result.dtype = dtype;
    return result;
  };
  std::vector<OpSample> samples;
  std::string problem = "it has no samples to be checked with";
  try {
    if (op.samples) samples = op.samples();
  } catch (const LoadError& error) {
    problem = error.what();
  }
  if (samples.empty()) {
    result_for("none").failures = {problem};
    return;
  }
  for (const OpSample& sample : samples)
    SampleCheck(op, sample, backend, one_thread, variant, on_case_, result_for(dtype_of(sample))).run();
}

std::vector<OpCheckResult> OpChecks::results() const {
  std::vector<OpCheckResult> out;
  for (const auto& [key, result] : results_) out.push_back(result);
  return out;
}

std::vector<std::string> OpChecks::unreached_kernels() const {
  std::set<std::string> reached;
  for (const auto& [key, result] : results_) {
    for (const std::string& kernel : result.kernels) reached.insert(result.op + ": " + kernel);
  }
  std::vector<std::string> out;
  for (const std::string& name : ops_) {
    for (const Kernel& kernel : registry_.get(name).kernels) {
      const std::string one = name + ": " + kernel.name;
      if (devices_.contains(kernel.device_type) && !reached.contains(one)) out.push_back(one);
    }
  }
  return out;
}

}  // namespace musaic
