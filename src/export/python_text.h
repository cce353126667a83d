#pragma once

#include <string>
#include <string_view>

#include "ir/attributes.h"
#include "tensor/device.h"
#include "tensor/dim.h"
#include "tensor/dtype.h"

namespace musaic {

// Spelling of Python expressions.

std::string python_string(std::string_view text);        // "text"
std::string python_literal(const Attribute& attribute);  // 448, 1e-06, float("inf"), True, [1, 2]
std::string python_identifier(std::string_view name);    // letters, digits and _; never a keyword
std::string torch_device(const Device& device);          // torch.device("musa:0")
// torch.float32. Throws LoadError for a type that PyTorch lacks.
std::string torch_dtype(DType dtype);

}  // namespace musaic
