#include "program/explain/explain.h"

#include <gmock/gmock.h>

#include "base/status.h"
#include "ir/builder.h"
#include "ops/add/add.h"
#include "ops/kernels_cpu.h"
#include "ops/linear/linear.h"
#include "ops/op_list.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/view/view.h"
#include "program/explain/printers.h"
#include "program/explain/summary.h"
#include "program/explain/well_formed_for_test.h"

namespace musaic {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kLayers = 4;
constexpr int64_t kWidth = 64;
constexpr int kTokens = 5;

std::vector<FakeOutput> same_as_input(const FakeCall& call) {
  return {{Meta::contiguous(call.input(0).dtype, call.input(0).shape, call.input(0).device)}};
}

// Layers of norm, projection, a break, and the sum with the residual.
class ExplainTest : public testing::Test {
 protected:
  ExplainTest() {
    define_ops(registry_);
    add_cpu_kernels(registry_);
    registry_.define("test::wait(Tensor x) -> Tensor",
                     {.schema = {}, .fake = same_as_input, .is_break = true, .break_reason = "it waits"});
    registry_.add_kernel("test::wait", {.name = "wait_cpu", .device_type = "cpu"});
  }

  Graph layers(const Device& device) const {
    GraphBuilder builder(registry_, "extend", device);
    builder.input("num_tokens", DType::kI32, {1});
    Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), kWidth});
    for (int layer = 0; layer < kLayers; ++layer) {
      const std::string name = "layers." + std::to_string(layer);
      const Value norm = builder.weight({name + ".norm"}, DType::kF32, {kWidth});
      const Value projection = builder.weight({name + ".projection"}, DType::kQ4_1, {kWidth, kWidth});
      const Value y = linear(rms_norm(x, norm, 1e-6), projection, {});
      x = add(x, slice(builder.call("test::wait", {y})[0], 1, 0, kWidth));
    }
    builder.output("y", x);
    return builder.take();
  }

  Explanation explained(const Device& device = {}) const {
    const Graph graph = layers(device);
    const Target target{registry_, device, capabilities_};
    const Plan plan = plan_memory(graph, target, {{"tokens", kTokens}}, MissingKernel::kPlan);
    const auto segments = split(graph, registry_, /*whole=*/false);
    Explanation e = explain({graph, segments, plan, target, {}, {}, {"r", 1e9, 1e9, 1e9}});
    e.model = "tiny";
    e.bucket = kTokens;
    e.buckets = {kTokens};
    e.dimension = "tokens";
    return e;
  }

  OpRegistry registry_;
  Capabilities capabilities_{.features = {"avx2"}};
};

TEST_F(ExplainTest, EqualPiecesHaveOneLetterAndLayersFold) {
  const Explanation e = explained();
  std::string pieces;
  for (const ExplainedSegment& segment : e.segments)
    pieces += segment.is_break ? "|" : structure_letter(segment.structure);
  EXPECT_EQ(pieces, "A|B|C|C|D") << "B adds an input, C a temporary";
  EXPECT_THAT(e.folded_segments, ElementsAre(Repeat{0, 3, 1}, Repeat{3, 2, 2}, Repeat{7, 2, 1}));
  EXPECT_EQ(e.num_piece_structures(), 4);
}

TEST_F(ExplainTest, LettersGoOnAfterZ) {
  EXPECT_EQ(structure_letter(0), "A");
  EXPECT_EQ(structure_letter(25), "Z");
  EXPECT_EQ(structure_letter(26), "AA");
  EXPECT_EQ(structure_letter(26 + 27), "BB");
}

TEST_F(ExplainTest, ABreakSaysWhyAndLaunchesAreCountedWithoutViews) {
  const Explanation e = explained();
  EXPECT_EQ(e.segments[1].reason, "it waits");
  EXPECT_EQ(e.num_launches(), 4 * kLayers) << "norm, projection, wait, add";
  EXPECT_EQ(e.submissions(), (kLayers + 1) + kLayers);
}

TEST_F(ExplainTest, BytesAndOperationsAreThoseOfTheBucket) {
  const Explanation e = explained();
  const ExplainedNode& norm = e.nodes[0];
  ASSERT_EQ(norm.op, "aten::rms_norm");
  EXPECT_EQ(norm.work.weight_bytes, kWidth * 4);
  EXPECT_EQ(norm.work.other_bytes, 2 * kTokens * kWidth * 4);
  const ExplainedNode& projection = e.nodes[1];
  ASSERT_EQ(projection.op, "aten::linear");
  EXPECT_EQ(projection.work.weight_bytes, kWidth * kWidth / 32 * 20) << "20 bytes a block of 32";
  EXPECT_EQ(projection.work.float_ops, 2 * kTokens * kWidth * kWidth);
  EXPECT_DOUBLE_EQ(projection.work.seconds, projection.work.float_ops / 1e9);
  EXPECT_EQ(e.weight_bytes, kLayers * (kWidth * 4 + kWidth * kWidth / 32 * 20));
}

