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

// The step that is open, counted over the pool's life, and its next share that nobody has taken, in one word:
// so a share is taken by one compare-and-swap, and never from a step that has ended.
struct Ticket {
  static constexpr int kShareBits = 16;
  static constexpr uint64_t kIdle = (uint64_t{1} << kShareBits) - 1;  // as share: no region is running

  uint64_t word;

  static Ticket of(uint64_t step, uint64_t share) { return {step << kShareBits | share}; }
  uint64_t step() const { return word >> kShareBits; }
  uint64_t share() const { return word & kIdle; }
  bool is_idle() const { return share() == kIdle; }
};

}  // namespace

struct ThreadPool::State {
  struct Job {
    Body body = nullptr;
    const void* context = nullptr;
    uint64_t first_step = 0;
    uint64_t end_step = 0;
  };

  explicit State(int num_threads) : count(num_threads) {
    for (int i = 1; i < count; ++i) threads.emplace_back([this] { serve(); });
  }

  ~State() {
    stop.store(true, std::memory_order_seq_cst);
    wake_sleepers();
    for (std::thread& thread : threads) thread.join();
  }

  void run(Body body, const void* context, uint64_t num_steps) {
    const uint64_t first = Ticket{ticket.load(std::memory_order_relaxed)}.step();
    job = {body, context, first, first + num_steps};
    ticket.store(Ticket::of(first, 0).word, std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_seq_cst) > 0) wake_sleepers();
    work();
  }

  void wake_sleepers() {
    { const std::lock_guard lock(mutex); }
    wake.notify_all();
  }

  void serve() {
    while (wait_for_work()) work();
  }

  bool has_work() const { return !Ticket{ticket.load(std::memory_order_seq_cst)}.is_idle(); }

  // False when the pool ends.
  bool wait_for_work() {
    const auto deadline = std::chrono::steady_clock::now() + kSpinBeforeSleep;
    do {
      for (int i = 0; i < kPausesPerClockRead; ++i) {
        if (!Ticket{ticket.load(std::memory_order_relaxed)}.is_idle()) return true;
        _mm_pause();
      }
    } while (std::chrono::steady_clock::now() < deadline);
    std::unique_lock lock(mutex);
    sleepers.fetch_add(1, std::memory_order_seq_cst);
    wake.wait(lock, [&] { return has_work() || stop.load(std::memory_order_relaxed); });
    sleepers.fetch_sub(1, std::memory_order_relaxed);
    return !stop.load(std::memory_order_relaxed);
  }

  // Takes shares until the region has ended.
  void work() {
    int pauses = 0;
    for (;;) {
      const Ticket seen{ticket.load(std::memory_order_acquire)};
      if (seen.is_idle()) return;
      if (seen.share() < static_cast<uint64_t>(count)) {
        if (take(seen)) pauses = 0;
      } else if (++pauses < kPausesBeforeYield) {
        _mm_pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

  // Does the share that `seen` offers, unless another thread was quicker.
  bool take(Ticket seen) {
    uint64_t expected = seen.word;
    if (!ticket.compare_exchange_strong(expected, seen.word + 1, std::memory_order_acq_rel)) return false;
    // The step cannot end before this share is done, so the job stays what it is.
    const Worker worker{.index = static_cast<int>(seen.share()), .count = count, .pool = pool};
    job.body(job.context, worker, static_cast<int>(seen.step() - job.first_step));
    if (finished.fetch_add(1, std::memory_order_acq_rel) == count - 1) end_step(seen.step() + 1);
    return true;
  }

  void end_step(uint64_t next) {
    finished.store(0, std::memory_order_relaxed);
    chunk.store(0, std::memory_order_relaxed);
    const uint64_t share = next == job.end_step ? Ticket::kIdle : 0;
    ticket.store(Ticket::of(next, share).word, std::memory_order_release);
  }

  const int count;
  ThreadPool* pool = nullptr;
  Job job;  // written while the ticket is idle
  alignas(kCacheLine) std::atomic<uint64_t> ticket{Ticket::of(0, Ticket::kIdle).word};
  alignas(kCacheLine) std::atomic<int> finished{0};
  alignas(kCacheLine) std::atomic<int64_t> chunk{0};
  alignas(kCacheLine) std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::thread> threads;  // last: they use all of the above
};

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
  if (num_steps > 0) state_->run(body, context, static_cast<uint64_t>(num_steps));
}

}  // namespace musaic
