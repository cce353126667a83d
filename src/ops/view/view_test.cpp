#include "ops/view/view.h"

#include <gtest/gtest.h>

#include "base/status.h"

namespace musaic {
namespace {

class ViewTest : public testing::Test {
 protected:
  ViewTest() {
    define_view(registry_);
    x_ = builder_.input("x", DType::kF32, {Dim::symbol("tokens"), 24});
  }

  const GraphValue& value(Value v) const { return builder_.graph().values[v.id()]; }

  std::string call_error(std::string_view op, Value x, Attributes attributes) {
    try {
      builder_.call(op, {x}, std::move(attributes));
    } catch (const LoadError& error) {
      return error.what();
    }
    return "";
  }

  OpRegistry registry_;
  GraphBuilder builder_{registry_, "g", Device{}};
  Value x_;
};

TEST_F(ViewTest, ASliceOfColumnsIsAnOffsetInsideEachRow) {
  const Value columns = slice(x_, 1, 8, 20);
  EXPECT_EQ(to_string(columns.meta()), "f32[tokens, 12] strides [24, 1] cpu");
  EXPECT_EQ(value(columns).offset, Dim(8));
  EXPECT_EQ(value(columns).storage, x_.id());
}

TEST_F(ViewTest, ASliceOfRowsIsAnOffsetOfWholeRows) {
  const Value rows = slice(builder_.input("y", DType::kF32, {10, 24}), 0, 3, 5);
  EXPECT_EQ(to_string(rows.meta()), "f32[2, 24] cpu");
  EXPECT_EQ(value(rows).offset, Dim(72));
}

TEST_F(ViewTest, SplittingAndMergingTheLastDimensionGivesItBack) {
  const Value heads = split_last_dim(slice(x_, 1, 8, 24), 4);
  EXPECT_EQ(to_string(heads.meta()), "f32[tokens, 4, 4] strides [24, 4, 1] cpu");
  EXPECT_EQ(value(heads).offset, Dim(8));
  const Value merged = merge_last_dims(heads);
  EXPECT_EQ(merged.meta(), slice(x_, 1, 8, 24).meta());
  EXPECT_EQ(value(merged).offset, Dim(8));
  EXPECT_TRUE(verify(builder_.graph(), registry_).empty());
}

TEST_F(ViewTest, WhatCannotBeAViewIsRefused) {
  const auto slice_error = [&](int64_t dim, int64_t start, int64_t end) {
    return call_error("aten::slice", x_, {{"dim", dim}, {"start", start}, {"end", end}});
  };
  EXPECT_EQ(slice_error(2, 0, 1), "aten::slice: dim 2 of f32[tokens, 24] cpu");
  EXPECT_EQ(slice_error(1, 20, 25), "aten::slice: [20, 25) does not fit dimension 1 of f32[tokens, 24] cpu");
  EXPECT_NE(slice_error(1, -1, 4), "");
  EXPECT_NE(slice_error(1, 5, 4), "");
  EXPECT_EQ(call_error("aten::unflatten", x_, {{"inner", int64_t{5}}}),
            "aten::unflatten: the last dimension of f32[tokens, 24] cpu is no multiple of 5");
  EXPECT_NE(call_error("aten::unflatten", x_, {{"inner", int64_t{0}}}), "");
  EXPECT_EQ(
      call_error("aten::flatten", slice(x_, 1, 0, 8), {}),
      "aten::flatten: the last two dimensions of f32[tokens, 8] strides [24, 1] cpu do not lie densely");
}

}  // namespace
}  // namespace musaic
