#include "tensor/dtype.h"

#include <array>

#include "base/check.h"

namespace musaic {
namespace {

constexpr std::array<DTypeInfo, 18> kInfos = {{
    {"f32", 1, 4},
    {"f16", 1, 2},
    {"bf16", 1, 2},
    {"f8e4m3", 1, 1},
    {"i64", 1, 8},
    {"i32", 1, 4},
    {"i16", 1, 2},
    {"i8", 1, 1},
    {"u8", 1, 1},
    {"bool", 1, 1},
    {"q8_0", 32, 34},
    {"q4_0", 32, 18},
    {"q4_1", 32, 20},
    {"q5_0", 32, 22},
    {"q5_1", 32, 24},
    {"q4_k", 256, 144},
    {"q5_k", 256, 176},
    {"q6_k", 256, 210},
}};

}  // namespace

const DTypeInfo& dtype_info(DType dtype) {
  return kInfos[static_cast<size_t>(dtype)];
}

std::optional<DType> parse_dtype(std::string_view name) {
  for (size_t i = 0; i < kInfos.size(); ++i) {
    if (kInfos[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

bool is_block_quantized(DType dtype) {
  return dtype_info(dtype).block_elements > 1;
}

size_t byte_size(DType dtype, int64_t elements) {
  const DTypeInfo& info = dtype_info(dtype);
  CHECK(elements % info.block_elements == 0, "{} values are no whole blocks of {}", elements, info.name);
  return static_cast<size_t>(elements / info.block_elements) * info.block_bytes;
}

}  // namespace musaic
