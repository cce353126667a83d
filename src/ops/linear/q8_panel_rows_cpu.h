#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace musaic {

// Writes row `row` of a weight [n, columns] that q8_packing packed into `out`, with the bits that
// dequantize_row gives for the row in a file. nullptr: the type has no panels.
using DequantizePanelRow = void (*)(const std::byte* packed, int64_t row, int64_t columns, float* out);
DequantizePanelRow dequantize_panel_row(DType dtype);

}  // namespace musaic
