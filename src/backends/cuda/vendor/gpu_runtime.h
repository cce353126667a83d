#pragma once

#include <cstdlib>
#include <cstring>

#include "backends/cuda/vendor/gpu_vendor.h"

// What src/backends/gpu uses of the vendor's runtime on the host's side: memory, streams, events, captures.
namespace musaic {

inline constexpr const char* kGpuVendor = "NVIDIA";
inline constexpr const char* kGpuArchitecture = "sm_";  // before the digits of its version
inline constexpr const char* kGpuArchitectureOption = "MUSAIC_CUDA_ARCHITECTURES";
// What not every vendor's runtime has, as features of the device.
inline constexpr const char* kGpuFeatures[] = {"graph_upload", "dependent_launch"};
inline constexpr int kGraphExecutableBudget = 0;  // live ones that the driver allows; 0: as memory allows

// Kernels read and write page-locked memory of the host at the host's addresses.
inline constexpr bool kKernelsReachHostMemory = true;

using gpuGraphExec_t = cudaGraphExec_t;
using gpuEvent_t = cudaEvent_t;

inline constexpr gpuError_t gpuErrorMemoryAllocation = cudaErrorMemoryAllocation;
inline constexpr gpuError_t gpuErrorNoDevice = cudaErrorNoDevice;
inline constexpr gpuError_t gpuErrorInsufficientDriver = cudaErrorInsufficientDriver;

struct GpuProperties {
  char name[256];
  int major;  // of the architecture
  int minor;
};

// Kernels are loaded at start, not at their first launch, which may lie inside a capture. Call it before all
// else.
inline void gpuLoadKernelsEagerly() {
  setenv("CUDA_MODULE_LOADING", "EAGER", /*overwrite=*/0);
}
// After such an error every call fails until the process ends.
inline bool gpuIsLost(gpuError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorDevicesUnavailable:
    case cudaErrorCudartUnloading:
    case cudaErrorUnknown:
      return true;
    default:
      return false;
  }
}

inline gpuError_t gpuGetDeviceCount(int* count) {
  return cudaGetDeviceCount(count);
}
// 0: there is no driver. 13000: one that offers the runtime of version 13.0.
inline gpuError_t gpuDriverGetVersion(int* version) {
  return cudaDriverGetVersion(version);
}
inline gpuError_t gpuRuntimeGetVersion(int* version) {
  return cudaRuntimeGetVersion(version);
}
inline gpuError_t gpuSetDevice(int device) {
  return cudaSetDevice(device);
}
inline gpuError_t gpuGetProperties(GpuProperties* properties, int device) {
  cudaDeviceProp all{};
  const gpuError_t error = cudaGetDeviceProperties(&all, device);
  std::memcpy(properties->name, all.name, sizeof(properties->name));
  properties->major = all.major;
  properties->minor = all.minor;
  return error;
}

inline gpuError_t gpuMalloc(void** address, size_t bytes) {
  return cudaMalloc(address, bytes);
}
inline gpuError_t gpuFree(void* address) {
  return cudaFree(address);
}
inline gpuError_t gpuHostAlloc(void** address, size_t bytes) {
  return cudaHostAlloc(address, bytes, cudaHostAllocDefault);
}
inline gpuError_t gpuHostFree(void* address) {
  return cudaFreeHost(address);
}
inline gpuError_t gpuMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  return cudaMemGetInfo(free_bytes, total_bytes);
}
inline gpuError_t gpuCopyToDevice(void* to, const void* from, size_t bytes, gpuStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream);
}
inline gpuError_t gpuCopyToHost(void* to, const void* from, size_t bytes, gpuStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream);
}
inline gpuError_t gpuCopyOnDevice(void* to, const void* from, size_t bytes, gpuStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}
inline gpuError_t gpuMemsetAsync(void* address, int value, size_t bytes, gpuStream_t stream) {
  return cudaMemsetAsync(address, value, bytes, stream);
}

// It does not wait for the default stream.
inline gpuError_t gpuStreamCreate(gpuStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking);
}
inline gpuError_t gpuStreamDestroy(gpuStream_t stream) {
  return cudaStreamDestroy(stream);
}
inline gpuError_t gpuStreamSynchronize(gpuStream_t stream) {
  return cudaStreamSynchronize(stream);
}
inline gpuError_t gpuEventCreate(gpuEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDisableTiming);
}
// One whose time gpuEventElapsed tells.
inline gpuError_t gpuTimedEventCreate(gpuEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}
// REQUIRES: both are timed, and were reached.
inline gpuError_t gpuEventElapsed(float* milliseconds, gpuEvent_t from, gpuEvent_t to) {
  return cudaEventElapsedTime(milliseconds, from, to);
}
inline gpuError_t gpuEventDestroy(gpuEvent_t event) {
  return cudaEventDestroy(event);
}
inline gpuError_t gpuEventRecord(gpuEvent_t event, gpuStream_t stream) {
  return cudaEventRecord(event, stream);
}
inline gpuError_t gpuEventSynchronize(gpuEvent_t event) {
  return cudaEventSynchronize(event);
}

// Other threads' calls stay allowed.
inline gpuError_t gpuStreamBeginCapture(gpuStream_t stream) {
  return cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
}
inline gpuError_t gpuStreamEndCapture(gpuStream_t stream, gpuGraph_t* graph) {
  return cudaStreamEndCapture(stream, graph);
}
inline gpuError_t gpuGraphGetNodeCount(gpuGraph_t graph, size_t* count) {
  return cudaGraphGetNodes(graph, nullptr, count);
}
inline gpuError_t gpuGraphInstantiate(gpuGraphExec_t* executable, gpuGraph_t graph) {
  return cudaGraphInstantiate(executable, graph, 0);
}
// The executable becomes one of another recording, from its next launch on. An error, without harm to the
// executable, where the recordings differ in more than kernels, their grids and arguments.
inline gpuError_t gpuGraphExecUpdate(gpuGraphExec_t executable, gpuGraph_t graph) {
  cudaGraphExecUpdateResultInfo result{};
  return cudaGraphExecUpdate(executable, graph, &result);
}
inline gpuError_t gpuGraphUpload(gpuGraphExec_t executable, gpuStream_t stream) {
  return cudaGraphUpload(executable, stream);
}
inline gpuError_t gpuGraphLaunch(gpuGraphExec_t executable, gpuStream_t stream) {
  return cudaGraphLaunch(executable, stream);
}
inline gpuError_t gpuGraphDestroy(gpuGraph_t graph) {
  return cudaGraphDestroy(graph);
}
inline gpuError_t gpuGraphExecDestroy(gpuGraphExec_t executable) {
  return cudaGraphExecDestroy(executable);
}

}  // namespace musaic
