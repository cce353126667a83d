#include "ops/moe_gate_route/moe_gate_route.h"

#include <gtest/gtest.h>

#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

// More tokens than one block of a GPU takes, too.
TEST(MoeGateRoute, IsTheGateAndTheRouteOfItsChoice) {
  const OpRegistry registry = cpu_registry();
  for (const char* layout : {"compact", "contiguous", "masked"}) {
    for (int tokens : {1, 4, 16, 17, 300}) {
      const int live = tokens > 4 ? tokens - 3 : tokens;
      TestTensor logits = TestTensor::random(DType::kF32, {tokens, 64}, 5, 3);
      logits.poison_rows(live);
      const Attributes gate_attributes = {{"top_k", int64_t{6}}, {"renormalize", true}, {"scale", 1.5}};
      Attributes attributes = gate_attributes;
      attributes.set("layout", layout);
      const OpRun run = run_op(
          registry,
          {.op = "musaic::moe_gate_route", .inputs = {logits}, .attributes = attributes, .live_rows = live});
      const OpRun gate = run_op(
          registry,
          {.op = "musaic::moe_gate", .inputs = {logits}, .attributes = gate_attributes, .live_rows = live});
      const OpRun route = run_op(registry, {.op = "musaic::moe_route",
                                            .inputs = {gate.outputs[1]},
                                            .attributes = {{"num_experts", int64_t{64}}, {"layout", layout}},
                                            .live_rows = live});
      EXPECT_TRUE(run.outputs[0].same_bits(gate.outputs[0])) << layout << ", " << tokens;
      for (size_t i = 0; i < 4; ++i)
        EXPECT_TRUE(run.outputs[i + 1].same_bits(route.outputs[i])) << layout << ", " << tokens << ", " << i;
    }
  }
}

}  // namespace
}  // namespace musaic::testing
