#include <gtest/gtest.h>

#include <algorithm>

#include "backends/simulated/simulated_backend.h"
#include "ir/op_sample.h"
#include "opcheck/opcheck.h"
#include "ops/kernels_cpu.h"
#include "ops/kernels_simulated.h"
#include "ops/op_list.h"

namespace musaic {
namespace {

constexpr CpuIsa kLevels[] = {CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAvx512Vnni, CpuIsa::kAvx512Bf16};

class BuiltinOps : public testing::Test {
 protected:
  BuiltinOps() {
    define_ops(registry_);
    add_cpu_kernels(registry_);
    add_simulated_kernels(registry_);
  }

  OpChecks all_checks() const {
    std::vector<std::string> names;
    for (const auto& [name, op] : registry_.ops()) names.push_back(name);
    return OpChecks(registry_, names);
  }

  template <class Device>
  void expect_all_pass() {
    OpChecks checks = all_checks();
    for (CpuIsa isa : kLevels) {
      if (isa > detect_cpu_isa()) continue;
      Device device({.num_threads = 2, .isa = isa});
      Device one_thread({.num_threads = 1, .isa = isa});
      checks.run(device, &one_thread, std::string(name(isa)));
    }
    int cases = 0;
    for (const OpCheckResult& result : checks.results()) {
      cases += result.cases;
      EXPECT_GT(result.cases, 0) << result.op << " " << result.dtype;
      EXPECT_EQ(result.without_kernel, 0) << result.op << " " << result.dtype;
      for (const std::string& failure : result.failures) ADD_FAILURE() << result.op << ": " << failure;
    }
    EXPECT_GT(cases, 1500);                              // more where more instruction sets are
    if (detect_cpu_isa() < CpuIsa::kAvx512Vnni) return;  // has kernels that nothing can run here
    EXPECT_EQ(checks.unreached_kernels(), std::vector<std::string>{});
  }

  OpRegistry registry_;
};

TEST_F(BuiltinOps, AllPassOnTheCpuAtEveryInstructionSet) {
  expect_all_pass<CpuBackend>();
}

TEST_F(BuiltinOps, AllPassOnTheSimulatedDevice) {
  expect_all_pass<SimulatedBackend>();
}

TEST_F(BuiltinOps, TheSimulatedDeviceDeclaresEachSoThatEveryPassMayFire) {
  for (const auto& [name, op] : registry_.ops()) {
    const auto is_simulated = [](const Kernel& kernel) { return kernel.device_type == "simulated"; };
    EXPECT_EQ(std::ranges::any_of(op.kernels, is_simulated), !op.is_view) << name;
  }
}

TEST_F(BuiltinOps, EachHasSamplesOfNoRowOneRowAndMore) {
  for (const auto& [name, op] : registry_.ops()) {
    ASSERT_TRUE(op.samples) << name;
    std::set<int64_t> rows;
    for (const OpSample& sample : op.samples()) {
      for (const SampleInput& input : sample.inputs) {
        if (input.has_rows) rows.insert(std::min<int64_t>(2, input.tensor.tensor().shape[0]));
      }
    }
    EXPECT_TRUE(rows.contains(0)) << name << " with no rows";
    EXPECT_TRUE(rows.contains(1)) << name << " with one row";
    EXPECT_TRUE(rows.contains(2)) << name << " with several rows";
  }
}

}  // namespace
}  // namespace musaic
