#include "opcheck/device_call.h"

#include <algorithm>

namespace musaic {
namespace {

constexpr size_t kGuardBytes = 64;
constexpr size_t kPoisonedBytes = size_t{64}
                                  << 10;  // of a large workspace: its beginning, which every kernel uses

std::byte poison_byte(Poison poison) {
  return poison == Poison::kNaN ? std::byte{0xFF} : std::byte{0x7F};
}

}  // namespace

CallQuery::CallQuery(const OpDef& op, const OpSample& sample, const Attributes& attributes,
                     const std::vector<Meta>& outputs, const Backend& backend)
    : metas_(static_cast<size_t>(op.schema.num_tensors())),
      attributes_(attributes),
      capabilities_(backend.capabilities()) {
  for (size_t i = 0; i < metas_.size(); ++i) {
    const bool has = i < sample.inputs.size() && sample.inputs[i].tensor.defined();
    if (has) metas_[i] = sample.inputs[i].tensor.meta();
    metas_[i].device = backend.device();
    inputs_.push_back(has ? &metas_[i] : nullptr);
  }
  for (const Meta& output : outputs) outputs_.push_back(&output);
}

DeviceCall::DeviceCall(const CheckedCall& call, const CallImage& image, Backend& backend)
    : call_(call),
      image_(image),
      backend_(backend),
      memory_(backend.allocate(image.bytes(), "a checked call")) {
  if (!call.kernel.workspace_bytes) return;
  const CallQuery query(call.op, call.sample, call.attributes, call.outputs, backend);
  const int64_t bytes = call.kernel.workspace_bytes(query.query()).constant();
  workspace_memory_ = backend.allocate(static_cast<size_t>(bytes) + kGuardBytes, "its workspace");
  workspace_ = Tensor::contiguous(workspace_memory_->data(), DType::kU8, {bytes});
}

void DeviceCall::load(const std::vector<std::byte>& memory, Poison workspace) {
  Stream& stream = backend_.stream();
  backend_.copy_to_device(memory_->data(), memory.data(), memory.size(), stream);
  if (workspace_memory_ != nullptr) {
    const std::vector<std::byte> poison(std::min(workspace_.bytes(), kPoisonedBytes), poison_byte(workspace));
    backend_.copy_to_device(workspace_.data, poison.data(), poison.size(), stream);
  }
  stream.synchronize();
}

void DeviceCall::enqueue() {
  auto* base = static_cast<std::byte*>(memory_->data());
  const std::vector<Tensor> inputs = image_.inputs(base);
  const std::vector<Tensor> outputs = image_.outputs(base);
  backend_.name_next(call_.op.schema.name.c_str());
  call_.kernel.run({.inputs = inputs,
                    .outputs = outputs,
                    .workspace = workspace_,
                    .attributes = call_.attributes,
                    .live_rows = image_.live_rows(base),
                    .stream = backend_.stream()});
}

std::vector<std::byte> DeviceCall::read() {
  std::vector<std::byte> memory(image_.bytes());
  Stream& stream = backend_.stream();
  backend_.copy_to_host(memory.data(), memory_->data(), memory.size(), stream);
  stream.synchronize();
  return memory;
}

bool DeviceCall::left_workspace() const {
  if (workspace_memory_ == nullptr) return false;
  std::vector<std::byte> guard(kGuardBytes);
  const auto* end = static_cast<const std::byte*>(workspace_memory_->data()) + workspace_.bytes();
  backend_.copy_to_host(guard.data(), end, guard.size(), backend_.stream());
  backend_.stream().synchronize();
  return std::ranges::any_of(guard, [](std::byte byte) { return byte != std::byte{0}; });
}

}  // namespace musaic
