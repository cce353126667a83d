#pragma once

#include <array>
#include <cstdlib>
#include <cstring>

#include "backends/musa/vendor/gpu_vendor.h"

// What src/backends/gpu uses of the vendor's runtime on the host's side: memory, streams, events, captures.
namespace musaic {

inline constexpr const char* kGpuVendor = "Moore Threads";
inline constexpr const char* kGpuArchitecture = "mp_";  // before the digits of its version
inline constexpr const char* kGpuArchitectureOption = "MUSAIC_MUSA_ARCHITECTURES";
// What not every vendor's runtime has, as features of the device: here neither uploads of executables nor
// kernels that start before the one ahead of them has ended.
inline constexpr std::array<const char*, 0> kGpuFeatures{};
inline constexpr int kGraphExecutableBudget = 2000;  // the driver of an S5000 allows about 2,043 live ones

// Kernels read and write page-locked memory of the host at the host's addresses: not known.
inline constexpr bool kKernelsReachHostMemory = false;

using gpuGraphExec_t = musaGraphExec_t;
using gpuEvent_t = musaEvent_t;

inline constexpr gpuError_t gpuErrorMemoryAllocation = musaErrorMemoryAllocation;
inline constexpr gpuError_t gpuErrorNoDevice = musaErrorNoDevice;
inline constexpr gpuError_t gpuErrorInsufficientDriver = musaErrorInsufficientDriver;

struct GpuProperties {
  char name[256];
  int major;  // of the architecture
  int minor;
};

// Kernels are loaded at start, not at their first launch, which may lie inside a capture. Call it before all
// else.
inline void gpuLoadKernelsEagerly() {
  setenv("MUSA_MODULE_LOADING", "EAGER", /*overwrite=*/0);
}
// After such an error every call fails until the process ends.
inline bool gpuIsLost(gpuError_t error) {
  switch (error) {
    case musaErrorIllegalAddress:
    case musaErrorLaunchFailure:
    case musaErrorLaunchTimeout:
    case musaErrorHardwareStackError:
    case musaErrorIllegalInstruction:
    case musaErrorMisalignedAddress:
    case musaErrorInvalidAddressSpace:
    case musaErrorInvalidPc:
    case musaErrorAssert:
    case musaErrorECCUncorrectable:
    case musaErrorMtlinkUncorrectable:
    case musaErrorUnknown:
      return true;
    default:
      return false;
  }
}

inline gpuError_t gpuGetDeviceCount(int* count) {
  return musaGetDeviceCount(count);
}
// 0: there is no driver. 4030: one that offers the runtime of version 4.3.
inline gpuError_t gpuDriverGetVersion(int* version) {
  return musaDriverGetVersion(version);
}
inline gpuError_t gpuRuntimeGetVersion(int* version) {
  return musaRuntimeGetVersion(version);
}
inline gpuError_t gpuSetDevice(int device) {
  return musaSetDevice(device);
}
inline gpuError_t gpuGetProperties(GpuProperties* properties, int device) {
  musaDeviceProp all{};
  const gpuError_t error = musaGetDeviceProperties(&all, device);
  std::memcpy(properties->name, all.name, sizeof(properties->name));
  properties->major = all.major;
  properties->minor = all.minor;
  return error;
}

inline gpuError_t gpuMalloc(void** address, size_t bytes) {
  return musaMalloc(address, bytes);
}
inline gpuError_t gpuFree(void* address) {
  return musaFree(address);
}
inline gpuError_t gpuHostAlloc(void** address, size_t bytes) {
  return musaHostAlloc(address, bytes, musaHostAllocDefault);
}
inline gpuError_t gpuHostFree(void* address) {
  return musaFreeHost(address);
}
inline gpuError_t gpuMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  return musaMemGetInfo(free_bytes, total_bytes);
}
inline gpuError_t gpuCopyToDevice(void* to, const void* from, size_t bytes, gpuStream_t stream) {
  return musaMemcpyAsync(to, from, bytes, musaMemcpyHostToDevice, stream);
}
inline gpuError_t gpuCopyToHost(void* to, const void* from, size_t bytes, gpuStream_t stream) {
  return musaMemcpyAsync(to, from, bytes, musaMemcpyDeviceToHost, stream);
}
inline gpuError_t gpuCopyOnDevice(void* to, const void* from, size_t bytes, gpuStream_t stream) {
  return musaMemcpyAsync(to, from, bytes, musaMemcpyDeviceToDevice, stream);
}
inline gpuError_t gpuMemsetAsync(void* address, int value, size_t bytes, gpuStream_t stream) {
  return musaMemsetAsync(address, value, bytes, stream);
}

