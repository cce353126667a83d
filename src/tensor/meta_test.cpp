#include "tensor/meta.h"

#include <gtest/gtest.h>

namespace musaic {
namespace {

const Dim kTokens = Dim::symbol("tokens");

TEST(Meta, ContiguousHasRowMajorStrides) {
  const Meta meta = Meta::contiguous(DType::kF32, {kTokens, 4, 8}, {"musa", 0});
  EXPECT_EQ(meta.strides, (DimShape{32, 8, 1}));
  EXPECT_TRUE(meta.is_contiguous());
  EXPECT_TRUE(meta.has_dense_rows());
}

TEST(Meta, AColumnSliceHasDenseRowsButIsNotContiguous) {
  Meta meta = Meta::contiguous(DType::kF32, {kTokens, 8}, {});
  meta.shape[1] = 4;
  EXPECT_FALSE(meta.is_contiguous());
  EXPECT_TRUE(meta.has_dense_rows());
}

TEST(Meta, ATransposedMatrixHasNoDenseRows) {
  Meta meta = Meta::contiguous(DType::kF32, {3, 8}, {});
  std::swap(meta.shape[0], meta.shape[1]);
  std::swap(meta.strides[0], meta.strides[1]);
  EXPECT_FALSE(meta.has_dense_rows());
}

TEST(Meta, DimensionsCountFromEitherEnd) {
  const Meta meta = Meta::contiguous(DType::kF32, {kTokens, 4, 8}, {});
  EXPECT_EQ(meta.dim(0), kTokens);
  EXPECT_EQ(meta.dim(-1), Dim(8));
  EXPECT_EQ(meta.dim(-3), kTokens);
}

TEST(Meta, PrintsStridesOnlyWhereTheyAreUnusual) {
  Meta meta = Meta::contiguous(DType::kQ4_1, {kTokens, 64}, {"cuda", 1});
  EXPECT_EQ(to_string(meta), "q4_1[tokens, 64] cuda:1");
  meta.shape[1] = 32;
  EXPECT_EQ(to_string(meta), "q4_1[tokens, 32] strides [64, 1] cuda:1");
}

TEST(Meta, DTypeShapeStridesAndDeviceTellMetasApart) {
  const Meta meta = Meta::contiguous(DType::kF32, {kTokens, 8}, {});
  EXPECT_EQ(meta, Meta::contiguous(DType::kF32, {kTokens, 8}, {}));
  EXPECT_FALSE(meta == Meta::contiguous(DType::kF16, {kTokens, 8}, {}));
  EXPECT_FALSE(meta == Meta::contiguous(DType::kF32, {kTokens, 9}, {}));
  EXPECT_FALSE(meta == Meta::contiguous(DType::kF32, {kTokens, 8}, {"cuda", 0}));
  Meta strided = meta;
  strided.strides[0] = 16;
  EXPECT_FALSE(meta == strided);
}

}  // namespace
}  // namespace musaic
