#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace musaic {
namespace {

struct Block {
  DType dtype;
  int elements, bytes;
};

// Sizes from the formats' definitions: scales and offsets in f16, then the packed bits.
const std::map<std::string, Block> kBlocks = {
    {"f32", {DType::kF32, 1, 4}},
    {"f16", {DType::kF16, 1, 2}},
    {"bf16", {DType::kBF16, 1, 2}},
    {"f8e4m3", {DType::kF8E4M3, 1, 1}},
    {"i64", {DType::kI64, 1, 8}},
    {"i32", {DType::kI32, 1, 4}},
    {"i16", {DType::kI16, 1, 2}},
    {"i8", {DType::kI8, 1, 1}},
    {"u8", {DType::kU8, 1, 1}},
    {"bool", {DType::kBool, 1, 1}},
    {"q8_0", {DType::kQ8_0, 32, 2 + 32}},
    {"q4_0", {DType::kQ4_0, 32, 2 + 32 * 4 / 8}},
    {"q4_1", {DType::kQ4_1, 32, 2 + 2 + 32 * 4 / 8}},
    {"q5_0", {DType::kQ5_0, 32, 2 + 32 * 5 / 8}},
    {"q5_1", {DType::kQ5_1, 32, 2 + 2 + 32 * 5 / 8}},
    {"q4_k", {DType::kQ4_K, 256, 2 + 2 + 12 + 256 * 4 / 8}},
    {"q5_k", {DType::kQ5_K, 256, 2 + 2 + 12 + 256 * 5 / 8}},
    {"q6_k", {DType::kQ6_K, 256, 2 + 16 + 256 * 6 / 8}},
};

TEST(DType, HasNameAndBlockOfItsFormat) {
  for (const auto& [text, block] : kBlocks) {
    EXPECT_EQ(name(block.dtype), text);
    EXPECT_EQ(parse_dtype(text), block.dtype) << text;
    EXPECT_EQ(dtype_info(block.dtype).block_elements, block.elements) << text;
    EXPECT_EQ(dtype_info(block.dtype).block_bytes, block.bytes) << text;
    EXPECT_EQ(is_block_quantized(block.dtype), block.elements > 1) << text;
    EXPECT_EQ(byte_size(block.dtype, 3 * block.elements), 3u * block.bytes) << text;
  }
}

TEST(DType, UnknownNamesAreNone) {
  for (const char* text : {"", "F32", "float32", "q4_2", "f3"}) EXPECT_EQ(parse_dtype(text), std::nullopt);
}

TEST(DType, NoValuesTakeNoBytes) {
  EXPECT_EQ(byte_size(DType::kQ6_K, 0), 0u);
}

TEST(DTypeDeathTest, ValuesThatFillNoWholeBlocksAreRefused) {
  EXPECT_DEATH(byte_size(DType::kQ4_1, 48), "48 values are no whole blocks of q4_1");
}

}  // namespace
}  // namespace musaic
