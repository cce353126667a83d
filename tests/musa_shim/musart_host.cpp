// MUSA's runtime in host memory.
#include <sys/mman.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "call_counts.h"
#include "musa_shim_host.h"

namespace {

enum class WorkKind { kKernel, kCopy, kFill, kGraph, kEvent };

struct Work {
  WorkKind kind;
  std::function<void()> run;
};
using WorkList = std::vector<Work>;

}  // namespace

struct CUstream_st {
  std::deque<Work> pending;
  uint64_t enqueued = 0;
  uint64_t done = 0;
  bool is_capturing = false;
  bool is_invalid = false;  // the capture
  WorkList recorded;
};
struct MUevent_st {
  CUstream_st* stream = nullptr;
  uint64_t position = 0;
  std::shared_ptr<std::chrono::steady_clock::time_point> reached;  // set when the stream gets there
};
struct MUgraph_st {
  WorkList work;
};
struct MUgraphExec_st {
  std::shared_ptr<const WorkList> work;
  CUstream_st* stream = nullptr;  // of its last launch
  uint64_t position = 0;
};

namespace {

constexpr int kVersion = 4030;

struct Device {
  std::mutex mutex;  // guards all below
  CUstream_st null_stream;
  std::set<CUstream_st*> streams{&null_stream};
  std::map<void*, size_t> memory;  // by host address
  size_t used_bytes = 0;
  int live_executables = 0;
  bool is_lost = false;
};

Device& device() {
  static Device* one = new Device;  // outlives whatever a process frees at its end
  return *one;
}

thread_local musaError_t last_error = musaSuccess;
thread_local CUstream_st* captured_stream = nullptr;  // of this thread's capture

musaError_t fail(musaError_t error) {
  last_error = error;
  return error;
}

[[noreturn]] void end_process(const char* breach) {
  std::fprintf(stderr, "musa_shim: %s\n", breach);
  std::abort();
}

CUstream_st& stream_of(musaStream_t stream) {
  CUstream_st* own = stream == nullptr ? &device().null_stream : stream;
  if (!device().streams.contains(own)) end_process("a stream that does not exist");
  return *own;
}

musaError_t state() {
  return device().is_lost ? fail(musaErrorIllegalAddress) : musaSuccess;
}

// What a capture of the calling thread forbids also ends the capture.
musaError_t forbid_in_capture() {
  if (captured_stream == nullptr) return state();
  captured_stream->is_invalid = true;
  return fail(musaErrorStreamCaptureUnsupported);
}

void run_until(CUstream_st& stream, uint64_t position) {
  while (stream.done < position && !device().is_lost) {
    stream.pending.front().run();
    stream.pending.pop_front();
    ++stream.done;
  }
}

void run_all() {
  for (CUstream_st* stream : device().streams) run_until(*stream, stream->enqueued);
}

musaError_t enqueue(CUstream_st& stream, Work work) {
  if (const musaError_t error = state(); error != musaSuccess) return error;
  if (stream.is_capturing) {
    stream.recorded.push_back(std::move(work));
  } else {
    stream.pending.push_back(std::move(work));
    ++stream.enqueued;
  }
  return musaSuccess;
}

bool have_equal_kinds(const WorkList& a, const WorkList& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].kind != b[i].kind) return false;
  }
  return true;
}

std::unique_lock<std::mutex> lock() {
  return std::unique_lock(device().mutex);
}

}  // namespace

namespace musa_shim {

int num_live_executables() {
  const auto held = lock();
  return device().live_executables;
}

void launch(musaStream_t stream, std::function<void()> work) {
  const auto held = lock();
  enqueue(stream_of(stream), {WorkKind::kKernel, std::move(work)});
}

void refuse_launch() {
  fail(musaErrorInvalidConfiguration);
}

void launch_wild_write(musaStream_t stream) {
  launch(stream, [] { device().is_lost = true; });
}

}  // namespace musa_shim

