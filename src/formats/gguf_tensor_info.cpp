#include "formats/gguf_tensor_info.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/status.h"

namespace musaic {
namespace {

constexpr uint32_t kMaxDims = 4;  // the format's

struct TensorType {
  uint32_t number;  // in the file
  std::string_view name;
  std::optional<DType> dtype;  // nullopt: known, but not supported
};

constexpr std::array<TensorType, 35> kTensorTypes = {{
    {0, "F32", DType::kF32},
    {1, "F16", DType::kF16},
    {2, "Q4_0", DType::kQ4_0},
    {3, "Q4_1", DType::kQ4_1},
    {6, "Q5_0", DType::kQ5_0},
    {7, "Q5_1", DType::kQ5_1},
    {8, "Q8_0", DType::kQ8_0},
    {12, "Q4_K", DType::kQ4_K},
    {13, "Q5_K", DType::kQ5_K},
    {14, "Q6_K", DType::kQ6_K},
    {30, "BF16", DType::kBF16},
    {4, "Q4_2", {}},
    {5, "Q4_3", {}},
    {9, "Q8_1", {}},
    {10, "Q2_K", {}},
    {11, "Q3_K", {}},
    {15, "Q8_K", {}},
    {16, "IQ2_XXS", {}},
    {17, "IQ2_XS", {}},
    {18, "IQ3_XXS", {}},
    {19, "IQ1_S", {}},
    {20, "IQ4_NL", {}},
    {21, "IQ3_S", {}},
    {22, "IQ2_S", {}},
    {23, "IQ4_XS", {}},
    {24, "I8", {}},
    {25, "I16", {}},
    {26, "I32", {}},
    {27, "I64", {}},
    {28, "F64", {}},
    {29, "IQ1_M", {}},
    {34, "TQ1_0", {}},
    {35, "TQ2_0", {}},
    {39, "MXFP4", {}},
    {40, "NVFP4", {}},
}};

DType supported_dtype(const ByteCursor& cursor, uint32_t number) {
  const auto* type = std::find_if(kTensorTypes.begin(), kTensorTypes.end(),
                                  [&](const TensorType& candidate) { return candidate.number == number; });
  if (type != kTensorTypes.end() && type->dtype) return *type->dtype;
  const std::string got =
      type == kTensorTypes.end() ? fmt::format("number {}", number) : std::string(type->name);
  fail_load("{}: {} has type {}, expected F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K",
            cursor.file(), cursor.subject(), got);
}

// The row-major shape: the file lists the innermost dimension first.
Shape read_shape(ByteCursor& cursor) {
  const auto rank = cursor.read<uint32_t>();
  if (rank > kMaxDims) {
    fail_load("{}: {} has {} dimensions, expected at most {}", cursor.file(), cursor.subject(), rank,
              kMaxDims);
  }
  std::array<int64_t, kMaxDims> dims{};
  int64_t elements = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    const auto dim = cursor.read<uint64_t>();
    const auto room = static_cast<uint64_t>(std::numeric_limits<int64_t>::max() / elements);
    if (dim == 0 || dim > room) {
      fail_load("{}: {} has a dimension of {}, expected 1 to {}", cursor.file(), cursor.subject(), dim, room);
    }
    elements *= static_cast<int64_t>(dim);
    dims[rank - 1 - i] = static_cast<int64_t>(dim);
  }
  return Shape(std::span<const int64_t>(dims.data(), rank));
}

size_t tensor_bytes(const ByteCursor& cursor, DType dtype, const Shape& shape) {
  const DTypeInfo& info = dtype_info(dtype);
  const int64_t row = shape.rank() == 0 ? 1 : shape[-1];
  if (row % info.block_elements != 0) {
    fail_load("{}: {} has rows of {} values, expected a multiple of {} for {}", cursor.file(),
              cursor.subject(), row, info.block_elements, info.name);
  }
  const int64_t blocks = shape.elements() / info.block_elements;
  if (blocks > std::numeric_limits<int64_t>::max() / info.block_bytes) {
    fail_load("{}: {} has shape {}, expected one that fits the file", cursor.file(), cursor.subject(),
              to_string(shape));
  }
  return byte_size(dtype, shape.elements());
}

}  // namespace

GgufTensor read_tensor_info(ByteCursor& cursor, uint64_t index) {
  cursor.set_subject(fmt::format("the name of tensor {}", index));
  GgufTensor tensor;
  tensor.name = cursor.read_string();
  cursor.set_subject(fmt::format("tensor `{}`", printable(tensor.name)));
  tensor.shape = read_shape(cursor);
  tensor.dtype = supported_dtype(cursor, cursor.read<uint32_t>());
  tensor.bytes = tensor_bytes(cursor, tensor.dtype, tensor.shape);
  tensor.file_offset = cursor.read<uint64_t>();
  return tensor;
}

}  // namespace musaic
