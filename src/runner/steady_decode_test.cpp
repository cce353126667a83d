// What the driver is asked for while steps follow one another.
#include <gtest/gtest.h>

#include <utility>

#include "device/launch_ahead.h"
#include "ops/linked_gpu.h"
#include "runner/model_for_test.h"

namespace musaic {
namespace {

constexpr int kSequences = 3;
constexpr int kPrompt = 6;
constexpr int kWarmUpSteps = 2;
constexpr int kSteps = 20;

class SteadyDecode : public testing::Test {
 protected:
  void SetUp() override {
    const LinkedGpu gpu = linked_gpu();
    if (gpu.type.empty() || gpu.count() == 0) GTEST_SKIP() << "no GPU here";
    model_ =
        std::make_unique<TinyModel>("llama", GraphRunnerOptions{.max_sequences = kSequences, .overlap = true},
                                    TestDevice{.backend = gpu.make({})});
    while (model_->runner().capture_next()) {
    }
    for (int slot = 0; slot < kSequences; ++slot)
      model_->run({StepKind::kExtend, {model_->sequence(slot, prompt(slot), 0, true)}});
  }

  static std::vector<TokenId> prompt(int slot) {
    std::vector<TokenId> tokens;
    for (int i = 0; i < kPrompt; ++i) tokens.push_back(40 * slot + 7 * i + 1);
    return tokens;
  }

  Batch decode_step(int step, TokenId token) const {
    Batch batch{StepKind::kDecode, {}};
    for (int slot = 0; slot < kSequences; ++slot)
      batch.sequences.push_back(model_->sequence(slot, {token}, kPrompt + step, true));
    return batch;
  }

  DeviceCalls calls() { return launch_ahead(model_->backend())->device_calls(); }

  std::unique_ptr<TinyModel> model_;
};

TEST_F(SteadyDecode, OverlappedStepsAllocateNothingMakeNothingAndLeaveTheDeviceSomethingToDo) {
  GraphRunner& runner = model_->runner();
  Runner::Ticket last = runner.launch(decode_step(0, 5));
  DeviceCalls before;
  for (int step = 1; step <= kWarmUpSteps + kSteps; ++step) {
    if (step == kWarmUpSteps + 1) before = calls();
    const Runner::Ticket next = runner.launch(decode_step(step, kTokenFromDevice));
    const StepOutput output = runner.collect(std::exchange(last, next)).value();
    EXPECT_TRUE(output.record.replayed);
    EXPECT_EQ(output.record.waited, "");
  }
  const DeviceCalls after = calls();
  EXPECT_EQ(after.allocations, before.allocations);
  EXPECT_EQ(after.executables, before.executables);
  EXPECT_EQ(after.waits, before.waits);
  EXPECT_EQ(after.reads, before.reads + kSteps) << "each step's tokens, while the next one was enqueued";
  EXPECT_TRUE(runner.collect(last).ok());
}

TEST_F(SteadyDecode, StepsOneByOneWaitOnceEach) {
  for (int step = 0; step < kWarmUpSteps; ++step) model_->run(decode_step(step, 5));
  const DeviceCalls before = calls();
  for (int step = 0; step < kSteps; ++step) model_->run(decode_step(kWarmUpSteps + step, 5));
  const DeviceCalls after = calls();
  EXPECT_EQ(after.allocations, before.allocations);
  EXPECT_EQ(after.executables, before.executables);
  EXPECT_EQ(after.waits, before.waits + kSteps);
  EXPECT_EQ(after.reads, before.reads);
}

}  // namespace
}  // namespace musaic
