#include "opcheck/call_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace musaic {
namespace {

constexpr size_t kAlignment = 64;    // what the plan gives: a cache line
constexpr size_t kGuardBytes = 128;  // wider than a vector of any kernel

bool is_integer(DType dtype) {
  return dtype == DType::kI64 || dtype == DType::kI32 || dtype == DType::kI16 || dtype == DType::kI8 ||
         dtype == DType::kU8 || dtype == DType::kBool;
}

std::byte poison_byte(DType dtype, Poison poison) {
  if (is_integer(dtype)) return poison == Poison::kNaN ? std::byte{0x7F} : std::byte{0x55};
  return poison == Poison::kNaN ? std::byte{0xFF} : std::byte{0x7F};
}

// Bytes from the first value to behind the last row's stride, as HostTensor stores it.
size_t stored_bytes(const Tensor& tensor) {
  if (tensor.is_contiguous() || tensor.elements() == 0) return byte_size(tensor.dtype, tensor.elements());
  int64_t last = 0;
  for (int axis = 0; axis < tensor.shape.rank(); ++axis)
    last += (tensor.shape[axis] - 1) * tensor.strides[axis];
  return byte_size(tensor.dtype, last + 1);
}

// Calls visit(first byte, bytes) for the runs of values next to each other in leading rows [begin, end).
template <class Visit>
void for_each_run(const Tensor& tensor, int64_t begin, int64_t end, const Visit& visit) {
  const int rank = tensor.shape.rank();
  if (tensor.elements() == 0 || begin >= end) return;
  if (is_block_quantized(tensor.dtype) || rank == 0) {
    visit(size_t{0}, byte_size(tensor.dtype, tensor.elements()));
    return;
  }
  const int outer_axes = rank > 1 && tensor.strides[-1] == 1 ? rank - 1 : rank;
  const int64_t run = outer_axes < rank ? tensor.shape[-1] : 1;
  const int64_t runs_a_row = tensor.elements() / tensor.shape[0] / run;
  for (int64_t index = begin * runs_a_row; index < end * runs_a_row; ++index) {
    int64_t place = 0;
    int64_t rest = index;
    for (int axis = outer_axes - 1; axis >= 0; --axis) {
      place += rest % tensor.shape[axis] * tensor.strides[axis];
      rest /= tensor.shape[axis];
    }
    visit(byte_size(tensor.dtype, place), byte_size(tensor.dtype, run));
  }
}

Shape numbers(const DimShape& dims) {
  std::vector<int64_t> values;
  for (const Dim& dim : dims) values.push_back(dim.constant());
  return Shape(values);
}

}  // namespace

CallImage::CallImage(const CheckedCall& call) : sample_(call.sample), live_rows_(call.live_rows) {
  duties_.resize(kGuardBytes, Duty::kKeep);
  inputs_.reserve(call.sample.inputs.size());
  for (size_t i = 0; i < static_cast<size_t>(call.op.schema.num_tensors()); ++i) add_input(call, i);
  for (size_t i = 0; i < call.outputs.size(); ++i) add_output(call, i);
  live_rows_at_ = duties_.size();
  duties_.resize(duties_.size() + kGuardBytes, Duty::kKeep);
}

CallImage::Slot& CallImage::add_slot(std::vector<Slot>& slots, std::string name, const Tensor& tensor,
                                     size_t bytes) {
  const int64_t rows = tensor.shape.rank() > 0 ? tensor.shape[0] : 1;
  slots.push_back({std::move(name), tensor, duties_.size(), bytes, rows});
  const size_t end = (duties_.size() + bytes + kAlignment - 1) / kAlignment * kAlignment;
  duties_.resize(end + kGuardBytes, Duty::kKeep);
  return slots.back();
}

void CallImage::add_input(const CheckedCall& call, size_t index) {
  const SchemaArgument& argument = *call.op.schema.tensors()[index];
  const SampleInput input = index < sample_.inputs.size() ? sample_.inputs[index] : SampleInput{};
  const std::string name = fmt::format("input `{}`", argument.name);
  if (!input.tensor.defined()) {
    inputs_.push_back({name, {}});
    return;
  }
  const auto& packing = call.kernel.packing;
  if (packing && packing->input == static_cast<int>(index)) {
    const Tensor weight = input.tensor.tensor();
    Slot& slot = add_slot(inputs_, name, weight, packing->bytes(weight.shape[0], weight.shape[1]));
    pack(call, slot);
    return;
  }
  Slot& slot = add_slot(inputs_, name, input.tensor.tensor(), input.tensor.bytes());
  if (input.has_rows && live_rows_) slot.live_rows = std::min<int64_t>(*live_rows_, slot.live_rows);
  if (!input.overwritten) slot.source = sample_.inputs[index].tensor.data();
  if (argument.mutated) set_duty(slot, input.overwritten ? Duty::kWrite : Duty::kMutate);
}

// In two ranges, as threads would.
void CallImage::pack(const CheckedCall& call, Slot& slot) {
  const WeightPacking& packing = *call.kernel.packing;
  const HostTensor& weight = sample_.inputs[static_cast<size_t>(packing.input)].tensor;
  const Tensor tensor = weight.tensor();
  const WeightRows source{tensor.dtype, tensor.shape[0], tensor.shape[1], {{tensor.shape[0], weight.data()}}};
  packed_weight_.resize(slot.bytes);
  const int64_t half = source.rows / 2 / packing.row_alignment * packing.row_alignment;
  if (half > 0) packing.pack(source, 0, half, packed_weight_.data());
  packing.pack(source, half, source.rows, packed_weight_.data());
  slot.is_packed = true;
}

