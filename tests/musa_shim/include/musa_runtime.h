#pragma once

// The part of MUSA's runtime that Musaic uses, as a stand-in for tests: musart_cuda.cpp forwards it to CUDA,
// musart_host.cpp has a device of its own in host memory. What the oldest supported SDK, MUSA 3.1, does not
// declare is not declared here either, so that a use of it fails the build.
#include <cstddef>

#if defined(__CUDACC__)
#define __MUSACC__ 1
#if !defined(MUSA_SHIM_ARCH)
#define MUSA_SHIM_ARCH 310
#endif
#if defined(__CUDA_ARCH__)
#define __MUSA_ARCH__ MUSA_SHIM_ARCH
#endif
#endif

// nvcc launches on streams of this type only.
struct CUstream_st;
struct MUevent_st;
struct MUgraph_st;
struct MUgraphExec_st;
struct MUgraphNode_st;

using musaStream_t = CUstream_st*;
using musaEvent_t = MUevent_st*;
using musaGraph_t = MUgraph_st*;
using musaGraphExec_t = MUgraphExec_st*;
using musaGraphNode_t = MUgraphNode_st*;

enum musaError_t {
  musaSuccess = 0,
  musaErrorInvalidValue = 1,
  musaErrorMemoryAllocation = 2,
  musaErrorInvalidConfiguration = 9,
  musaErrorInsufficientDriver = 35,
  musaErrorNoDevice = 100,
  musaErrorInvalidDevice = 101,
  musaErrorNoKernelImageForDevice = 209,
  musaErrorECCUncorrectable = 214,
  musaErrorMtlinkUncorrectable = 220,
  musaErrorInvalidResourceHandle = 400,
  musaErrorIllegalAddress = 700,
  musaErrorLaunchTimeout = 702,
  musaErrorAssert = 710,
  musaErrorHardwareStackError = 714,
  musaErrorIllegalInstruction = 715,
  musaErrorMisalignedAddress = 716,
  musaErrorInvalidAddressSpace = 717,
  musaErrorInvalidPc = 718,
  musaErrorLaunchFailure = 719,
  musaErrorStreamCaptureUnsupported = 900,
  musaErrorStreamCaptureInvalidated = 901,
  musaErrorStreamCaptureUnmatched = 903,
  musaErrorGraphExecUpdateFailure = 910,
  musaErrorUnknown = 999,
};

enum musaMemcpyKind { musaMemcpyHostToDevice = 1, musaMemcpyDeviceToHost = 2, musaMemcpyDeviceToDevice = 3 };
enum musaStreamCaptureMode { musaStreamCaptureModeThreadLocal = 1 };
enum musaGraphExecUpdateResult { musaGraphExecUpdateSuccess = 0, musaGraphExecUpdateError = 1 };
enum musaFuncAttribute { musaFuncAttributeMaxDynamicSharedMemorySize = 8 };

inline constexpr unsigned musaStreamNonBlocking = 1;
inline constexpr unsigned musaEventDefault = 0;
inline constexpr unsigned musaEventDisableTiming = 2;
inline constexpr unsigned musaHostAllocDefault = 0;

struct musaDeviceProp {
  char name[256];
  int major;
  int minor;
  int warpSize;
  int multiProcessorCount;
};

extern "C" {
musaError_t musaGetLastError();
const char* musaGetErrorString(musaError_t error);

musaError_t musaGetDeviceCount(int* count);
musaError_t musaDriverGetVersion(int* version);
musaError_t musaRuntimeGetVersion(int* version);
musaError_t musaSetDevice(int device);
musaError_t musaGetDevice(int* device);
musaError_t musaGetDeviceProperties(musaDeviceProp* properties, int device);
musaError_t musaFuncSetAttribute(const void* kernel, musaFuncAttribute attribute, int value);

musaError_t musaMalloc(void** address, size_t bytes);
musaError_t musaFree(void* address);
musaError_t musaHostAlloc(void** address, size_t bytes, unsigned flags);
musaError_t musaFreeHost(void* address);
musaError_t musaMemGetInfo(size_t* free_bytes, size_t* total_bytes);
musaError_t musaMemcpyAsync(void* to, const void* from, size_t bytes, musaMemcpyKind kind,
                            musaStream_t stream);
musaError_t musaMemsetAsync(void* address, int value, size_t bytes, musaStream_t stream);

musaError_t musaStreamCreateWithFlags(musaStream_t* stream, unsigned flags);
musaError_t musaStreamDestroy(musaStream_t stream);
musaError_t musaStreamSynchronize(musaStream_t stream);
musaError_t musaEventCreateWithFlags(musaEvent_t* event, unsigned flags);
musaError_t musaEventDestroy(musaEvent_t event);
musaError_t musaEventRecord(musaEvent_t event, musaStream_t stream);
musaError_t musaEventSynchronize(musaEvent_t event);
musaError_t musaEventElapsedTime(float* milliseconds, musaEvent_t from, musaEvent_t to);

musaError_t musaStreamBeginCapture(musaStream_t stream, musaStreamCaptureMode mode);
musaError_t musaStreamEndCapture(musaStream_t stream, musaGraph_t* graph);
musaError_t musaGraphGetNodes(musaGraph_t graph, musaGraphNode_t* nodes, size_t* count);
musaError_t musaGraphInstantiate(musaGraphExec_t* executable, musaGraph_t graph, musaGraphNode_t* error_node,
                                 char* log, size_t log_bytes);
musaError_t musaGraphExecUpdate(musaGraphExec_t executable, musaGraph_t graph, musaGraphNode_t* error_node,
                                musaGraphExecUpdateResult* result);
musaError_t musaGraphLaunch(musaGraphExec_t executable, musaStream_t stream);
musaError_t musaGraphDestroy(musaGraph_t graph);
musaError_t musaGraphExecDestroy(musaGraphExec_t executable);
}
