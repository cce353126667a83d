#pragma once

#include <memory>
#include <vector>

#include "opcheck/call_image.h"

namespace musaic {

// A call's image in a device's memory, at addresses that stay the same from run to run. The call, its image
// and the backend outlive it.
class DeviceCall {
 public:
  DeviceCall(const CheckedCall& call, const CallImage& image, Backend& backend);

  // Sets tensors and workspace.
  void load(const std::vector<std::byte>& memory, Poison workspace);
  // Calls the kernel; what it throws passes through.
  void enqueue();
  // Waits, and gives the tensors.
  std::vector<std::byte> read();
  // Whether something was written behind the workspace.
  bool left_workspace() const;
  Backend& backend() { return backend_; }

 private:
  const CheckedCall& call_;
  const CallImage& image_;
  Backend& backend_;
  std::unique_ptr<DeviceMemory> memory_;
  std::unique_ptr<DeviceMemory> workspace_memory_;
  Tensor workspace_;
};

// The metas of tensors as the kernel's predicate and size of workspace ask for them.
class CallQuery {
 public:
  CallQuery(const OpDef& op, const OpSample& sample, const Attributes& attributes,
            const std::vector<Meta>& outputs, const Backend& backend);
  CallQuery(const CallQuery&) = delete;
  CallQuery& operator=(const CallQuery&) = delete;

  KernelQuery query() const { return {inputs_, outputs_, attributes_, capabilities_}; }

 private:
  std::vector<Meta> metas_;
  std::vector<const Meta*> inputs_;
  std::vector<const Meta*> outputs_;
  const Attributes& attributes_;
  const Capabilities& capabilities_;
};

}  // namespace musaic
