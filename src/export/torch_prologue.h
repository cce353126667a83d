#pragma once

#include <string>

#include "tensor/device.h"

namespace musaic {

// The parts of an exported module that do not depend on the graph, but for its device.

std::string module_head(const std::string& title, const Device& device);  // docstring and imports
std::string device_function(const Device& device);                        // default_device()
std::string op_definer();                                                 // _define_op
std::string module_class();                                               // Graph, up to its methods
std::string module_loader();                                              // read_safetensors, load

}  // namespace musaic
