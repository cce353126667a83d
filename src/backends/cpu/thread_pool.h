#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace musaic {

class ThreadPool;

// One thread's view of a parallel region.
struct Worker {
  int index = 0;  // 0 is the calling thread
  int count = 1;
  ThreadPool* pool = nullptr;

  // Waits for all workers. Every worker of the region must call it equally often.
  void barrier() const;
  // The next number of a shared count 0, 1, 2, ... of this launch, for work of uneven size; who computes a
  // chunk must not change its result.
  int64_t next_chunk() const;
};

// Threads over the CPUs that the process may use. Between regions workers spin briefly, then sleep. One
// region at a time, begun by one thread.
class ThreadPool {
 public:
  // 0 threads: the process's CPU limit (affinity and cgroup).
  explicit ThreadPool(int num_threads = 0);
  ~ThreadPool();

  int size() const;

  // Calls body(context, worker, step) on every worker for step = 0 .. num_steps - 1, with a barrier after
  // each step; one wake-up for all. `next_chunk` restarts at every step.
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
