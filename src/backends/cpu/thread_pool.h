#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace musaic {

class ThreadPool;

// One of the equal shares of a launch. A thread that is free takes the next share, so a thread that the
// system holds back delays only the share in its hands; who computes a share must not change its result.
struct Worker {
  int index = 0;
  int count = 1;
  ThreadPool* pool = nullptr;

  // The next number of a count 0, 1, 2, ... that the launch's shares have together, for work of uneven size.
  int64_t next_chunk() const;
};

// Threads over the CPUs that the process may use. Between regions they spin briefly, then sleep. One region
// at a time, begun by one thread.
class ThreadPool {
 public:
  // 0 threads: the process's CPU limit (affinity and cgroup).
  explicit ThreadPool(int num_threads = 0);
  ~ThreadPool();

  int size() const;

  // Calls body(context, worker, step) once for each of size() shares of step 0, then of step 1, and so on: a
  // step begins when all shares of the one before are done, and sees what they wrote. One wake-up for all.
  // `next_chunk` restarts at every step.
  using Body = void (*)(const void* context, const Worker& worker, int step);
  void run(Body body, const void* context, int num_steps);

 private:
  friend struct Worker;
  struct State;
  std::unique_ptr<State> state_;
};

// CPUs that this process may use: affinity mask, limited by the cgroup's quota (rounded up, at least 1).
int available_cpus();

}  // namespace musaic
