#include "backends/simulated/simulated_stream.h"

#include <fmt/format.h>

#include "base/status.h"

namespace musaic {
namespace {

// From the first value to behind the last one.
size_t extent_bytes(const Tensor& tensor) {
  if (tensor.elements() == 0) return 0;
  int64_t last = 0;
  for (int axis = 0; axis < tensor.shape.rank(); ++axis)
    last += (tensor.shape[axis] - 1) * tensor.strides[axis];
  return byte_size(tensor.dtype, last + 1);
}

}  // namespace

void SimulatedState::fail(std::string_view rule) const {
  fail_load("simulated: {}: {}", op.empty() ? "no op" : op, rule);
}

void SimulatedState::forbid_in_capture(std::string_view what) const {
  if (capturing != nullptr) fail(fmt::format("{} inside a capture", what));
}

void SimulatedStream::check_stream() const {
  if (state_.capturing != nullptr && state_.capturing != this)
    state_.fail("work is enqueued on another stream than the one that captures");
}

void SimulatedStream::use(std::string_view argument, const void* address, size_t bytes) {
  check_stream();
  const uint64_t allocation = state_.memory.find(address, bytes);
  if (allocation == LiveMemory::kNone)
    state_.fail(fmt::format("{}: {} bytes at {} are not inside a live allocation", argument, bytes, address));
  if (state_.capturing != nullptr)
    used_.try_emplace(allocation, UsedAddress{state_.op, std::string(argument)});
}

void SimulatedStream::use(std::string_view argument, const Tensor& tensor) {
  const size_t bytes = tensor.defined() ? extent_bytes(tensor) : 0;
  if (bytes > 0) use(argument, tensor.data, bytes);
}

void SimulatedStream::synchronize() {
  state_.forbid_in_capture("a synchronization");
}

void SimulatedStream::begin() {
  state_.forbid_in_capture("a capture");
  CpuStream::begin_capture();
  state_.capturing = this;
  used_.clear();
}

std::pair<std::vector<CpuLaunch>, UsedAddresses> SimulatedStream::end() {
  if (state_.capturing != this) state_.fail("the end of a capture that was not begun on this stream");
  state_.capturing = nullptr;
  return {CpuStream::end_capture(), std::move(used_)};
}

void SimulatedStream::enqueue(const CpuLaunch& launch) {
  check_stream();
  CpuStream::enqueue(launch);
}

}  // namespace musaic
