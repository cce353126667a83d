#include "program/target.h"

#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

class TargetTest : public PassesTest {
 protected:
  static Meta meta(DType dtype, DimShape shape) { return Meta::contiguous(dtype, std::move(shape), {}); }
};

TEST_F(TargetTest, WhatAnOpRefusesIsNotSupportedAndNoError) {
  const Target target = target_without({});
  const Meta rows = meta(DType::kF32, {Dim::symbol("tokens"), 64});
  const Meta floats = meta(DType::kF32, {64}), ints = meta(DType::kI32, {64});
  Attributes attributes;
  attributes.set("eps", 1e-5);
  const std::vector<const Meta*> good = {&rows, &floats}, bad = {&rows, &ints};
  EXPECT_TRUE(supports(target, "aten::rms_norm", good, attributes));
  EXPECT_FALSE(supports(target, "aten::rms_norm", bad, attributes));
}

TEST_F(TargetTest, ADeviceHasTheKernelsOfItsTypeOnly) {
  const Target target = target_without({"aten::add"});
  EXPECT_TRUE(has_kernels(target, "aten::rms_norm"));
  EXPECT_FALSE(has_kernels(target, "aten::add"));
  EXPECT_FALSE(has_kernels(target, "aten::no_such_op"));
  const Target other = {registry_, {.type = "musa"}, capabilities_};
  EXPECT_FALSE(has_kernels(other, "aten::rms_norm"));
}

}  // namespace
}  // namespace musaic
