#include "backends/gpu/gpu_error.h"

#include "device/device_lost.h"
#include "gpu_runtime.h"

namespace musaic {

void check_gpu(gpuError_t error, const std::string& where, const char* what) {
  if (error == gpuSuccess) return;
  if (gpuIsLost(error))
    throw DeviceLost(fmt::format("{} or work before it: {} failed and the device is lost: {}", where, what,
                                 gpuGetErrorString(error)));
  gpuGetLastError();  // so that the next call does not report it again
  fail_load("{}: {} failed: {}", where, what, gpuGetErrorString(error));
}

}  // namespace musaic
