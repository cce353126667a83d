// MUSA's runtime on an NVIDIA GPU: every call goes to its namesake of CUDA. What MUSA is known to refuse is
// refused here.
#include <cuda_runtime.h>

#include <atomic>
#include <cstdio>

#include "call_counts.h"
#include "musa_shim.h"

namespace {

constexpr int kVersion = 4030;  // of the runtime and driver that it stands for
constexpr int kMajor = 3, kMinor = 1;

std::atomic<int> live_executables{0};

musaError_t musa(cudaError_t error) {
  return static_cast<musaError_t>(error);
}
cudaGraph_t cuda(musaGraph_t graph) {
  return reinterpret_cast<cudaGraph_t>(graph);
}
cudaGraphExec_t cuda(musaGraphExec_t executable) {
  return reinterpret_cast<cudaGraphExec_t>(executable);
}
cudaEvent_t cuda(musaEvent_t event) {
  return reinterpret_cast<cudaEvent_t>(event);
}

}  // namespace

namespace musa_shim {

int num_live_executables() {
  return live_executables;
}

}  // namespace musa_shim

extern "C" {

musaError_t musaGetLastError() {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaGetLastError());
}

const char* musaGetErrorString(musaError_t error) {
  return cudaGetErrorString(static_cast<cudaError_t>(error));
}

musaError_t musaGetDeviceCount(int* count) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaGetDeviceCount(count));
}

musaError_t musaDriverGetVersion(int* version) {
  MUSA_SHIM_COUNT_CALL();
  const cudaError_t error = cudaDriverGetVersion(version);
  if (error == cudaSuccess && *version != 0) *version = kVersion;
  return musa(error);
}

musaError_t musaRuntimeGetVersion(int* version) {
  MUSA_SHIM_COUNT_CALL();
  *version = kVersion;
  return musaSuccess;
}

musaError_t musaSetDevice(int device) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaSetDevice(device));
}

musaError_t musaGetDevice(int* device) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaGetDevice(device));
}

musaError_t musaGetDeviceProperties(musaDeviceProp* properties, int device) {
  MUSA_SHIM_COUNT_CALL();
  cudaDeviceProp all{};
  const cudaError_t error = cudaGetDeviceProperties(&all, device);
  std::snprintf(properties->name, sizeof(properties->name), "%.200s behind the MUSA shim", all.name);
  properties->major = kMajor;
  properties->minor = kMinor;
  properties->warpSize = all.warpSize;
  properties->multiProcessorCount = all.multiProcessorCount;
  return musa(error);
}

musaError_t musaFuncSetAttribute(const void* kernel, musaFuncAttribute attribute, int value) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaFuncSetAttribute(kernel, static_cast<cudaFuncAttribute>(attribute), value));
}

musaError_t musaMalloc(void** address, size_t bytes) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaMalloc(address, bytes));
}

musaError_t musaFree(void* address) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaFree(address));
}

musaError_t musaHostAlloc(void** address, size_t bytes, unsigned flags) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaHostAlloc(address, bytes, flags));
}

musaError_t musaFreeHost(void* address) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaFreeHost(address));
}

musaError_t musaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaMemGetInfo(free_bytes, total_bytes));
}

musaError_t musaMemcpyAsync(void* to, const void* from, size_t bytes, musaMemcpyKind kind,
                            musaStream_t stream) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaMemcpyAsync(to, from, bytes, static_cast<cudaMemcpyKind>(kind), stream));
}

musaError_t musaMemsetAsync(void* address, int value, size_t bytes, musaStream_t stream) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaMemsetAsync(address, value, bytes, stream));
}

musaError_t musaStreamCreateWithFlags(musaStream_t* stream, unsigned flags) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaStreamCreateWithFlags(stream, flags));
}

musaError_t musaStreamDestroy(musaStream_t stream) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaStreamDestroy(stream));
}

musaError_t musaStreamSynchronize(musaStream_t stream) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaStreamSynchronize(stream));
}

musaError_t musaEventCreateWithFlags(musaEvent_t* event, unsigned flags) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaEventCreateWithFlags(reinterpret_cast<cudaEvent_t*>(event), flags));
}

musaError_t musaEventDestroy(musaEvent_t event) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaEventDestroy(cuda(event)));
}

musaError_t musaEventRecord(musaEvent_t event, musaStream_t stream) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaEventRecord(cuda(event), stream));
}

musaError_t musaEventSynchronize(musaEvent_t event) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaEventSynchronize(cuda(event)));
}

musaError_t musaEventElapsedTime(float* milliseconds, musaEvent_t from, musaEvent_t to) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaEventElapsedTime(milliseconds, cuda(from), cuda(to)));
}

musaError_t musaStreamBeginCapture(musaStream_t stream, musaStreamCaptureMode mode) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaStreamBeginCapture(stream, static_cast<cudaStreamCaptureMode>(mode)));
}

musaError_t musaStreamEndCapture(musaStream_t stream, musaGraph_t* graph) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaStreamEndCapture(stream, reinterpret_cast<cudaGraph_t*>(graph)));
}

musaError_t musaGraphGetNodes(musaGraph_t graph, musaGraphNode_t* nodes, size_t* count) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaGraphGetNodes(cuda(graph), reinterpret_cast<cudaGraphNode_t*>(nodes), count));
}

musaError_t musaGraphInstantiate(musaGraphExec_t* executable, musaGraph_t graph, musaGraphNode_t*, char*,
                                 size_t) {
  MUSA_SHIM_COUNT_CALL();
  if (live_executables.fetch_add(1) >= musa_shim::kMaxLiveExecutables) {
    --live_executables;
    return musaErrorMemoryAllocation;
  }
  const cudaError_t error =
      cudaGraphInstantiate(reinterpret_cast<cudaGraphExec_t*>(executable), cuda(graph), 0);
  if (error != cudaSuccess) --live_executables;
  return musa(error);
}

musaError_t musaGraphExecUpdate(musaGraphExec_t executable, musaGraph_t graph, musaGraphNode_t*,
                                musaGraphExecUpdateResult* result) {
  MUSA_SHIM_COUNT_CALL();
  cudaGraphExecUpdateResultInfo info{};
  const cudaError_t error = cudaGraphExecUpdate(cuda(executable), cuda(graph), &info);
  *result = error == cudaSuccess ? musaGraphExecUpdateSuccess : musaGraphExecUpdateError;
  return musa(error);
}

musaError_t musaGraphLaunch(musaGraphExec_t executable, musaStream_t stream) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaGraphLaunch(cuda(executable), stream));
}

musaError_t musaGraphDestroy(musaGraph_t graph) {
  MUSA_SHIM_COUNT_CALL();
  return musa(cudaGraphDestroy(cuda(graph)));
}

musaError_t musaGraphExecDestroy(musaGraphExec_t executable) {
  MUSA_SHIM_COUNT_CALL();
  if (executable != nullptr) --live_executables;
  return musa(cudaGraphExecDestroy(cuda(executable)));
}
}
