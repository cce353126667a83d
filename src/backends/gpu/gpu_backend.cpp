#include "backends/gpu/gpu_backend.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "backends/gpu/gpu_checksum.h"
#include "backends/gpu/gpu_clock.h"
#include "backends/gpu/gpu_error.h"
#include "backends/gpu/gpu_graph.h"
#include "backends/gpu/gpu_probe.h"
#include "backends/gpu/gpu_reader.h"
#include "backends/gpu/gpu_transfer.h"
#include "backends/gpu/gpu_uploader.h"
#include "base/status.h"
#include "device/settled_memory.h"

namespace musaic {
namespace {

constexpr double kGiB = 1 << 30;

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

// Why there is no device `index`.
[[noreturn]] void fail_without_device(const Device& device, gpuError_t error, int count) {
  int driver = 0;
  int runtime = 0;
  gpuDriverGetVersion(&driver);
  gpuRuntimeGetVersion(&runtime);
  if (driver == 0)
    fail_load("{}: this machine has no {} driver; --device cpu runs without", to_string(device), kGpuVendor);
  if (error == gpuErrorInsufficientDriver)
    fail_load("{}: the {} driver is too old: it offers runtime {}, this binary needs {}", to_string(device),
              kGpuVendor, version_text(driver), version_text(runtime));
  if (error != gpuSuccess && error != gpuErrorNoDevice)
    fail_load("{}: the {} driver failed: {}", to_string(device), kGpuVendor, gpuGetErrorString(error));
  if (count == 0) fail_load("{}: the {} driver shows no GPU", to_string(device), kGpuVendor);
  fail_load("{}: there is no such device; the {} driver shows {} GPU{}", to_string(device), kGpuVendor, count,
            count == 1 ? "" : "s");
}

GpuProperties open_device(const Device& device) {
  gpuLoadKernelsEagerly();
  int count = 0;
  const gpuError_t error = gpuGetDeviceCount(&count);
  if (error != gpuSuccess || device.index >= count) fail_without_device(device, error, count);
  check_gpu(gpuSetDevice(device.index), to_string(device), "opening the device");
  GpuProperties properties{};
  check_gpu(gpuGetProperties(&properties, device.index), to_string(device), "asking for its properties");
  return properties;
}

// Live executables of graphs; 0: as many as there are graphs.
int executable_budget(const GpuOptions& options) {
  const int asked = options.executable_budget >= 0 ? options.executable_budget : kGraphExecutableBudget;
  const size_t held = std::max<size_t>(options.graph_memory_budget / kExecutableBytes, 1);
  const bool holds_all = held > static_cast<size_t>(asked > 0 ? asked : std::numeric_limits<int>::max());
  return holds_all ? asked : static_cast<int>(held);
}

class GpuMemory : public DeviceMemory {
 public:
  GpuMemory(void* data, size_t bytes) : data_(data), bytes_(bytes) {}
  ~GpuMemory() override { gpuFree(data_); }
  GpuMemory(const GpuMemory&) = delete;
  GpuMemory& operator=(const GpuMemory&) = delete;

