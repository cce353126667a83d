#include <gmock/gmock.h>

#include <vector>

#include "backends/gpu/gpu_backend.h"
#include "backends/gpu/gpu_test_kernels.h"

namespace musaic {
namespace {

class GpuExecutablesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (count_gpus() == 0) GTEST_SKIP() << "no GPU here";
  }

  void open(int budget) {
    backend_ = std::make_unique<GpuBackend>(GpuOptions{.executable_budget = budget});
    memory_ = backend_->allocate(64 * sizeof(int32_t), "counters");
  }

  // A graph that adds 1 to one counter `times` times.
  std::unique_ptr<CapturedGraph> counting(int counter, int times = 1) {
    GpuStream& stream = gpu_stream(backend_->stream());
    backend_->begin_capture(stream);
    for (int i = 0; i < times; ++i)
      launch_increment(static_cast<int32_t*>(memory_->data()) + counter, stream.handle());
    return backend_->end_capture(stream);
  }

  std::vector<int32_t> counters(size_t count) {
    std::vector<int32_t> seen(count);
    backend_->copy_to_host(seen.data(), memory_->data(), count * sizeof(int32_t), backend_->stream());
    return seen;
  }

  std::unique_ptr<GpuBackend> backend_;
  std::unique_ptr<DeviceMemory> memory_;
};

TEST_F(GpuExecutablesTest, GraphsBeyondTheBudgetTakeTurnsAndKeepTheirWork) {
  open(3);
  std::vector<std::unique_ptr<CapturedGraph>> graphs;
  for (int i = 0; i < 8; ++i) graphs.push_back(counting(i));
  EXPECT_EQ(backend_->graph_executables().live, 3);
  EXPECT_EQ(backend_->graph_executables().graphs, 8);
  for (int round = 0; round < 5; ++round) {
    for (const auto& graph : graphs) graph->replay(backend_->stream());
  }
  EXPECT_EQ(counters(8), std::vector<int32_t>(8, 5));
  EXPECT_EQ(backend_->graph_executables().live, 3);
  EXPECT_GE(backend_->graph_executables().rotations, 5u * 8 - 3);
}

TEST_F(GpuExecutablesTest, TheOneUsedLongestAgoGivesItsExecutable) {
  open(2);
  const auto first = counting(0), second = counting(1), third = counting(2);
  first->replay(backend_->stream());  // the second is the oldest now
  third->replay(backend_->stream());  // and gives way
  first->replay(backend_->stream());
  EXPECT_EQ(backend_->graph_executables().rotations, 1u);
  second->replay(backend_->stream());
  EXPECT_EQ(backend_->graph_executables().rotations, 2u);
  EXPECT_EQ(counters(3), (std::vector<int32_t>{2, 1, 1}));
}

TEST_F(GpuExecutablesTest, AnOldOneOfTheSameShapeGivesItsExecutable) {
  open(4);
  const auto one = counting(0, 1), two = counting(1, 2), other = counting(2, 1), last = counting(3, 1);
  const auto waiting = counting(4, 2);
  const uint64_t made = backend_->device_calls().executables;
  for (CapturedGraph* graph : {one.get(), two.get(), other.get(), last.get(), waiting.get()})
    graph->replay(backend_->stream());
  EXPECT_EQ(backend_->graph_executables().rotations, 1u);
  EXPECT_EQ(backend_->device_calls().executables, made) << "rewritten, though that of the first is older";
  one->replay(backend_->stream());
  EXPECT_EQ(backend_->graph_executables().rotations, 1u);
  EXPECT_EQ(counters(5), (std::vector<int32_t>{2, 2, 1, 1, 2}));
}

TEST_F(GpuExecutablesTest, AMemoryBudgetHoldsSoMany) {
  const auto budget_of = [](GpuOptions options) { return GpuBackend(options).graph_executables().budget; };
  EXPECT_EQ(budget_of({.executable_budget = 0, .graph_memory_budget = 7 * kExecutableBytes + 1}), 7);
  EXPECT_EQ(budget_of({.executable_budget = 5, .graph_memory_budget = 7 * kExecutableBytes}), 5);
  EXPECT_EQ(budget_of({.executable_budget = 9, .graph_memory_budget = 7 * kExecutableBytes}), 7);
  EXPECT_EQ(budget_of({.executable_budget = 0, .graph_memory_budget = 1}), 1);
  EXPECT_EQ(budget_of({.executable_budget = 0}), 0);
}

// The driver cannot rewrite one into the other.
TEST_F(GpuExecutablesTest, GraphsOfOtherShapesTakeTurnsWhileTheirWorkIsUnderWay) {
  open(1);
  const auto one = counting(0, 1), two = counting(1, 2), three = counting(2, 3);
  for (int round = 0; round < 3; ++round) {
    for (CapturedGraph* graph : {one.get(), two.get(), three.get()}) graph->replay(backend_->stream());
  }
  EXPECT_EQ(counters(3), (std::vector<int32_t>{3, 6, 9}));
  EXPECT_EQ(backend_->graph_executables().live, 1);
}

TEST_F(GpuExecutablesTest, AGraphThatEndsMakesRoom) {
  open(1);
  auto first = counting(0);
  const auto second = counting(1);
  first->replay(backend_->stream());
  first.reset();
  EXPECT_EQ(backend_->graph_executables().live, 0);
  second->replay(backend_->stream());
  EXPECT_EQ(backend_->graph_executables().live, 1);
  EXPECT_EQ(backend_->graph_executables().graphs, 1);
  EXPECT_EQ(counters(2), (std::vector<int32_t>{1, 1}));
}

TEST_F(GpuExecutablesTest, WithoutABudgetEachHasItsOwn) {
  open(0);
  std::vector<std::unique_ptr<CapturedGraph>> graphs;
  for (int i = 0; i < 8; ++i) graphs.push_back(counting(i));
  for (const auto& graph : graphs) graph->replay(backend_->stream());
  EXPECT_EQ(counters(8), std::vector<int32_t>(8, 1));
  EXPECT_EQ(backend_->graph_executables().live, 8);
  EXPECT_EQ(backend_->graph_executables().rotations, 0u);
}

TEST_F(GpuExecutablesTest, WaitingGraphsTakeNoMemoryOfTheDevice) {
  open(1);
  const auto first = counting(0), second = counting(1);
  EXPECT_GT(first->bytes(), 0u);
  EXPECT_EQ(second->bytes(), 0u);
}

}  // namespace
}  // namespace musaic