extern "C" {

musaError_t musaGetLastError() {
  MUSA_SHIM_COUNT_CALL();
  return std::exchange(last_error, musaSuccess);
}

const char* musaGetErrorString(musaError_t error) {
  switch (error) {
    case musaSuccess:
      return "no error";
    case musaErrorMemoryAllocation:
      return "out of memory";
    case musaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case musaErrorInvalidDevice:
      return "invalid device ordinal";
    case musaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    case musaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case musaErrorStreamCaptureInvalidated:
      return "operation failed due to a previous error during capture";
    case musaErrorGraphExecUpdateFailure:
      return "the graph update was not performed";
    default:
      return "unknown error";
  }
}

musaError_t musaGetDeviceCount(int* count) {
  MUSA_SHIM_COUNT_CALL();
  *count = musa_shim::kNumDevices;
  return musaSuccess;
}

musaError_t musaDriverGetVersion(int* version) {
  *version = kVersion;
  return musaSuccess;
}

musaError_t musaRuntimeGetVersion(int* version) {
  *version = kVersion;
  return musaSuccess;
}

musaError_t musaSetDevice(int index) {
  return index < musa_shim::kNumDevices ? musaSuccess : fail(musaErrorInvalidDevice);
}

musaError_t musaGetDevice(int* index) {
  *index = 0;
  return musaSuccess;
}

musaError_t musaGetDeviceProperties(musaDeviceProp* properties, int) {
  *properties = {.name = "a MUSA device in host memory",
                 .major = 3,
                 .minor = 1,
                 .warpSize = 32,
                 .multiProcessorCount = 1};
  return musaSuccess;
}

musaError_t musaFuncSetAttribute(const void*, musaFuncAttribute, int) {
  return musaSuccess;
}

musaError_t musaMalloc(void** address, size_t bytes) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  if (const musaError_t error = forbid_in_capture(); error != musaSuccess) return error;
  if (bytes > musa_shim::kMemoryBytes - device().used_bytes) return fail(musaErrorMemoryAllocation);
  void* host = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (host == MAP_FAILED) return fail(musaErrorMemoryAllocation);
  device().memory[host] = bytes;
  device().used_bytes += bytes;
  *address = musa_shim::device_address(host);
  return musaSuccess;
}

musaError_t musaFree(void* address) {
  MUSA_SHIM_COUNT_CALL();
  if (address == nullptr) return musaSuccess;
  const auto held = lock();
  if (const musaError_t error = forbid_in_capture(); error != musaSuccess) return error;
  const auto found = device().memory.find(musa_shim::host_address(address));
  if (found == device().memory.end()) end_process("a free of memory that was not allocated");
  run_all();
  munmap(found->first, found->second);
  device().used_bytes -= found->second;
  device().memory.erase(found);
  return musaSuccess;
}

musaError_t musaHostAlloc(void** address, size_t bytes, unsigned) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  if (const musaError_t error = forbid_in_capture(); error != musaSuccess) return error;
  *address = std::malloc(bytes);
  return *address != nullptr ? musaSuccess : fail(musaErrorMemoryAllocation);
}

musaError_t musaFreeHost(void* address) {
  const auto held = lock();
  run_all();
  std::free(address);
  return musaSuccess;
}

musaError_t musaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  const auto held = lock();
  *total_bytes = musa_shim::kMemoryBytes;
  *free_bytes = musa_shim::kMemoryBytes - device().used_bytes;
  return state();
}

musaError_t musaMemcpyAsync(void* to, const void* from, size_t bytes, musaMemcpyKind, musaStream_t stream) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  return enqueue(stream_of(stream), {WorkKind::kCopy, [to, from, bytes] {
                                       std::memcpy(musa_shim::host_address(to), musa_shim::host_address(from),
                                                   bytes);
                                     }});
}

musaError_t musaMemsetAsync(void* address, int value, size_t bytes, musaStream_t stream) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  return enqueue(stream_of(stream), {WorkKind::kFill, [address, value, bytes] {
                                       std::memset(musa_shim::host_address(address), value, bytes);
                                     }});
}

musaError_t musaStreamCreateWithFlags(musaStream_t* stream, unsigned) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  *stream = new CUstream_st;
  device().streams.insert(*stream);
  return state();
}

musaError_t musaStreamDestroy(musaStream_t stream) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  run_until(stream_of(stream), stream->enqueued);
  device().streams.erase(stream);
  delete stream;
  return musaSuccess;
}

musaError_t musaStreamSynchronize(musaStream_t stream) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  CUstream_st& own = stream_of(stream);
  if (own.is_capturing) return forbid_in_capture();
  run_until(own, own.enqueued);
  return state();
}

musaError_t musaEventCreateWithFlags(musaEvent_t* event, unsigned) {
  *event = new MUevent_st;
  return musaSuccess;
}

musaError_t musaEventDestroy(musaEvent_t event) {
  delete event;
  return musaSuccess;
}

