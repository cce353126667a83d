// The kernels of the MUSA device in host memory: the CPU's, each call of which is one launch.
#include <functional>
#include <memory>
#include <set>

#include "backends/cpu/cpu_backend.h"
#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "musa_shim_host.h"
#include "ops/kernels_gpu.h"

namespace musaic {
namespace {

// Whose threads and instruction sets the kernels have. Never destroyed: work may run until the process ends.
CpuBackend& host() {
  static CpuBackend* one = new CpuBackend({.num_threads = 2});
  return *one;
}

Tensor on_host(Tensor tensor) {
  tensor.data = musa_shim::host_address(tensor.data);
  return tensor;
}

std::vector<Tensor> on_host(std::span<const Tensor> tensors) {
  std::vector<Tensor> out;
  for (const Tensor& tensor : tensors) out.push_back(on_host(tensor));
  return out;
}

KernelQuery on_host(const KernelQuery& query) {
  return {query.inputs, query.outputs, query.attributes, host().capabilities()};
}

void launch(const Kernel& cpu, const KernelCall& call) {
  CpuStream recorder(host().pool());
  const std::vector<Tensor> inputs = on_host(call.inputs);
  const std::vector<Tensor> outputs = on_host(call.outputs);
  recorder.begin_capture();
  cpu.run({.inputs = inputs,
           .outputs = outputs,
           .workspace = on_host(call.workspace),
           .attributes = call.attributes,
           .live_rows = musa_shim::host_address(call.live_rows),
           .stream = recorder});
  auto launches = std::make_shared<const std::vector<CpuLaunch>>(recorder.end_capture());
  musa_shim::launch(gpu_stream(call.stream).handle(),
                    [launches] { CpuStream(host().pool()).replay(*launches); });
  gpu_stream(call.stream).check_launch();
}

Kernel on_musa(const Kernel& cpu) {
  Kernel kernel = cpu;
  kernel.name = cpu.name + "_musa_shim";
  kernel.device_type = kGpuDeviceType;
  if (cpu.supports)
    kernel.supports = [cpu](const KernelQuery& query) { return cpu.supports(on_host(query)); };
  if (cpu.workspace_bytes)
    kernel.workspace_bytes = [cpu](const KernelQuery& query) { return cpu.workspace_bytes(on_host(query)); };
  kernel.run = [cpu](const KernelCall& call) { launch(cpu, call); };
  return kernel;
}

}  // namespace

void add_gpu_kernels(OpRegistry& registry) {
  std::vector<std::pair<std::string, Kernel>> kernels;
  for (const auto& [name, op] : registry.ops()) {
    for (const Kernel& kernel : op.kernels) {
      if (kernel.device_type == "cpu") kernels.emplace_back(name, on_musa(kernel));
    }
  }
  for (auto& [name, kernel] : kernels) registry.add_kernel(name, std::move(kernel));
}

}  // namespace musaic
