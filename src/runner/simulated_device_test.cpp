#include <gtest/gtest.h>

#include "backends/simulated/simulated_backend.h"
#include "runner/model_for_test.h"

namespace musaic {
namespace {

class SimulatedDevice : public testing::TestWithParam<const char*> {};

// Prompt in chunks and decode, every step from a replay, on the device that forgives nothing.
TEST_P(SimulatedDevice, ServesTheCpusTokensFromReplays) {
  const GraphRunnerOptions options{.max_tokens_per_step = 32, .max_graph_tokens = 32, .max_sequences = 4};
  TinyModel cpu(GetParam(), options);
  auto backend = std::make_unique<SimulatedBackend>();
  const SimulatedBackend& device = *backend;
  TinyModel simulated(GetParam(), options, {.backend = std::move(backend)});
  EXPECT_EQ(simulated.runner().memory().mapped_weight_bytes, 0u);
  EXPECT_GE(device.copied_to_device_bytes(), simulated.runner().memory().weight_bytes);
  while (simulated.runner().capture_next()) {
  }
  const CaptureSchedule::Totals totals = simulated.runner().captures().totals();
  EXPECT_EQ(totals.captured, totals.buckets);
  const std::vector<TokenId> prompt = cpu.golden()[0]["input_ids"];
  EXPECT_EQ(simulated.generate(0, prompt, 6, 16), cpu.generate(0, prompt, 6, 16));
}

TEST_P(SimulatedDevice, EveryPassFiresThatFiresOnTheCpu) {
  TinyModel cpu(GetParam());
  TinyModel simulated(GetParam(), {}, {.backend = std::make_unique<SimulatedBackend>()});
  const auto& expected = cpu.runner().graphs().extend.passes;
  const auto& got = simulated.runner().graphs().extend.passes;
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i].rewrites, expected[i].rewrites) << got[i].name;
}

// However many requests there is room for.
TEST_P(SimulatedDevice, AStepBringsWhatItUsesOfItsInputsAndNoMore) {
  const auto bytes_of_a_step = [](int max_sequences) {
    auto backend = std::make_unique<SimulatedBackend>();
    const SimulatedBackend& device = *backend;
    TinyModel model(GetParam(), {.max_sequences = max_sequences}, {.backend = std::move(backend)});
    model.run({StepKind::kExtend, {model.sequence(0, {1, 2, 3}, 0, true)}});
    const size_t before = device.copied_to_device_bytes();
    model.run({StepKind::kDecode, {model.sequence(0, {4}, 3, true)}});
    return device.copied_to_device_bytes() - before;
  };
  const size_t bytes = bytes_of_a_step(2);
  EXPECT_LE(bytes, 256u);
  EXPECT_EQ(bytes_of_a_step(64), bytes);
}

INSTANTIATE_TEST_SUITE_P(Tiny, SimulatedDevice, testing::Values("llama", "qwen3"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace musaic
