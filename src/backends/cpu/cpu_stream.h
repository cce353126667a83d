#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "backends/cpu/thread_pool.h"
#include "device/backend.h"

namespace musaic {

// One launch: a trivially copyable body that is called for every share of the work.
struct CpuLaunch {
  static constexpr size_t kMaxBodyBytes = 448;  // addresses and sizes of the largest kernel, with room

  void (*run)(const void* body, const Worker& worker) = nullptr;
  const char* op = "";
  alignas(16) std::array<std::byte, kMaxBodyBytes> body;
};

// Runs launches at once, or records them while capturing. Used by the engine thread only.
class CpuStream : public Stream {
 public:
  explicit CpuStream(ThreadPool& pool) : pool_(pool) {}

  // `body(const Worker&)` is called once for each share; it splits the work by worker.index and worker.count,
  // or takes chunks from worker.next_chunk(). The next launch begins when all shares are done.
  template <class Body>
  void launch(const Body& body) {
    static_assert(std::is_trivially_copyable_v<Body> && sizeof(Body) <= CpuLaunch::kMaxBodyBytes);
    CpuLaunch launch;
    launch.run = [](const void* stored, const Worker& worker) {
      (*static_cast<const Body*>(stored))(worker);
    };
    launch.op = next_name_;
    std::memcpy(launch.body.data(), &body, sizeof(Body));
    enqueue(launch);
  }
  int num_workers() const { return pool_.size(); }

  // Throws LoadError inside a capture, as a GPU's driver would.
  void synchronize() override;
  void begin_capture();
  std::vector<CpuLaunch> end_capture();
  bool is_capturing() const { return capturing_; }
  void name_next(const char* op) { next_name_ = op; }
  const char* next_name() const { return next_name_; }
  void replay(const std::vector<CpuLaunch>& launches);

 protected:
  virtual void enqueue(const CpuLaunch& launch);

 private:
  ThreadPool& pool_;
  bool capturing_ = false;
  const char* next_name_ = "";
  std::vector<CpuLaunch> recorded_;
};

inline CpuStream& cpu_stream(Stream& stream) {
  return static_cast<CpuStream&>(stream);
}

}  // namespace musaic
