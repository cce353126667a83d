#include "backends/gpu/gpu_reader.h"

#include "base/check.h"

namespace musaic {

GpuReader::GpuReader(GpuStream& stream, size_t bytes) : stream_(stream), bytes_(bytes) {
  stream_.check(gpuHostAlloc(&values_, bytes), "page-locking host memory");
  stream_.check(gpuEventCreate(&read_), "making an event");
}

GpuReader::~GpuReader() {
  gpuStreamSynchronize(stream_.handle());
  gpuEventDestroy(read_);
  gpuHostFree(values_);
}

void GpuReader::start(const void* source, size_t bytes, Stream& stream) {
  CHECK(bytes <= bytes_, "{} bytes are read into {}", bytes, bytes_);
  GpuStream& own = gpu_stream(stream);
  own.forbid_in_capture("a copy to the host");
  own.check(gpuCopyToHost(values_, source, bytes, own.handle()), "a copy to the host");
  own.check(gpuEventRecord(read_, own.handle()), "recording an event");
  launch_ = own.last_launch();
}

const void* GpuReader::wait() {
  stream_.count_read(launch_);
  stream_.check(gpuEventSynchronize(read_), "waiting for the device");
  return values_;
}

}  // namespace musaic
