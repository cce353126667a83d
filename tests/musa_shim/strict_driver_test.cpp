// What the device in host memory forbids, and how the backend meets it.
#include <gmock/gmock.h>

#include "backends/gpu/gpu_backend.h"
#include "backends/gpu/gpu_test_kernels.h"
#include "base/status.h"
#include "musa_shim_host.h"

namespace musaic {
namespace {

using testing::HasSubstr;

class StrictDriver : public testing::Test {
 protected:
  void SetUp() override { musaStreamCreateWithFlags(&stream_, musaStreamNonBlocking); }
  void TearDown() override { musaStreamDestroy(stream_); }

  musaGraphExec_t executable_of(std::function<void()> work) {
    musaGraph_t graph = nullptr;
    musaStreamBeginCapture(stream_, musaStreamCaptureModeThreadLocal);
    musa_shim::launch(stream_, std::move(work));
    musaStreamEndCapture(stream_, &graph);
    musaGraphExec_t executable = nullptr;
    EXPECT_EQ(musaGraphInstantiate(&executable, graph, nullptr, nullptr, 0), musaSuccess);
    musaGraphDestroy(graph);
    return executable;
  }

  musaStream_t stream_ = nullptr;
};

TEST_F(StrictDriver, WorkRunsWhenSomebodyWaits) {
  bool ran = false;
  musa_shim::launch(stream_, [&ran] { ran = true; });
  EXPECT_FALSE(ran);
  musaStreamSynchronize(stream_);
  EXPECT_TRUE(ran);
}

TEST_F(StrictDriver, ACopyReadsItsSourceWhenItRuns) {
  void* memory = nullptr;
  ASSERT_EQ(musaMalloc(&memory, 4), musaSuccess);
  int source = 1, seen = 0;
  musaMemcpyAsync(memory, &source, 4, musaMemcpyHostToDevice, stream_);
  source = 2;
  musaMemcpyAsync(&seen, memory, 4, musaMemcpyDeviceToHost, stream_);
  musaStreamSynchronize(stream_);
  EXPECT_EQ(seen, 2);
  musaFree(memory);
}

TEST_F(StrictDriver, AnAllocationEndsTheThreadsCapture) {
  void* memory = nullptr;
  musaGraph_t graph = nullptr;
  musaStreamBeginCapture(stream_, musaStreamCaptureModeThreadLocal);
  EXPECT_EQ(musaMalloc(&memory, 4), musaErrorStreamCaptureUnsupported);
  EXPECT_EQ(musaStreamEndCapture(stream_, &graph), musaErrorStreamCaptureInvalidated);
  EXPECT_EQ(graph, nullptr);
  EXPECT_EQ(musaGetLastError(), musaErrorStreamCaptureInvalidated);
}

TEST_F(StrictDriver, AnExecutableMayNotEndBeforeItsLaunchHas) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  musaGraphExec_t executable = executable_of([] {});
  musaGraphLaunch(executable, stream_);
  EXPECT_DEATH(musaGraphExecDestroy(executable), "destroyed before a launch of it ended");
  musaStreamSynchronize(stream_);
  EXPECT_EQ(musaGraphExecDestroy(executable), musaSuccess);
}

TEST_F(StrictDriver, ARewrittenExecutableLeavesEarlierLaunchesAsTheyWere) {
  int first = 0, second = 0;
  musaGraphExec_t executable = executable_of([&first] { ++first; });
  musaGraphLaunch(executable, stream_);
  musaGraph_t graph = nullptr;
  musaStreamBeginCapture(stream_, musaStreamCaptureModeThreadLocal);
  musa_shim::launch(stream_, [&second] { ++second; });
  musaStreamEndCapture(stream_, &graph);
  musaGraphExecUpdateResult result{};
  musaGraphNode_t node = nullptr;
  EXPECT_EQ(musaGraphExecUpdate(executable, graph, &node, &result), musaSuccess);
  musaGraphLaunch(executable, stream_);
  musaStreamSynchronize(stream_);
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
  musaGraphExecDestroy(executable);
  musaGraphDestroy(graph);
}

// The backend that was told no budget meets the driver's own limit.
TEST_F(StrictDriver, RefusesExecutablesAboveItsLimitAndTheBackendTellsWhatHelps) {
  GpuBackend backend({.executable_budget = 0});
  std::vector<std::unique_ptr<CapturedGraph>> graphs;
  const auto capture = [&] {
    backend.begin_capture(backend.stream());
    graphs.push_back(backend.end_capture(backend.stream()));
  };
  while (musa_shim::num_live_executables() < musa_shim::kMaxLiveExecutables) capture();
  try {
    capture();
    FAIL() << "one too many was made";
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--graph-executable-budget"));
  }
}

TEST_F(StrictDriver, ABudgetAboveTheDriversLimitIsLowered) {
  GpuBackend backend({.executable_budget = 5000});
  const auto memory = backend.allocate(4, "a counter");
  std::vector<std::unique_ptr<CapturedGraph>> graphs;
  for (int i = 0; i < musa_shim::kMaxLiveExecutables + 100; ++i) {
    backend.begin_capture(backend.stream());
    launch_increment(static_cast<int32_t*>(memory->data()), gpu_stream(backend.stream()).handle());
    graphs.push_back(backend.end_capture(backend.stream()));
  }
  for (const auto& graph : graphs) graph->replay(backend.stream());
  int32_t count = 0;
  backend.copy_to_host(&count, memory->data(), sizeof(count), backend.stream());
  EXPECT_EQ(count, static_cast<int32_t>(graphs.size()));
  EXPECT_LE(backend.graph_executables().budget, musa_shim::kMaxLiveExecutables);
}

TEST_F(StrictDriver, CountsCalls) {
  const uint64_t before = musa_shim::num_calls("musaGraphInstantiate");
  musaGraphExecDestroy(executable_of([] {}));
  EXPECT_EQ(musa_shim::num_calls("musaGraphInstantiate"), before + 1);
}

TEST_F(StrictDriver, TheSecondDeviceHasItsName) {
  GpuBackend backend({.index = 1});
  EXPECT_EQ(to_string(backend.device()), "musa:1");
  EXPECT_TRUE(backend.capabilities().has("mp_31"));
  EXPECT_FALSE(backend.capabilities().has("graph_upload"));
}

}  // namespace
}  // namespace musaic
