#include "backends/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/status.h"

namespace musaic {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;  // x86-64's

size_t round_up_to_huge_page(size_t bytes) {
  return (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
}

class MappedMemory : public DeviceMemory {
 public:
  MappedMemory(size_t bytes, const std::string& purpose) : bytes_(bytes) {
    // Mapped one huge page larger, so that the block can begin at such a border.
    mapped_bytes_ =
        bytes < kHugePageBytes ? std::max<size_t>(bytes, 1) : round_up_to_huge_page(bytes) + kHugePageBytes;
    mapping_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping_ == MAP_FAILED)
      fail_load("cpu: no memory for {}: {} bytes asked for: {}", purpose, bytes, std::strerror(errno));
    data_ = mapping_;
    if (bytes < kHugePageBytes) return;
    data_ = reinterpret_cast<void*>(round_up_to_huge_page(reinterpret_cast<size_t>(mapping_)));
    madvise(data_, round_up_to_huge_page(bytes),
            purpose.starts_with("weights") ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);  // advice only
  }
  ~MappedMemory() override { munmap(mapping_, mapped_bytes_); }
  MappedMemory(const MappedMemory&) = delete;
  MappedMemory& operator=(const MappedMemory&) = delete;

  void* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  size_t bytes_;
  size_t mapped_bytes_ = 0;
  void* mapping_ = nullptr;
  void* data_ = nullptr;
};

class CpuGraph : public CapturedGraph {
 public:
  explicit CpuGraph(std::vector<CpuLaunch> launches) : launches_(std::move(launches)) {
    launches_.shrink_to_fit();
  }

  void replay(Stream& stream) override { cpu_stream(stream).replay(launches_); }
  int num_launches() const override { return static_cast<int>(launches_.size()); }
  size_t bytes() const override { return launches_.size() * sizeof(CpuLaunch); }

 private:
  std::vector<CpuLaunch> launches_;
};

// A body of one thread: too little work to split.
template <class Body>
void launch_serial(Stream& stream, const Body& body) {
  cpu_stream(stream).launch([body](const Worker& worker) {
    if (worker.index == 0) body();
  });
}

void copy(void* destination, const void* source, size_t bytes, Stream& stream) {
  if (!cpu_stream(stream).is_capturing()) {
    std::memcpy(destination, source, bytes);
    return;
  }
  launch_serial(stream, [=] { std::memcpy(destination, source, bytes); });
}

}  // namespace

CpuBackend::CpuBackend(const CpuBackendOptions& options)
    : isa_(options.isa ? *options.isa : detect_cpu_isa()),
      capabilities_(use_cpu_isa(isa_)),
      pool_(options.num_threads),
      stream_(pool_) {
  capabilities_.features.insert({"whole_extend", "whole_decode"});  // the body of any op can be recorded
}

std::unique_ptr<DeviceMemory> CpuBackend::allocate(size_t bytes, const std::string& purpose) {
  if (stream_.is_capturing())
    fail_load("cpu: {}: an allocation inside a capture, {} bytes for {}", stream_.next_name(), bytes,
              purpose);
  return std::make_unique<MappedMemory>(bytes, purpose);
}

void CpuBackend::begin_capture(Stream& stream) {
  cpu_stream(stream).begin_capture();
}

std::unique_ptr<CapturedGraph> CpuBackend::end_capture(Stream& stream) {
  return std::make_unique<CpuGraph>(cpu_stream(stream).end_capture());
}

void CpuBackend::copy_to_device(void* destination, const void* source, size_t bytes, Stream& stream) {
  copy(destination, source, bytes, stream);
}

void CpuBackend::copy_to_host(void* destination, const void* source, size_t bytes, Stream& stream) {
  copy(destination, source, bytes, stream);
}

void CpuBackend::zero(void* destination, size_t bytes, Stream& stream) {
  if (!cpu_stream(stream).is_capturing()) {
    std::memset(destination, 0, bytes);
    return;
  }
  launch_serial(stream, [=] { std::memset(destination, 0, bytes); });
}

}  // namespace musaic
