#pragma once

#include "formats/byte_cursor.h"
#include "formats/gguf.h"

namespace musaic {

constexpr size_t kSmallestTensorInfo = 8 + 4 + 4 + 8;  // name length, dimensions, type, offset

// Reads the entry of tensor number `index`; its `file_offset` is still relative to the data section.
// Throws LoadError naming the tensor when its shape or type is wrong or not supported.
GgufTensor read_tensor_info(ByteCursor& cursor, uint64_t index);

}  // namespace musaic
