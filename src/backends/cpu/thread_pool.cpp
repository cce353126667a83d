#include "backends/cpu/thread_pool.h"

#include <immintrin.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace musaic {
namespace {

constexpr auto kSpinBeforeSleep = std::chrono::microseconds(100);  // longer than a step's serial part
constexpr int kPausesBeforeYield = 4096;  // about 50 µs: then the CPUs are oversubscribed
constexpr int kPausesPerClockRead = 64;
constexpr size_t kCacheLine = 64;

}  // namespace

struct ThreadPool::State {
  struct Job {
    Body body = nullptr;
    const void* context = nullptr;
    int num_steps = 0;
  };

  explicit State(int num_threads) : count(num_threads) {
    for (int index = 1; index < count; ++index) threads.emplace_back([this, index] { serve(index); });
  }

  ~State() {
    stop.store(true, std::memory_order_relaxed);
    announce();
    for (std::thread& thread : threads) thread.join();
  }

  // Makes what was written before (the job, or stop) visible to the workers and wakes those asleep.
  void announce() {
    epoch.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_seq_cst) == 0) return;
    { const std::lock_guard lock(mutex); }
    wake.notify_all();
  }

  // Returns once the epoch differs from `seen`.
  void wait_for_epoch(uint32_t seen) {
    const auto deadline = std::chrono::steady_clock::now() + kSpinBeforeSleep;
    while (epoch.load(std::memory_order_acquire) == seen) {
      for (int i = 0; i < kPausesPerClockRead && epoch.load(std::memory_order_relaxed) == seen; ++i)
        _mm_pause();
      if (std::chrono::steady_clock::now() > deadline) return sleep_until_epoch(seen);
    }
  }

  void sleep_until_epoch(uint32_t seen) {
    std::unique_lock lock(mutex);
    sleepers.fetch_add(1, std::memory_order_seq_cst);
    wake.wait(lock, [&] { return epoch.load(std::memory_order_seq_cst) != seen; });
    sleepers.fetch_sub(1, std::memory_order_relaxed);
  }

  void serve(int index) {
    for (uint32_t seen = 0;; ++seen) {
      wait_for_epoch(seen);
      if (stop.load(std::memory_order_relaxed)) return;
      work({.index = index, .count = count, .pool = pool});
    }
  }

  void work(const Worker& worker) {
    const Job current = job;  // the next job may be written as soon as the last barrier opens
    for (int step = 0; step < current.num_steps; ++step) {
      current.body(current.context, worker, step);
      wait_for_all(/*ends_step=*/true);
    }
  }

  void wait_for_all(bool ends_step) {
    const uint32_t seen = generation.load(std::memory_order_relaxed);
    if (arrived.fetch_add(1, std::memory_order_acq_rel) == count - 1) {
      arrived.store(0, std::memory_order_relaxed);
      if (ends_step) chunk.store(0, std::memory_order_relaxed);
      generation.store(seen + 1, std::memory_order_release);
      return;
    }
    int pauses = 0;
    while (generation.load(std::memory_order_acquire) == seen) {
      if (++pauses < kPausesBeforeYield) {
        _mm_pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

  const int count;
  ThreadPool* pool = nullptr;
  Job job;  // written by run before announce, while all workers wait
  alignas(kCacheLine) std::atomic<uint32_t> epoch{0};
  alignas(kCacheLine) std::atomic<int> arrived{0};
  alignas(kCacheLine) std::atomic<uint32_t> generation{0};
  alignas(kCacheLine) std::atomic<int64_t> chunk{0};
  alignas(kCacheLine) std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::thread> threads;  // last: they use all of the above
};

void Worker::barrier() const {
  if (count > 1) pool->state_->wait_for_all(/*ends_step=*/false);
}

int64_t Worker::next_chunk() const {
  return pool->state_->chunk.fetch_add(1, std::memory_order_relaxed);
}

ThreadPool::ThreadPool(int num_threads)
    : state_(std::make_unique<State>(num_threads > 0 ? num_threads : available_cpus())) {
  state_->pool = this;
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::size() const {
  return state_->count;
}

void ThreadPool::run(Body body, const void* context, int num_steps) {
  if (num_steps == 0) return;
  state_->job = {body, context, num_steps};
  if (state_->count > 1) state_->announce();
  state_->work({.index = 0, .count = state_->count, .pool = this});
}

}  // namespace musaic