musaError_t musaEventRecord(musaEvent_t event, musaStream_t stream) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  CUstream_st& own = stream_of(stream);
  if (own.is_capturing) return forbid_in_capture();
  const auto reached = std::make_shared<std::chrono::steady_clock::time_point>();
  enqueue(own, {WorkKind::kEvent, [reached] { *reached = std::chrono::steady_clock::now(); }});
  *event = {&own, own.enqueued, reached};
  return state();
}

musaError_t musaEventElapsedTime(float* milliseconds, musaEvent_t from, musaEvent_t to) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  if (from->reached == nullptr || to->reached == nullptr) return fail(musaErrorInvalidConfiguration);
  *milliseconds = std::chrono::duration<float, std::milli>(*to->reached - *from->reached).count();
  return state();
}

musaError_t musaEventSynchronize(musaEvent_t event) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  if (const musaError_t error = forbid_in_capture(); error != musaSuccess) return error;
  if (event->stream != nullptr) run_until(*event->stream, event->position);
  return state();
}

musaError_t musaStreamBeginCapture(musaStream_t stream, musaStreamCaptureMode) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  CUstream_st& own = stream_of(stream);
  if (stream == nullptr || own.is_capturing || captured_stream != nullptr)
    return fail(musaErrorStreamCaptureUnsupported);
  own.is_capturing = true;
  own.is_invalid = false;
  own.recorded.clear();
  captured_stream = &own;
  return state();
}

musaError_t musaStreamEndCapture(musaStream_t stream, musaGraph_t* graph) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  CUstream_st& own = stream_of(stream);
  *graph = nullptr;
  if (captured_stream != &own) return fail(musaErrorStreamCaptureUnmatched);
  captured_stream = nullptr;
  own.is_capturing = false;
  if (own.is_invalid) return fail(musaErrorStreamCaptureInvalidated);
  *graph = new MUgraph_st{std::move(own.recorded)};
  return state();
}

musaError_t musaGraphGetNodes(musaGraph_t graph, musaGraphNode_t*, size_t* count) {
  *count = graph->work.size();
  return musaSuccess;
}

musaError_t musaGraphInstantiate(musaGraphExec_t* executable, musaGraph_t graph, musaGraphNode_t*, char*,
                                 size_t) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  if (const musaError_t error = forbid_in_capture(); error != musaSuccess) return error;
  if (device().live_executables == musa_shim::kMaxLiveExecutables) return fail(musaErrorMemoryAllocation);
  ++device().live_executables;
  *executable = new MUgraphExec_st{.work = std::make_shared<const WorkList>(graph->work)};
  return musaSuccess;
}

musaError_t musaGraphExecUpdate(musaGraphExec_t executable, musaGraph_t graph, musaGraphNode_t*,
                                musaGraphExecUpdateResult* result) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  if (const musaError_t error = forbid_in_capture(); error != musaSuccess) return error;
  const bool fits = have_equal_kinds(*executable->work, graph->work);
  *result = fits ? musaGraphExecUpdateSuccess : musaGraphExecUpdateError;
  if (!fits) return fail(musaErrorGraphExecUpdateFailure);
  executable->work = std::make_shared<const WorkList>(graph->work);  // launches before it keep theirs
  return musaSuccess;
}

musaError_t musaGraphLaunch(musaGraphExec_t executable, musaStream_t stream) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  CUstream_st& own = stream_of(stream);
  if (own.is_capturing) return forbid_in_capture();
  const musaError_t error = enqueue(own, {WorkKind::kGraph, [list = executable->work] {
                                            for (const Work& work : *list) work.run();
                                          }});
  executable->stream = &own;
  executable->position = own.enqueued;
  return error;
}

musaError_t musaGraphDestroy(musaGraph_t graph) {
  delete graph;
  return musaSuccess;
}

musaError_t musaGraphExecDestroy(musaGraphExec_t executable) {
  MUSA_SHIM_COUNT_CALL();
  const auto held = lock();
  if (executable == nullptr) return fail(musaErrorInvalidValue);
  const CUstream_st* stream = executable->stream;
  const bool is_pending =
      device().streams.contains(executable->stream) && stream->done < executable->position;
  if (is_pending && !device().is_lost) end_process("an executable was destroyed before a launch of it ended");
  --device().live_executables;
  delete executable;
  return musaSuccess;
}
}
