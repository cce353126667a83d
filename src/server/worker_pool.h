#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace musaic {

using Task = std::function<void()>;

// A few threads for text work: templates, tokenizing, detokenizing, JSON. Sleeps when there is none.
class WorkerPool {
 public:
  explicit WorkerPool(int num_threads);
  ~WorkerPool();

  bool post(Task task);  // any thread; false, and the task is dropped, after stop
  void stop();           // runs what is queued and joins; from no worker; idempotent

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// Runs its tasks on a pool one after another, in the order posted. REQUIRES: the pool outlives the last post.
class SerialQueue : public std::enable_shared_from_this<SerialQueue> {
 public:
  explicit SerialQueue(std::shared_ptr<WorkerPool> pool) : pool_(std::move(pool)) {}
  void post(Task task);  // any thread

 private:
  void run();

  const std::shared_ptr<WorkerPool>
      pool_;  // shared: the engine may post a last event after the server is gone
  std::mutex mutex_;
  std::vector<Task> tasks_;
  bool scheduled_ = false;
};

}  // namespace musaic