// It does not wait for the default stream.
inline gpuError_t gpuStreamCreate(gpuStream_t* stream) {
  return musaStreamCreateWithFlags(stream, musaStreamNonBlocking);
}
inline gpuError_t gpuStreamDestroy(gpuStream_t stream) {
  return musaStreamDestroy(stream);
}
inline gpuError_t gpuStreamSynchronize(gpuStream_t stream) {
  return musaStreamSynchronize(stream);
}
inline gpuError_t gpuEventCreate(gpuEvent_t* event) {
  return musaEventCreateWithFlags(event, musaEventDisableTiming);
}
// One whose time gpuEventElapsed tells.
inline gpuError_t gpuTimedEventCreate(gpuEvent_t* event) {
  return musaEventCreateWithFlags(event, musaEventDefault);
}
// REQUIRES: both are timed, and were reached.
inline gpuError_t gpuEventElapsed(float* milliseconds, gpuEvent_t from, gpuEvent_t to) {
  return musaEventElapsedTime(milliseconds, from, to);
}
inline gpuError_t gpuEventDestroy(gpuEvent_t event) {
  return musaEventDestroy(event);
}
inline gpuError_t gpuEventRecord(gpuEvent_t event, gpuStream_t stream) {
  return musaEventRecord(event, stream);
}
inline gpuError_t gpuEventSynchronize(gpuEvent_t event) {
  return musaEventSynchronize(event);
}

// Other threads' calls stay allowed.
inline gpuError_t gpuStreamBeginCapture(gpuStream_t stream) {
  return musaStreamBeginCapture(stream, musaStreamCaptureModeThreadLocal);
}
inline gpuError_t gpuStreamEndCapture(gpuStream_t stream, gpuGraph_t* graph) {
  return musaStreamEndCapture(stream, graph);
}
inline gpuError_t gpuGraphGetNodeCount(gpuGraph_t graph, size_t* count) {
  return musaGraphGetNodes(graph, nullptr, count);
}
// The SDK's call with a place for the error's node, or the later one with flags.
template <class Executable>
auto gpuInstantiate(Executable* executable, gpuGraph_t graph, int)
    -> decltype(musaGraphInstantiate(executable, graph, nullptr, nullptr, 0)) {
  return musaGraphInstantiate(executable, graph, nullptr, nullptr, 0);
}
template <class Executable>
auto gpuInstantiate(Executable* executable, gpuGraph_t graph, long)
    -> decltype(musaGraphInstantiate(executable, graph, 0)) {
  return musaGraphInstantiate(executable, graph, 0);
}
inline gpuError_t gpuGraphInstantiate(gpuGraphExec_t* executable, gpuGraph_t graph) {
  return gpuInstantiate(executable, graph, 0);
}
// The executable becomes one of another recording, from its next launch on. An error, without harm to the
// executable, where the recordings differ in more than kernels, their grids and arguments.
inline gpuError_t gpuGraphExecUpdate(gpuGraphExec_t executable, gpuGraph_t graph) {
  musaGraphNode_t node = nullptr;
  musaGraphExecUpdateResult result{};
  return musaGraphExecUpdate(executable, graph, &node, &result);
}
// The first launch uploads it: the runtime has no call for it.
inline gpuError_t gpuGraphUpload(gpuGraphExec_t, gpuStream_t) {
  return gpuSuccess;
}
inline gpuError_t gpuGraphLaunch(gpuGraphExec_t executable, gpuStream_t stream) {
  return musaGraphLaunch(executable, stream);
}
inline gpuError_t gpuGraphDestroy(gpuGraph_t graph) {
  return musaGraphDestroy(graph);
}
inline gpuError_t gpuGraphExecDestroy(gpuGraphExec_t executable) {
  return musaGraphExecDestroy(executable);
}

}  // namespace musaic
