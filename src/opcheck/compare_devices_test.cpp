#include "opcheck/compare_devices.h"

#include <gmock/gmock.h>

#include <limits>

#include "backends/simulated/simulated_backend.h"
#include "ops/kernels_cpu.h"
#include "ops/kernels_simulated.h"
#include "ops/op_list.h"

namespace musaic {
namespace {

using testing::HasSubstr;

OpRegistry registry_of_both() {
  OpRegistry registry;
  define_ops(registry);
  add_cpu_kernels(registry);
  add_simulated_kernels(registry);
  return registry;
}

TEST(CompareDevices, FindsNoDifferenceBetweenTheCpuAndItsSimulation) {
  const OpRegistry registry = registry_of_both();
  CpuBackend cpu({.num_threads = 1, .isa = std::nullopt});
  SimulatedBackend simulated({.num_threads = 2, .isa = std::nullopt});
  std::vector<std::string> heard;
  const auto results = compare_devices(registry, {"aten::rms_norm", "aten::linear"}, simulated, cpu,
                                       [&](const std::string& text) { heard.push_back(text); });
  ASSERT_FALSE(results.empty());
  size_t cases = 0;
  for (const OpCheckResult& result : results) {
    EXPECT_GT(result.cases, 0);
    EXPECT_THAT(result.failures, testing::IsEmpty()) << result.op;
    cases += static_cast<size_t>(result.cases);
  }
  EXPECT_EQ(heard.size(), cases);
  EXPECT_THAT(heard.front(), testing::StartsWith("aten::rms_norm: "));
  EXPECT_THAT(heard.front(), HasSubstr(" against "));
}

TEST(CompareDevices, NamesAKernelWhoseResultsAreOff) {
  OpRegistry registry = registry_of_both();
  Kernel kernel;
  for (const Kernel& known : registry.get("aten::silu").kernels) {
    if (known.device_type == "simulated") kernel = known;
  }
  kernel.name = "silu_of_nothing";
  kernel.run = [](const KernelCall& call) {
    if (call.outputs[0].elements() == 0) return;
    auto* y = host_address(call.outputs[0].as<float>());
    simulated_stream(call.stream).launch([y](const Worker& worker) {
      if (worker.index == 0) *y = 1e6f;
    });
  };
  registry.prefer_kernel("aten::silu", kernel);
  CpuBackend cpu({.num_threads = 1, .isa = std::nullopt});
  SimulatedBackend simulated({.num_threads = 1, .isa = std::nullopt});
  std::vector<std::string> failures;
  for (const OpCheckResult& result : compare_devices(registry, {"aten::silu"}, simulated, cpu))
    failures.insert(failures.end(), result.failures.begin(), result.failures.end());
  EXPECT_THAT(failures, testing::Contains(HasSubstr("silu_of_nothing against silu_cpu: output 0: value 0")));
  EXPECT_THAT(failures, testing::Not(testing::Contains(HasSubstr("silu_cpu_simulated against"))));
}

TEST(CompareDevices, AllowsWhatTypesExplainAndNoMore) {
  const auto floats = [](std::vector<float> values, DType dtype = DType::kF32) {
    const Shape shape{static_cast<int64_t>(values.size())};
    return HostTensor::floats(values, shape, dtype);
  };
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(far_apart(floats({1000, 1.05f}), floats({1000, 1})), "");
  EXPECT_THAT(far_apart(floats({1000, 1.2f}), floats({1000, 1})),
              HasSubstr("value 1 of 2 is 1.2, expected 1"));
  EXPECT_EQ(far_apart(floats({1, 1.01f}, DType::kBF16), floats({1, 1}, DType::kBF16)), "");
  EXPECT_NE(far_apart(floats({1, 1.1f}, DType::kBF16), floats({1, 1}, DType::kBF16)), "");
  EXPECT_EQ(far_apart(floats({kNan, 1}), floats({kNan, 1})), "");
  EXPECT_NE(far_apart(floats({kNan, 1}), floats({1, 1})), "");
  EXPECT_NE(far_apart(HostTensor::ints({1, 2}), HostTensor::ints({1, 3})), "");
}

}  // namespace
}  // namespace musaic