  void* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  void* data_;
  size_t bytes_;
};

}  // namespace

int count_gpus() {
  gpuLoadKernelsEagerly();
  int count = 0;
  const gpuError_t error = gpuGetDeviceCount(&count);
  if (error == gpuSuccess) return count;
  gpuGetLastError();
  return 0;
}

const char* gpu_device_type() {
  return kGpuDeviceType;
}

DeviceMemorySize gpu_memory_size(const Device& device) {
  DeviceMemorySize size;
  const bool told = gpuSetDevice(device.index) == gpuSuccess &&
                    gpuMemGetInfo(&size.free_bytes, &size.total_bytes) == gpuSuccess;
  return told ? size : DeviceMemorySize{};
}

GpuBackend::GpuBackend(const GpuOptions& options) : device_{kGpuDeviceType, options.index} {
  const GpuProperties properties = open_device(device_);
  current_thread_ = std::this_thread::get_id();
  model_name_ = properties.name;
  const std::string architecture =
      fmt::format("{}{}{}", kGpuArchitecture, properties.major, properties.minor);
  capabilities_.features = {architecture, "recorded_breaks", "whole_extend", "whole_decode"};
  capabilities_.features.insert(std::begin(kGpuFeatures), std::end(kGpuFeatures));
  if (probe_kernels(nullptr) != gpuSuccess)
    fail_load(
        "{}: {} has architecture {}, which this binary has no machine code for (configure it with -D{}={}{})",
        to_string(device_), model_name_, architecture, kGpuArchitectureOption, properties.major,
        properties.minor);
  stream_ = std::make_unique<GpuStream>(to_string(device_));
  ring_ = std::make_unique<PinnedRing>(*stream_);
  executables_ = std::make_unique<GpuExecutables>(*stream_, executable_budget(options));
}

GpuBackend::~GpuBackend() {
  enter();
}

// The current device is a thread's own.
void GpuBackend::enter() {
  if (current_thread_ == std::this_thread::get_id()) return;
  gpuSetDevice(device_.index);
  current_thread_ = std::this_thread::get_id();
}

Stream& GpuBackend::stream() {
  enter();
  return *stream_;
}

std::unique_ptr<DeviceMemory> GpuBackend::allocate(size_t bytes, const std::string& purpose) {
  stream_->forbid_in_capture(fmt::format("an allocation of {} bytes for {}", bytes, purpose));
  gpuSetDevice(device_.index);
  void* data = nullptr;
  gpuError_t error = gpuMalloc(&data, std::max<size_t>(bytes, 1));
  if (error == gpuErrorMemoryAllocation) {  // perhaps because a process is just ending
    gpuGetLastError();
    settled_memory([this] { return gpu_memory_size(device_); });
    error = gpuMalloc(&data, std::max<size_t>(bytes, 1));
  }
  if (error == gpuErrorMemoryAllocation) {
    gpuGetLastError();
    const DeviceMemorySize memory = gpu_memory_size(device_);
    fail_load(
        "{}: no memory for {}: {:.3f} GiB needed, {:.3f} of {:.1f} GiB free; a lower "
        "--mem-fraction-static or --max-total-tokens makes room",
        to_string(device_), purpose, bytes / kGiB, memory.free_bytes / kGiB, memory.total_bytes / kGiB);
  }
  stream_->check(error, "an allocation");
  ++allocations_;
  auto memory = std::make_unique<GpuMemory>(data, bytes);
  stream_->check(gpuMemsetAsync(data, 0, bytes, nullptr), "zeroing memory");
  stream_->check(gpuStreamSynchronize(nullptr), "zeroing memory");
  return memory;
}

void GpuBackend::begin_capture(Stream& stream) {
  enter();
  gpu_stream(stream).begin_capture();
}

std::unique_ptr<CapturedGraph> GpuBackend::end_capture(Stream& stream) {
  GpuStream& own = gpu_stream(stream);
  return std::make_unique<GpuGraph>(own.end_capture(), own, *executables_);
}

void GpuBackend::copy_to_device(void* destination, const void* source, size_t bytes, Stream& stream) {
  enter();
  GpuStream& own = gpu_stream(stream);
  own.forbid_in_capture("a copy from the host");
  for (size_t done = 0; done < bytes;) {
    const size_t part = std::min(bytes - done, PinnedRing::kHalfBytes);
    std::byte* staged = ring_->take(part);
    std::memcpy(staged, static_cast<const std::byte*>(source) + done, part);
    own.check(gpuCopyToDevice(static_cast<std::byte*>(destination) + done, staged, part, own.handle()),
              "a copy from the host");
    done += part;
  }
}

void GpuBackend::copy_to_host(void* destination, const void* source, size_t bytes, Stream& stream) {
  enter();
  GpuStream& own = gpu_stream(stream);
  own.forbid_in_capture("a copy to the host");
  for (size_t done = 0; done < bytes;) {
    const size_t part = std::min(bytes - done, PinnedRing::kHalfBytes);
    std::byte* staged = ring_->take(part);
    own.check(gpuCopyToHost(staged, static_cast<const std::byte*>(source) + done, part, own.handle()),
              "a copy to the host");
    own.wait();
    std::memcpy(static_cast<std::byte*>(destination) + done, staged, part);
    done += part;
  }
}

DeviceCalls GpuBackend::device_calls() const {
  return {.allocations = allocations_,
          .executables = executables_->num_made(),
          .waits = stream_->num_waits(),
          .reads = stream_->num_reads()};
}

std::unique_ptr<StreamClock> GpuBackend::make_clock() {
  enter();
  return std::make_unique<GpuClock>(*stream_);
}

std::unique_ptr<HostReader> GpuBackend::make_reader(size_t bytes) {
  enter();
  ++allocations_;
  return std::make_unique<GpuReader>(*stream_, bytes);
}

void GpuBackend::upload(void* destination, const void* source, std::span<const UploadRange> ranges,
                        std::span<const DeviceCopy> parts, Stream& stream) {
  enter();
  GpuStream& own = gpu_stream(stream);
  own.forbid_in_capture("an upload");
  if (upload_by_kernel(destination, source, ranges, parts)) return;
  copy_ranges(*this, destination, source, joined_ranges(ranges), stream);
  for (const DeviceCopy& part : parts)
    own.check(gpuCopyOnDevice(part.destination, part.source, part.bytes, own.handle()),
              "a copy on the device");
}

// False: kernels do not reach page-locked memory, or the ranges are too large for it, are no whole words, or
// have too many parts.
bool GpuBackend::upload_by_kernel(void* destination, const void* source, std::span<const UploadRange> ranges,
                                  std::span<const DeviceCopy> parts) {
  if constexpr (kKernelsReachHostMemory) {
    if (parts.size() > WordUpload::kMaxDeviceWords) return false;
    WordUpload upload{.to = static_cast<uint32_t*>(destination),
                      .words = nullptr,
                      .places = nullptr,
                      .groups = 0,
                      .num_device_words = 0,
                      .device_words = {}};
    if (!stage_groups(source, ranges, upload)) return false;
    for (const DeviceCopy& part : parts) {
      const auto first = static_cast<uint32_t*>(part.destination) - upload.to;
      upload.device_words[upload.num_device_words++] = {static_cast<int>(first),
                                                        static_cast<int>(part.bytes / sizeof(uint32_t)),
                                                        static_cast<const uint32_t*>(part.source)};
    }
    launch_upload(upload, stream_->handle());
    stream_->check(gpuGetLastError(), "an upload");
    return true;
  }
  return false;
}

// Puts the ranges' groups of words, then their places, into page-locked memory.
bool GpuBackend::stage_groups(const void* source, std::span<const UploadRange> ranges, WordUpload& upload) {
  constexpr size_t kWord = sizeof(uint32_t), kGroupBytes = WordUpload::kGroupWords * kWord;
  size_t groups = 0;
  for (const UploadRange& range : ranges) {
    if (range.first % kWord != 0 || range.bytes % kWord != 0) return false;
    groups += (range.bytes + kGroupBytes - 1) / kGroupBytes;
  }
  const size_t bytes = groups * (kGroupBytes + kWord);
  if (bytes > PinnedRing::kHalfBytes) return false;
  std::byte* words = ring_->take(bytes);
  auto* place = reinterpret_cast<uint32_t*>(words + groups * kGroupBytes);
  upload.words = reinterpret_cast<const uint32_t*>(words);
  upload.places = place;
  upload.groups = static_cast<int>(groups);
  for (const UploadRange& range : ranges) {
    std::memcpy(words, static_cast<const std::byte*>(source) + range.first, range.bytes);
    for (size_t done = 0; done < range.bytes; done += kGroupBytes) {
      const size_t count = std::min(kGroupBytes, range.bytes - done) / kWord;
      *place++ = WordUpload::place_of((range.first + done) / kWord, count);
      words += kGroupBytes;
    }
  }
  return true;
}

void GpuBackend::zero(void* destination, size_t bytes, Stream& stream) {
  enter();
  GpuStream& own = gpu_stream(stream);
  if (bytes > 0) own.check(gpuMemsetAsync(destination, 0, bytes, own.handle()), "zeroing memory");
}

void GpuBackend::fill(void* destination, std::byte value, size_t bytes) {
  enter();
  stream_->forbid_in_capture("filling memory");
  if (bytes == 0) return;
  stream_->check(gpuMemsetAsync(destination, std::to_integer<int>(value), bytes, stream_->handle()),
                 "filling memory");
}

uint64_t GpuBackend::checksum(const void* data, size_t bytes) {
  enter();
  stream_->forbid_in_capture("a checksum");
  if (checksum_ == nullptr) checksum_ = allocate(sizeof(uint64_t), "a checksum");
  auto* sum = static_cast<uint64_t*>(checksum_->data());
  fill(sum, std::byte{0}, sizeof(uint64_t));
  launch_checksum(data, bytes / sizeof(uint64_t), sum, stream_->handle());
  stream_->check(gpuGetLastError(), "a checksum");
  uint64_t result = 0;
  copy_to_host(&result, sum, sizeof(result), *stream_);
  return result;
}

std::unique_ptr<Uploader> GpuBackend::make_uploader(size_t piece_bytes) {
  return std::make_unique<GpuUploader>(device_, piece_bytes);
}

}  // namespace musaic
