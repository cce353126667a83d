#include "ops/kernels_simulated.h"

#include <set>

#include "backends/simulated/simulated_stream.h"
#include "ir/registry.h"

namespace musaic {
namespace {

std::vector<std::string> tensor_names(const Schema& schema) {
  std::vector<std::string> names;
  for (const SchemaArgument* argument : schema.tensors()) names.push_back(argument->name);
  return names;
}

// A packed weight's memory is as large as its layout makes it.
void use_input(SimulatedStream& stream, const std::string& name, const Tensor& tensor, bool is_packed,
               const std::optional<WeightPacking>& packing) {
  if (is_packed) {
    stream.use(name, tensor.data, packing->bytes(tensor.shape[0], tensor.shape[1]));
  } else {
    stream.use(name, tensor);
  }
}

Tensor on_host(Tensor tensor) {
  tensor.data = host_address(tensor.data);
  return tensor;
}

std::vector<Tensor> on_host(std::span<const Tensor> tensors) {
  std::vector<Tensor> out;
  for (const Tensor& tensor : tensors) out.push_back(on_host(tensor));
  return out;
}

std::string simulated_name(const Kernel& cpu) {
  return cpu.name + "_simulated";
}

Kernel simulate(const OpDef& op, const Kernel& cpu) {
  Kernel kernel = cpu;
  kernel.name = simulated_name(cpu);
  kernel.device_type = "simulated";
  kernel.run = [names = tensor_names(op.schema), run = cpu.run,
                packing = cpu.packing](const KernelCall& call) {
    SimulatedStream& stream = simulated_stream(call.stream);
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      const bool is_packed = packing && packing->input == static_cast<int>(i);
      use_input(stream, names[i], call.inputs[i], is_packed, packing);
    }
    for (const Tensor& output : call.outputs) stream.use("an output", output);
    stream.use("the workspace", call.workspace);
    if (call.live_rows != nullptr) stream.use("the number of live rows", call.live_rows, sizeof(int32_t));
    const std::vector<Tensor> inputs = on_host(call.inputs);
    const std::vector<Tensor> outputs = on_host(call.outputs);
    run({.inputs = inputs,
         .outputs = outputs,
         .workspace = on_host(call.workspace),
         .attributes = call.attributes,
         .live_rows = host_address(call.live_rows),
         .stream = call.stream});
  };
  return kernel;
}

}  // namespace

void add_simulated_kernels(OpRegistry& registry) {
  std::vector<std::pair<std::string, Kernel>> kernels;
  for (const auto& [name, op] : registry.ops()) {
    std::set<std::string> known;
    for (const Kernel& kernel : op.kernels) known.insert(kernel.name);
    for (const Kernel& kernel : op.kernels) {
      if (kernel.device_type != "cpu" || known.contains(simulated_name(kernel))) continue;
      kernels.emplace_back(name, simulate(op, kernel));
    }
  }
  // Last first: kernels that were added later come before the op's others, as they do on the cpu.
  for (auto it = kernels.rbegin(); it != kernels.rend(); ++it)
    registry.prefer_kernel(it->first, std::move(it->second));
}

}  // namespace musaic
