#include "backends/cpu/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <thread>

namespace musaic {
namespace {

template <class Body>
void run_steps(ThreadPool& pool, int num_steps, const Body& body) {
  pool.run([](const void* context, const Worker& worker,
              int step) { (*static_cast<const Body*>(context))(worker, step); },
           &body, num_steps);
}

double process_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

class ThreadPoolTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Sizes, ThreadPoolTest, testing::Values(1, 2, 3, 5));

TEST_P(ThreadPoolTest, EveryShareOfAStepRunsOnceAndSeesAllOfTheStepBefore) {
  ThreadPool pool(GetParam());
  const int count = pool.size();
  ASSERT_EQ(count, GetParam());
  constexpr int kSteps = 50;
  std::vector<int> steps_done(count, 0);  // plain: the order of steps alone orders the accesses
  std::vector<int> errors(count, 0);
  for (int region = 0; region < 20; ++region) {
    std::fill(steps_done.begin(), steps_done.end(), 0);
    run_steps(pool, kSteps * 2, [&](const Worker& worker, int step) {
      if (step % 2 == 0) {
        ++steps_done[worker.index];
        return;
      }
      for (int done : steps_done) errors[worker.index] += done != step / 2 + 1;
    });
    for (int done : steps_done) EXPECT_EQ(done, kSteps);
  }
  for (int error : errors) EXPECT_EQ(error, 0);
}

TEST_P(ThreadPoolTest, SharesOfAStepRunAtTheSameTime) {
  ThreadPool pool(GetParam());
  std::atomic<int> begun{0};
  run_steps(pool, 1, [&](const Worker& worker, int) {
    ++begun;
    while (begun.load() < worker.count) std::this_thread::yield();  // hangs if one thread did two shares
  });
  EXPECT_EQ(begun.load(), pool.size());
}

TEST(ThreadPool, AThreadThatIsFreeDoesTheSharesOfOneThatIsHeldUp) {
  ThreadPool pool(3);
  std::atomic<int> done{0};
  run_steps(pool, 1, [&](const Worker& worker, int) {
    // One share waits for all others; two threads are left for them, whichever are awake.
    if (worker.index == 0) {
      while (done.load() < worker.count - 1) std::this_thread::yield();
    } else {
      ++done;
    }
  });
  EXPECT_EQ(done.load(), 2);
}

TEST_P(ThreadPoolTest, ChunksAreGivenOnceAndRestartAtEachStep) {
  ThreadPool pool(GetParam());
  constexpr int kChunks = 100;
  constexpr int kSteps = 10;
  std::vector<std::atomic<int>> taken(kChunks);
  for (int region = 0; region < 3; ++region) {
    run_steps(pool, kSteps, [&](const Worker& worker, int) {
      for (int64_t chunk; (chunk = worker.next_chunk()) < kChunks;) ++taken[chunk];
    });
  }
  for (const auto& times : taken) EXPECT_EQ(times.load(), 3 * kSteps);
}

TEST(ThreadPool, WakesSleepingWorkers) {
  ThreadPool pool(3);
  std::atomic<int> calls{0};
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // far longer than workers spin
    run_steps(pool, 2, [&](const Worker&, int) { ++calls; });
  }
  EXPECT_EQ(calls.load(), 5 * 2 * 3);
}

TEST(ThreadPool, TakesNoProcessorTimeWhenIdle) {
  ThreadPool pool(4);
  run_steps(pool, 1, [](const Worker&, int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double before = process_cpu_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(process_cpu_seconds() - before, 0.003);  // 1 % of a core
}

TEST(ThreadPool, TakesTheProcessLimitWhenNoSizeIsGiven) {
  EXPECT_GE(available_cpus(), 1);
  EXPECT_EQ(ThreadPool().size(), available_cpus());
}

TEST(ThreadPool, ZeroStepsCallNothing) {
  ThreadPool pool(2);
  int calls = 0;
  run_steps(pool, 0, [&](const Worker&, int) { ++calls; });
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace musaic