void CallImage::add_output(const CheckedCall& call, size_t index) {
  const Meta& meta = call.outputs[index];
  Tensor tensor{nullptr, meta.dtype, numbers(meta.shape), numbers(meta.strides)};
  Slot& slot = add_slot(outputs_, fmt::format("output {}", index), tensor, stored_bytes(tensor));
  if (call.output_has_rows[index] && live_rows_)
    slot.live_rows = std::min<int64_t>(*live_rows_, slot.live_rows);
  set_duty(slot, sample_.partial ? Duty::kMayWrite : Duty::kWrite);
}

void CallImage::set_duty(const Slot& slot, Duty duty) {
  for_each_run(slot.tensor, 0, slot.live_rows, [&](size_t first, size_t bytes) {
    std::fill_n(duties_.begin() + static_cast<ptrdiff_t>(slot.begin + first), bytes, duty);
  });
}

void CallImage::fill(const Slot& slot, Poison poison, std::vector<std::byte>& memory) const {
  std::byte* to = memory.data() + slot.begin;
  if (slot.is_packed) {
    std::memcpy(to, packed_weight_.data(), slot.bytes);
    return;
  }
  std::fill_n(to, slot.bytes, poison_byte(slot.tensor.dtype, poison));
  if (slot.source == nullptr) return;
  const auto copy = [&](size_t first, size_t bytes) { std::memcpy(to + first, slot.source + first, bytes); };
  for_each_run(slot.tensor, 0, slot.live_rows, copy);
  // Pad rows of integers are indices that a wrong kernel may follow: as given, or zero.
  if (!is_integer(slot.tensor.dtype)) return;
  for_each_run(slot.tensor, slot.live_rows, slot.tensor.shape[0], [&](size_t first, size_t bytes) {
    if (poison == Poison::kNaN) copy(first, bytes);
    if (poison == Poison::kLarge) std::memset(to + first, 0, bytes);
  });
}

std::vector<std::byte> CallImage::before(Poison poison) const {
  std::vector<std::byte> memory(bytes(), poison_byte(DType::kF32, poison));
  for (const Slot& slot : inputs_) {
    if (slot.bytes > 0) fill(slot, poison, memory);
  }
  for (const Slot& slot : outputs_) fill(slot, poison, memory);
  const int32_t live = live_rows_.value_or(0);
  std::memcpy(memory.data() + live_rows_at_, &live, sizeof(live));
  return memory;
}

std::vector<std::byte> CallImage::without_data() const {
  std::vector<std::byte> memory = before(Poison::kLarge);
  for (const Slot& slot : inputs_) std::fill_n(memory.data() + slot.begin, slot.bytes, std::byte{0});
  std::memset(memory.data() + live_rows_at_, 0, sizeof(int32_t));
  return memory;
}

std::string CallImage::place(size_t at) const {
  const Slot* before = nullptr;
  for (const std::vector<Slot>* slots : {&inputs_, &outputs_}) {
    for (const Slot& slot : *slots) {
      if (slot.begin > 0 && slot.begin <= at) before = &slot;
      if (at < slot.begin || at >= slot.begin + slot.bytes) continue;
      if (slot.tensor.shape.rank() == 0 || slot.is_packed) return slot.name;
      for (int64_t row = 0; row < slot.tensor.shape[0]; ++row) {
        bool found = false;
        for_each_run(slot.tensor, row, row + 1, [&](size_t first, size_t bytes) {
          found |= at - slot.begin >= first && at - slot.begin < first + bytes;
        });
        if (found) return fmt::format("{}, {}row {}", slot.name, row < slot.live_rows ? "" : "pad ", row);
      }
      return fmt::format("a gap in {}", slot.name);
    }
  }
  return before == nullptr ? "the memory ahead of the tensors" : "the memory behind " + before->name;
}

std::vector<Tensor> CallImage::tensors(std::byte* base, const std::vector<Slot>& slots) {
  std::vector<Tensor> out;
  for (const Slot& slot : slots) {
    out.push_back(slot.tensor);
    out.back().data = slot.begin == 0 ? nullptr : base + slot.begin;
  }
  return out;
}

const int32_t* CallImage::live_rows(std::byte* base) const {
  return live_rows_ ? reinterpret_cast<const int32_t*>(base + live_rows_at_) : nullptr;
}

std::vector<HostTensor> CallImage::inputs_after(const std::vector<std::byte>& memory) const {
  std::vector<HostTensor> out;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    out.push_back(i < sample_.inputs.size() ? sample_.inputs[i].tensor : HostTensor());
    if (inputs_[i].bytes > 0 && !inputs_[i].is_packed)
      std::memcpy(out.back().data(), memory.data() + inputs_[i].begin, inputs_[i].bytes);
  }
  return out;
}

std::vector<HostTensor> CallImage::outputs_after(const std::vector<std::byte>& memory) const {
  std::vector<HostTensor> out;
  for (const Slot& slot : outputs_) {
    const bool contiguous = slot.tensor.is_contiguous();
    out.push_back(contiguous
                      ? HostTensor(slot.tensor.dtype, slot.tensor.shape)
                      : HostTensor::strided(slot.tensor.dtype, slot.tensor.shape, slot.tensor.strides));
    std::memcpy(out.back().data(), memory.data() + slot.begin, slot.bytes);
  }
  return out;
}

}  // namespace musaic