TEST_F(ExplainTest, RecordedBreaksAreLaunchedTogetherWithThePiecesIfThereAreExecutablesEnough) {
  capabilities_.features.insert(kRecordedBreaks);
  Explanation e = explained();
  EXPECT_TRUE(e.launches_together());
  EXPECT_EQ(e.submissions(), 1);
  EXPECT_EQ(e.executables(), static_cast<int>(e.buckets.size()));
  EXPECT_THAT(explanation_text(e), HasSubstr("5 pieces together replayed"));
  e.buckets = {1, 2, 4};
  e.executable_budget = 2;
  EXPECT_FALSE(e.launches_together());
  EXPECT_EQ(e.submissions(), kLayers + 1);
  EXPECT_EQ(e.executables(), 3 * (kLayers + 1));
}

TEST_F(ExplainTest, TheMemoryMapAgreesWithWhatIsAliveAtEachNode) {
  const MemoryMap memory = explained().memory;
  std::vector<size_t> live(memory.live_bytes.size(), 0);
  size_t separate = 0;
  for (const Placement& a : memory.placements) {
    separate += a.bytes;
    EXPECT_LE(a.offset + a.bytes, memory.arena_bytes);
    int sharing = 0;
    for (const Placement& b : memory.placements) {
      if (&a == &b) continue;
      bool common = false;
      for (size_t byte = a.offset; byte < a.offset + a.bytes; ++byte)
        common |= byte >= b.offset && byte < b.offset + b.bytes;
      const bool together = a.first <= b.last && b.first <= a.last;
      EXPECT_FALSE(common && together) << a.name << " and " << b.name;
      sharing += common;
    }
    EXPECT_EQ(a.shares_with, sharing) << a.name;
    for (int i = a.first; i <= a.last; ++i) live[i] += a.bytes;
  }
  EXPECT_EQ(memory.live_bytes, live);
  EXPECT_EQ(memory.peak_bytes(), *std::max_element(live.begin(), live.end()));
  EXPECT_EQ(memory.separate_bytes, separate);
  EXPECT_LT(memory.arena_bytes, separate) << "something is shared";
}

TEST_F(ExplainTest, ADeviceWithoutKernelsIsExplainedWithWhatItLacks) {
  const Explanation e = explained({"musa", 0});
  std::vector<std::string> lines;
  for (const MissingKernels& missing : e.missing) lines.push_back(missing_line(e, missing));
  EXPECT_THAT(lines, ElementsAre("no kernel for aten::add on musa:0 (4 nodes)",
                                 "no kernel for aten::linear on musa:0 (4 nodes)",
                                 "no kernel for aten::rms_norm on musa:0 (4 nodes)",
                                 "no kernel for test::wait on musa:0 (4 nodes)"));
  EXPECT_GT(e.memory.arena_bytes, 0u);
  EXPECT_THAT(explanation_text(e), HasSubstr("no kernel for aten::linear on musa:0"));
}

TEST_F(ExplainTest, APlanForARunStillRefusesAMissingKernel) {
  const Device musa{"musa", 0};
  const Target target{registry_, musa, capabilities_};
  EXPECT_THROW(plan_memory(layers(musa), target, {{"tokens", kTokens}}), LoadError);
}

TEST_F(ExplainTest, ThePictureIsWellFormedAndWithoutScripts) {
  Explanation e = explained();
  e.model = "<script>alert(1)</script> & \"\x01\xff";
  const std::string svg = explanation_svg(e);
  EXPECT_EQ(WellFormedness::problem(svg), "");
  EXPECT_THAT(svg, testing::Not(HasSubstr("<script")));
  EXPECT_THAT(svg, testing::Not(HasSubstr("http://www.w3.org/1999/xlink")));
}

TEST_F(ExplainTest, WhatAPassDidAndLeftAloneIsToldOnceWithItsNumber) {
  PassReport report;
  report.did(1, "a + b → c");
  for (int node : {2, 22}) report.leave(node, "musa has no x");
  EXPECT_THAT(remarks(report), ElementsAre("a + b → c", "left: musa has no x (2 times)"));
}

}  // namespace
}  // namespace musaic
