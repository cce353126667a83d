#pragma once

#include "ops/experts_fp8/experts_fp8.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {

// What eight routed experts and shared ones take and are made of, in the graph that `builder` makes.
struct ExpertsForTest {
  Fp8Rows x;
  ExpertRows groups;
  ExpertWeights gate_up;
  ExpertWeights down;

  explicit ExpertsForTest(GraphBuilder& builder) {
    const Dim tokens = Dim::symbol("tokens");
    const auto ints = [&](const char* name, DimShape shape) {
      return builder.input(name, DType::kI32, std::move(shape));
    };
    x = {builder.input("x", DType::kF8E4M3, {tokens, 256}), builder.input("xs", DType::kF32, {tokens, 2})};
    groups = {ints("row_token", {tokens * 2}), ints("token_row", {tokens, 2}), ints("start", {8}),
              ints("count", {8})};
    gate_up = {f8_weight(builder, "w", {8, 256, 256}), f32_weight(builder, "ws", {8, 2, 2}),
               f8_weight(builder, "s", {512, 256}), f32_weight(builder, "ss", {4, 2})};
    down = {f8_weight(builder, "d", {8, 256, 128}), f32_weight(builder, "ds", {8, 2, 1}),
            f8_weight(builder, "e", {256, 256}), f32_weight(builder, "es", {2, 2})};
  }
};

}  // namespace musaic
