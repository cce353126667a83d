#include "runner/graph_verifier.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "backends/cpu/cpu_stream.h"
#include "backends/simulated/simulated_backend.h"
#include "ops/kernels_cpu.h"
#include "runner/model_for_test.h"

namespace musaic {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<TokenId> prompt_of(int count, int seed) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 37 + seed * 101 + i * i * 7) % 512);
  return tokens;
}

// Spoils memory that one call writes; runs after it.
using Damage = std::function<void(const KernelCall& call)>;

// The op's own kernels, but a capture at `rows` rows does damage too. Eager runs are right.
std::function<void(OpRegistry&)> broken_when_captured(const std::string& op, int rows, const Damage& damage) {
  return [=](OpRegistry& registry) {
    OpRegistry built_in;
    define_ops(built_in);
    add_cpu_kernels(built_in);
    for (Kernel kernel : built_in.get(op).kernels) {
      const auto run = kernel.run;
      kernel.run = [=](const KernelCall& call) {
        run(call);
        const Tensor& first = call.outputs.empty() ? call.inputs[0] : call.outputs[0];
        if (cpu_stream(call.stream).is_capturing() && first.shape[0] == rows) damage(call);
      };
      registry.add_kernel(op, kernel);
    }
  };
}

template <class T>
void add_one_to(Stream& stream, T* value) {
  cpu_stream(stream).launch([value](const Worker& worker) {
    if (worker.index == 0) *value += T(1);
  });
}

GraphRunnerOptions verify_all() {
  return {.max_tokens_per_step = 64, .max_graph_tokens = 64, .max_sequences = 4, .verify_share = 1.0};
}

// Tokens of the same model without damage and without verification.
std::vector<TokenId> right_tokens(const std::vector<TokenId>& prompt) {
  TinyModel model("llama", {.max_tokens_per_step = 64, .max_graph_tokens = 64, .max_sequences = 4});
  return model.generate(0, prompt, 6, 64);
}

TEST(GraphVerifier, FindsNothingWrongWithSteps) {
  for (const char* architecture : {"llama", "qwen2", "qwen3"}) {
    TinyModel verified(architecture, verify_all());
    TinyModel plain(architecture, {.max_tokens_per_step = 64, .max_graph_tokens = 64, .max_sequences = 4});
    for (int length : {1, 4, 7, 33, 64, 100}) {
      EXPECT_EQ(verified.generate(0, prompt_of(length, length), 8, 64),
                plain.generate(0, prompt_of(length, length), 8, 64));
    }
    EXPECT_THAT(verified.runner().verifier().findings(), IsEmpty());
    EXPECT_EQ(verified.runner().verifier().num_verified_steps(), 6u * 8 + 1);  // one prompt takes two steps
  }
}

TEST(GraphVerifier, KeepsTheRulesOfAStrictDevice) {
  TinyModel model("llama", verify_all(), {.backend = std::make_unique<SimulatedBackend>()});
  const auto prompt = prompt_of(33, 2);
  EXPECT_EQ(model.generate(0, prompt, 6, 64), right_tokens(prompt));
  EXPECT_THAT(model.runner().verifier().findings(), IsEmpty());
  EXPECT_EQ(model.runner().verifier().num_verified_steps(), 6u);
}

TEST(GraphVerifier, PutsTheCountsOfPenaltiesBackBeforeTheEagerRun) {
  TinyModel verified("llama", verify_all());
  TinyModel plain("llama", {.max_tokens_per_step = 64, .max_graph_tokens = 64, .max_sequences = 4});
  const auto draw = [](TinyModel& model) {
    std::vector<TokenId> tokens = {5};
    for (int i = 0; i < 20; ++i) {
      BatchSequence sequence = model.sequence(1, {tokens.back()}, i, true);
      sequence.reset_slot = i == 0;
      sequence.sampling.frequency_penalty = 0.4f;
      sequence.sampling.temperature = 0.8f;
      sequence.num_generated = i;
      sequence.output_logprobs = true;
      sequence.top_n = 3;
      tokens.push_back(model.run({StepKind::kDecode, {sequence}}).sequences[0].tokens[0]);
    }
    return tokens;
  };
  EXPECT_EQ(draw(verified), draw(plain));
  EXPECT_THAT(verified.runner().verifier().findings(), IsEmpty());
}

