// What gpu_probe.cu, gpu_checksum.cu and gpu_test_kernels.cu launch on a device.
#include "backends/gpu/gpu_checksum.h"
#include "backends/gpu/gpu_probe.h"
#include "backends/gpu/gpu_test_kernels.h"
#include "device/checksum.h"
#include "musa_shim_host.h"

namespace musaic {

gpuError_t probe_kernels(gpuStream_t stream) {
  musa_shim::launch(stream, [] {});
  return gpuGetLastError();
}

void launch_checksum(const void* data, size_t words, uint64_t* sum, gpuStream_t stream) {
  musa_shim::launch(
      stream, [=] { *musa_shim::host_address(sum) += checksum_of(musa_shim::host_address(data), words); });
}

void launch_increment(int32_t* value, gpuStream_t stream) {
  musa_shim::launch(stream, [value] { ++*musa_shim::host_address(value); });
}

void launch_with_too_many_threads(gpuStream_t) {
  musa_shim::refuse_launch();
}

void launch_wild_write(gpuStream_t stream) {
  musa_shim::launch_wild_write(stream);
}

}  // namespace musaic
