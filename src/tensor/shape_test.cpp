#include "tensor/shape.h"

#include <gtest/gtest.h>

#include <vector>

namespace musaic {
namespace {

TEST(Shape, CountsFromEitherEnd) {
  Shape shape = {2, 3, 4};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[-1], 4);
  shape[-2] = 7;
  EXPECT_EQ(shape, (Shape{2, 7, 4}));
}

TEST(Shape, AScalarHasOneElement) {
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(Shape().rank(), 0);
}

TEST(Shape, ElementsAndStridesAreRowMajor) {
  const Shape shape = {2, 3, 4};
  EXPECT_EQ(shape.elements(), 24);
  EXPECT_EQ(shape.contiguous_strides(), (Shape{12, 4, 1}));
  EXPECT_EQ((Shape{2, 0, 4}).elements(), 0);
}

TEST(Shape, RankTellsShapesApart) {
  EXPECT_FALSE((Shape{2, 3}) == (Shape{2, 3, 0}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{3, 2}));
}

TEST(Shape, PrintsInBrackets) {
  EXPECT_EQ(to_string(Shape{2, 3}), "[2, 3]");
  EXPECT_EQ(to_string(Shape{}), "[]");
}

TEST(ShapeDeathTest, MoreThanSixDimensionsAreRefused) {
  const std::vector<int64_t> dims(7, 1);
  EXPECT_EQ(Shape(std::span(dims).first(6)).rank(), 6);
  EXPECT_DEATH(Shape{std::span<const int64_t>(dims)}, "rank 7 is above 6");
}

}  // namespace
}  // namespace musaic