TEST(GraphVerifier, NamesAndQuarantinesABucketWhoseKernelIsWrongWhenReplayed) {
  TestDevice device{.kernels_first = broken_when_captured(
                        "aten::_fused_swiglu_forward", 16,
                        [](const KernelCall& call) { add_one_to(call.stream, call.outputs[0].as<float>()); }),
                    .lacks = {}};
  TinyModel model("llama", verify_all(), std::move(device));
  const auto prompt = prompt_of(14, 3);
  EXPECT_EQ(model.generate(0, prompt, 6, 64), right_tokens(prompt)) << "the differing step answers right";

  const auto findings = model.runner().verifier().findings();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].graph, "extend");
  EXPECT_EQ(findings[0].bucket, 16);
  EXPECT_EQ(findings[0].step, 0u);
  EXPECT_GT(findings[0].whole.largest, 0.0);
  // Two layers: the swiglu of the first lies in the second piece, that of the second in the third.
  ASSERT_EQ(findings[0].pieces.size(), 2u);
  EXPECT_THAT(findings[0].pieces[0].name, HasSubstr("piece 2 of 3"));
  EXPECT_THAT(findings[0].pieces[1].name, HasSubstr("piece 3 of 3"));
  EXPECT_THAT(describe(findings[0]),
              testing::AllOf(HasSubstr("extend bucket 16"), HasSubstr("piece 2 of 3")));

  EXPECT_EQ(model.runner().choose(StepKind::kExtend, 14).reason, "quarantined");
  EXPECT_FALSE(model.runner().choose(StepKind::kExtend, 14).replay);
  EXPECT_TRUE(model.runner().choose(StepKind::kExtend, 20).replay) << "others go on";
  EXPECT_EQ(names_in_state(model.runner().captures().list(), BucketState::kQuarantined), "extend 16");
  EXPECT_EQ(model.generate(1, prompt, 6, 64), right_tokens(prompt));
  EXPECT_EQ(model.runner().verifier().findings().size(), 1u);
}

TEST(GraphVerifier, PutsBackAKeyThatAReplayHasSpoiled) {
  const auto spoil = [](const KernelCall& call) {
    // The first slot that the step writes: read when it runs.
    const auto* slots = call.inputs[4].as<int32_t>();
    float* keys = call.inputs[5].as<float>();
    const int64_t page_size = call.inputs[5].shape[2];
    const int64_t page_values = call.inputs[5].shape.elements() / call.inputs[5].shape[0];
    const int64_t width = call.inputs[5].shape[3];
    cpu_stream(call.stream).launch([=](const Worker& worker) {
      if (worker.index == 0) keys[slots[0] / page_size * page_values + slots[0] % page_size * width] += 8.0f;
    });
  };
  TestDevice device{.kernels_first = broken_when_captured("musaic::rope_kv_write", 1, spoil), .lacks = {}};
  TinyModel model("llama", verify_all(), std::move(device));
  const auto prompt = prompt_of(20, 4);
  EXPECT_EQ(model.generate(0, prompt, 6, 64), right_tokens(prompt));
  const auto findings = model.runner().verifier().findings();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].graph, "decode");
  EXPECT_EQ(findings[0].bucket, 1);
  ASSERT_EQ(findings[0].pieces.size(), 1u);
  EXPECT_THAT(findings[0].pieces[0].name, HasSubstr("piece 1 of 1"));
}

// Adds to a key of another page than the step's own: `page` of the pool, counted from the step's first.
std::function<void(OpRegistry&)> writes_another_page(int64_t page, int rows) {
  return broken_when_captured("musaic::rope_kv_write", rows, [page](const KernelCall& call) {
    const auto* slots = call.inputs[4].as<int32_t>();
    float* keys = call.inputs[5].as<float>();
    const int64_t page_size = call.inputs[5].shape[2];
    const int64_t page_values = call.inputs[5].shape.elements() / call.inputs[5].shape[0];
    cpu_stream(call.stream).launch([=](const Worker& worker) {
      if (worker.index == 0) keys[(slots[0] / page_size + page) * page_values + 3] += 8.0f;
    });
  });
}

TEST(GraphVerifier, FindsAReplayThatWritesAnotherPage) {
  TinyModel model("llama", verify_all(), {.kernels_first = writes_another_page(-1, 1)});
  model.generate(0, prompt_of(20, 4), 6, 64);
  const auto findings = model.runner().verifier().findings();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].graph, "decode");
  EXPECT_EQ(findings[0].stray, "layers.0.key_cache");
  EXPECT_EQ(
      describe(findings[0]),
      "graph-verify: the replay of decode bucket 1 writes layers.0.key_cache outside of the step's pages "
      "and slots");
  EXPECT_EQ(names_in_state(model.runner().captures().list(), BucketState::kQuarantined), "decode 1");
}

