#include "export/torch_prologue.h"

#include <fmt/format.h>

#include "export/python_text.h"

namespace musaic {
namespace {

// Device types that come with PyTorch itself; any other comes with a package torch_TYPE.
bool is_built_in(const std::string& type) {
  return type == "cpu" || type == "cuda" || type == "xpu" || type == "mps" || type == "meta";
}

std::string docstring(const std::string& title) {
  std::string text;
  for (char c : title) text += c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20 ? '_' : c;
  return text;
}

}  // namespace

std::string module_head(const std::string& title, const Device& device) {
  std::string out = fmt::format(R"py("""{}

Written by musaic. Plain PyTorch, for one prompt without a cache. All weights are held in float32.

    graph = load("model.safetensors")
    with torch.no_grad():
        results = graph(*inputs)    # as INPUTS and OUTPUTS say
"""

import json

import torch
)py",
                                docstring(title));
  if (!is_built_in(device.type)) {
    out += fmt::format(R"py(
try:
    import torch_{0}  # brings the device type {0}
except ImportError:
    torch_{0} = None
)py",
                       device.type);
  }
  return out;
}

std::string device_function(const Device& device) {
  const std::string where = torch_device(device);
  if (is_built_in(device.type)) {
    return fmt::format(R"py(

def default_device():
    return {}
)py",
                       where);
  }
  return fmt::format(R"py(

def default_device():
    if torch_{0} is None and getattr(torch.version, "{0}", None) is None:
        raise RuntimeError("this graph is for {1}, and PyTorch has no {0} here: name another device, load(..., device=...)")
    return {2}
)py",
                     device.type, to_string(device), where);
}

std::string op_definer() {
  return R"py(

def _define_op(name, schema, function, fake):
    """Defines an operator unless a library, or this module before, has; gives it a fake kernel unless it has one."""
    namespace, op = name.split("::")
    if not hasattr(getattr(torch.ops, namespace), op):
        torch.library.define(name, schema)
        torch.library.impl(name, "default", function)
    register_fake = getattr(torch.library, "register_fake", None) or torch.library.impl_abstract
    try:
        register_fake(name, fake)
    except RuntimeError:
        pass  # it has one
)py";
}

std::string module_class() {
  return R"py(

class Graph(torch.nn.Module):
    def __init__(self, tensors, device=None):
        """tensors: the model's, by name."""
        super().__init__()
        device = default_device() if device is None else torch.device(device)
        for attribute, (names, shape) in WEIGHTS.items():
            missing = [name for name in names if name not in tensors]
            if missing:
                raise KeyError(f"the weights have no tensor {missing[0]}")
            weight = torch.cat([tensors[name].to(torch.float32) for name in names])
            if len(shape) == 3 and weight.shape[0] == shape[0] * shape[1]:  # of all experts
                weight = weight.reshape((shape[0], shape[1]) + tuple(weight.shape[1:]))
            if tuple(weight.shape) != shape:
                raise ValueError(f"{' + '.join(names)}: expected the shape {shape}, got {tuple(weight.shape)}")
            self.register_buffer(attribute, weight.to(device), persistent=False)
        for attribute, (values, dtype, shape) in CONSTANTS.items():
            constant = torch.tensor(values, dtype=dtype).reshape(shape)
            self.register_buffer(attribute, constant.to(device), persistent=False)
)py";
}

std::string module_loader() {
  return R"py(

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
if hasattr(torch, "float8_e4m3fn"):
    _DTYPES["F8_E4M3"] = torch.float8_e4m3fn


def read_safetensors(*paths):
    """The tensors of safetensors files by name."""
    tensors = {}
    for path in paths:
        with open(path, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            data = bytearray(file.read())
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] not in _DTYPES or 0 in entry["shape"]:
                continue
            begin, end = entry["data_offsets"]
            flat = torch.frombuffer(data[begin:end], dtype=_DTYPES[entry["dtype"]])
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def load(*paths, device=None):
    """The graph with the weights of these safetensors files."""
    return Graph(read_safetensors(*paths), device)
)py";
}

}  // namespace musaic