TEST(GraphVerifier, FindsAWrongTokenWhereverItIsDrawn) {
  const auto spoil = [](const KernelCall& call) { add_one_to(call.stream, call.outputs[0].as<int32_t>()); };
  TestDevice device{.kernels_first = broken_when_captured("musaic::sample", 1, spoil)};
  TinyModel model("llama", verify_all(), std::move(device));
  const auto prompt = prompt_of(9, 5);
  EXPECT_EQ(model.generate(0, prompt, 6, 64), right_tokens(prompt));
  const auto findings = model.runner().verifier().findings();
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0].graph, "head") << "after the prompt";
  EXPECT_EQ(findings[1].graph, "decode");
  for (const VerifyFinding& finding : findings) {
    EXPECT_EQ(finding.whole.value, "token");
    EXPECT_EQ(finding.whole.largest, 1.0);
  }
  const auto record = model.run({StepKind::kExtend, {model.sequence(0, prompt, 0, true)}}).record;
  EXPECT_TRUE(record.replayed);
  EXPECT_EQ(record.reason, "head_quarantined");
}

TEST(GraphVerifier, FindsAReplayThatReadsAPadRow) {
  const auto spoil = [](const KernelCall& call) {
    float* output = call.outputs[0].as<float>();
    const float* pad_row = call.outputs[0].row<float>(15);
    cpu_stream(call.stream).launch([=](const Worker& worker) {
      if (worker.index == 0) *output = *pad_row;
    });
  };
  TestDevice device{.kernels_first = broken_when_captured("aten::embedding", 16, spoil)};
  TinyModel model("llama", verify_all(), std::move(device));
  const auto prompt = prompt_of(14, 6);
  EXPECT_EQ(model.generate(0, prompt, 6, 64), right_tokens(prompt));
  const auto findings = model.runner().verifier().findings();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].bucket, 16);
  EXPECT_TRUE(std::isinf(findings[0].whole.largest)) << "the pad row was poisoned";
}

TEST(GraphVerifier, TakesTheShareOfTheStepsEvenlyAndTheSameOnesEveryTime) {
  CpuBackend backend;
  const auto taken = [&](double share) {
    GraphVerifier verifier(backend, share);
    std::string steps;
    for (int i = 0; i < 12; ++i) steps += verifier.take_step() ? '1' : '0';
    return steps;
  };
  EXPECT_EQ(taken(0.0), "000000000000");
  EXPECT_EQ(taken(1.0), "111111111111");
  EXPECT_EQ(taken(0.25), "000100010001");
  EXPECT_EQ(taken(0.25), taken(0.25));
  const std::string tenth = taken(0.1);
  EXPECT_EQ(std::count(tenth.begin(), tenth.end(), '1'), 1);
}

TEST(GraphVerifier, EagerStepsAreNotVerified) {
  GraphRunnerOptions options = verify_all();
  options.extend_mode = options.decode_mode = GraphMode::kDisabled;
  TinyModel model("llama", options);
  model.generate(0, prompt_of(9, 1), 4, 64);
  EXPECT_EQ(model.runner().verifier().num_verified_steps(), 0u);
}

TEST(CompareRegions, MeasuresByTypeAndKeepsATolerance) {
  CpuBackend backend;
  std::vector<float> floats = {1.0f, -2.0f, 4.0f};
  std::vector<int32_t> ints = {7, 8};
  const std::vector<Region> regions = {
      {"x", DType::kF32, reinterpret_cast<std::byte*>(floats.data()), floats.size() * 4},
      {"token", DType::kI32, reinterpret_cast<std::byte*>(ints.data()), ints.size() * 4}};
  const RegionCopy before(backend, regions);
  EXPECT_EQ(compare(before, RegionCopy(backend, regions), 0.0), std::nullopt);

  floats[1] = -2.0015f;
  const RegionCopy slightly(backend, regions);
  const auto exact = compare(slightly, before, 0.0);
  ASSERT_TRUE(exact);
  EXPECT_EQ(exact->value, "x");
  EXPECT_NEAR(exact->largest, 0.0015, 1e-6);
  EXPECT_EQ(exact->num_elements, 1u);
  EXPECT_FALSE(compare(slightly, before, 1e-3)) << "0.1 % of 4 is more";

  ints[0] = 9;
  EXPECT_FALSE(compare(RegionCopy(backend, regions), before, 1e-3)) << "a tie may fall otherwise";
  EXPECT_EQ(compare(RegionCopy(backend, regions), before, 0.0)->value, "token");
  floats[2] = std::nanf("");
  EXPECT_EQ(compare(RegionCopy(backend, regions), before, 1e-3)->largest,
            std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace musaic
