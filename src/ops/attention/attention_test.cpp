#include "ops/attention/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "base/status.h"
#include "device/row_invariant.h"
#include "ops/testing/run_op.h"
#include "ops/testing/run_with_features.h"
#include "ops/testing/test_device.h"
#include "tensor/half.h"

namespace musaic::testing {
namespace {

// float32 sums of up to 300 weights that add up to 1, scores of up to 256 products.
constexpr double kTolerance = 3e-6;
// Queries and weights that a kernel may round to bf16, values of ±1.
constexpr double kRoundedTolerance = 1e-2;

struct Model {
  int heads = 3;
  int kv_heads = 1;
  int head_dim = 64;
  int page_size = 16;
  DType dtype = DType::kF16;

  double scale() const { return 1 / std::sqrt(static_cast<double>(head_dim)); }
};

double tolerance_of(DType cache) {
  const std::string device = test_device_type();
  const bool is_host = device == "cpu" || device == "simulated";
  return cache == DType::kBF16 && !is_host ? kRoundedTolerance : kTolerance;
}

float rounded(DType dtype, float value) {
  if (dtype == DType::kF16) return f16_to_float(float_to_f16(value));
  if (dtype == DType::kF8E4M3) return f8e4m3_to_float(float_to_f8e4m3(value));
  return dtype == DType::kBF16 ? bf16_to_float(float_to_bf16(value)) : value;
}

// One text: queries, keys and values of all its positions.
struct Text {
  Text(const Model& model, int length, uint32_t seed) : model(model), length(length) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<float> values_of(-2, 2);
    for (int i = 0; i < length * model.heads * model.head_dim; ++i) query.push_back(values_of(generator));
    for (int i = 0; i < length * model.kv_heads * model.head_dim; ++i) {
      key.push_back(rounded(model.dtype, values_of(generator)));
      value.push_back(rounded(model.dtype, values_of(generator)));
    }
  }
  const float* query_at(int position, int head) const {
    return query.data() + (position * model.heads + head) * model.head_dim;
  }
  const float* key_at(int position, int head) const {
    return key.data() + (position * model.kv_heads + head) * model.head_dim;
  }
  const float* value_at(int position, int head) const {
    return value.data() + (position * model.kv_heads + head) * model.head_dim;
  }

  Model model;
  int length;
  std::vector<float> query, key, value;
};

std::vector<double> naive_attention(const Text& text, int position, int head) {
  const Model& model = text.model;
  const int kv_head = head / (model.heads / model.kv_heads);
  std::vector<double> weights;
  for (int j = 0; j <= position; ++j) {
    double score = 0;
    for (int k = 0; k < model.head_dim; ++k)
      score += static_cast<double>(text.query_at(position, head)[k]) * text.key_at(j, kv_head)[k];
    weights.push_back(std::exp(score * model.scale()));
  }
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> out(static_cast<size_t>(model.head_dim));
  for (int j = 0; j <= position; ++j) {
    for (size_t k = 0; k < out.size(); ++k)
      out[k] += weights[static_cast<size_t>(j)] / total * text.value_at(j, kv_head)[k];
  }
  return out;
}

// Rows [begin, end) of a text as part of a step.
struct Chunk {
  const Text* text;
  int begin;
  int end;
};

// A step's tensors: shuffled pages, NaN wherever nothing was stored, rubbish in every pad entry.
OpCase make_step(const Model& model, const std::vector<Chunk>& chunks, uint32_t seed = 1) {
  const int pad_rows = 3, pad_sequences = 2, max_pages = 400 / model.page_size + 1;
  const int num_sequences = static_cast<int>(chunks.size());
  std::vector<int32_t> query_start = {0}, kv_lengths, free_pages;
  int num_pages = 5;
  for (const Chunk& chunk : chunks) {
    query_start.push_back(query_start.back() + chunk.end - chunk.begin);
    kv_lengths.push_back(chunk.end);
    num_pages += (chunk.end + model.page_size - 1) / model.page_size;
  }
  free_pages.resize(static_cast<size_t>(num_pages));
  std::iota(free_pages.begin(), free_pages.end(), 0);
  std::shuffle(free_pages.begin(), free_pages.end(), std::mt19937(seed));

  const int rows = query_start.back() + pad_rows, width = model.heads * model.head_dim;
  const auto rubbish = std::nanf("");
  const size_t cache_size =
      static_cast<size_t>(num_pages * model.kv_heads * model.page_size * model.head_dim);
  std::vector<float> query(static_cast<size_t>(rows * width), rubbish), keys(cache_size, rubbish),
      values(cache_size, rubbish);
  std::vector<int32_t> page_table(static_cast<size_t>((num_sequences + pad_sequences) * max_pages), 1 << 30);
  for (int s = 0; s < num_sequences; ++s) {
    const Chunk& chunk = chunks[static_cast<size_t>(s)];
    std::copy(chunk.text->query_at(chunk.begin, 0), chunk.text->query_at(chunk.end - 1, 0) + width,
              query.begin() + query_start[static_cast<size_t>(s)] * width);
    for (int position = 0; position < chunk.end; ++position) {
      int32_t& page = page_table[static_cast<size_t>(s * max_pages + position / model.page_size)];
      if (position % model.page_size == 0) {
        page = free_pages.back();
        free_pages.pop_back();
      }
      for (int head = 0; head < model.kv_heads; ++head) {
        const int at =
            ((page * model.kv_heads + head) * model.page_size + position % model.page_size) * model.head_dim;
        std::copy_n(chunk.text->key_at(position, head), model.head_dim, keys.begin() + at);
        std::copy_n(chunk.text->value_at(position, head), model.head_dim, values.begin() + at);
      }
    }
  }
  const int live_rows = query_start.back();
  query_start.resize(static_cast<size_t>(num_sequences + pad_sequences + 1), 1 << 30);
  kv_lengths.resize(static_cast<size_t>(num_sequences + pad_sequences), 1 << 30);
  const Shape cache{num_pages, model.kv_heads, model.page_size, model.head_dim};
  return {.op = "musaic::paged_attention",
          .inputs = {TestTensor::floats(query, {rows, width}), TestTensor::floats(keys, cache, model.dtype),
                     TestTensor::floats(values, cache, model.dtype), TestTensor::ints(query_start),
                     TestTensor::ints(kv_lengths),
                     TestTensor::ints(page_table, {num_sequences + pad_sequences, max_pages}),
                     TestTensor::ints({num_sequences})},
          .attributes = {{"num_heads", int64_t{model.heads}}, {"scale", model.scale()}},
          .live_rows = live_rows};
}

void expect_naive(const Model& model, const std::vector<Chunk>& chunks, const OpRun& run) {
  int64_t row = 0;
  for (const Chunk& chunk : chunks) {
    for (int position = chunk.begin; position < chunk.end; ++position) {
      const std::vector<float> got = run.outputs[0].row(row++);
      for (int head = 0; head < model.heads; ++head) {
        const std::vector<double> expected = naive_attention(*chunk.text, position, head);
        for (size_t k = 0; k < expected.size(); ++k) {
          ASSERT_NEAR(got[static_cast<size_t>(head) * expected.size() + k], expected[k],
                      tolerance_of(model.dtype))
              << "position " << position << " of " << chunk.text->length << ", head " << head;
        }
      }
    }
  }
}

class Attention : public ::testing::TestWithParam<std::tuple<CpuIsa, DType>> {
 protected:
  void SetUp() override {
    const bool is_host = test_device_type() == "cpu" || test_device_type() == "simulated";
    if (dtype() == DType::kF8E4M3 && !is_host) GTEST_SKIP() << "only the CPU has kernels for this cache";
  }
  OpRun run(OpCase step, int num_threads = 3) const {
    step.isa = std::get<0>(GetParam());
    step.num_threads = num_threads;
    return check_op(registry_, step);
  }
  DType dtype() const { return std::get<1>(GetParam()); }
  const OpRegistry registry_ = cpu_registry();
};

TEST_P(Attention, EqualsTheNaiveLoopForEveryHeadLayout) {
  const std::vector<Model> models = {{.heads = 3, .kv_heads = 3, .head_dim = 16},
                                     {.heads = 6, .kv_heads = 2, .head_dim = 64},
                                     {.heads = 4, .kv_heads = 1, .head_dim = 32},
                                     {.heads = 8, .kv_heads = 1, .head_dim = 128},
                                     {.heads = 12, .kv_heads = 1, .head_dim = 24, .page_size = 8},
                                     {.heads = 2, .kv_heads = 1, .head_dim = 80, .page_size = 24},
                                     {.heads = 2, .kv_heads = 2, .head_dim = 256, .page_size = 64}};
  for (Model model : models) {
    model.dtype = dtype();
    const Text long_text(model, 300, 1), short_text(model, 70, 2), first_token(model, 1, 3);
    const std::vector<Chunk> chunks = {{&long_text, 299, 300},
                                       {&short_text, 0, 70},
                                       {&first_token, 0, 1},
                                       {&long_text, 250, 262},
                                       {&short_text, 63, 66}};
    expect_naive(model, chunks, run(make_step(model, chunks)));
  }
}

TEST_P(Attention, EqualsTheNaiveLoopForEveryLength) {
  const Model model{.heads = 2, .kv_heads = 1, .head_dim = 16, .dtype = dtype()};
  std::vector<Text> texts;
  for (int length = 1; length <= 300; length += 13)
    texts.emplace_back(model, length, static_cast<uint32_t>(length));
  std::vector<Chunk> chunks;
  for (const Text& text : texts) chunks.push_back({&text, text.length * 3 / 4, text.length});
  expect_naive(model, chunks, run(make_step(model, chunks)));
}

TEST_P(Attention, ChunksAndNeighboursDoNotChangeABit) {
  const std::vector<Model> models = {
      {.heads = 6, .kv_heads = 2, .head_dim = 64, .dtype = dtype()},
      {.heads = 4, .kv_heads = 1, .head_dim = 128, .page_size = 64, .dtype = dtype()}};
  for (const Model& model : models) {
    const Text text(model, 300, 1), neighbour(model, 90, 2);
    const OpRun whole = run(make_step(model, {{&text, 0, 300}}));
    for (int chunk : {1, 7, 64, 100}) {
      if (chunk < 64 && model.head_dim > 64) continue;
      for (int begin = chunk == 1 ? 250 : 0; begin < 300; begin += chunk) {
        const int end = std::min(300, begin + chunk);
        const bool alone = begin % 2 == 0;
        const std::vector<Chunk> batch = {{&neighbour, 89, 90}, {&text, begin, end}, {&neighbour, 0, 33}};
        const std::vector<Chunk> chunks = alone ? std::vector<Chunk>{{&text, begin, end}} : batch;
        OpCase step = make_step(model, chunks, static_cast<uint32_t>(begin));
        step.isa = std::get<0>(GetParam());
        step.num_threads = 1 + begin % 3;
        const OpRun part = run_op(registry_, step);
        for (int row = begin; row < end; ++row)
          ASSERT_EQ(part.outputs[0].row(row - begin + (alone ? 0 : 1)), whole.outputs[0].row(row))
              << "row " << row << " in chunks of " << chunk << ", heads of " << model.head_dim;
      }
    }
  }
}

TEST_P(Attention, ADecodeStepOfManySequencesEqualsEachAlone) {
  const Model model{.heads = 3, .kv_heads = 1, .head_dim = 64, .dtype = dtype()};
  std::vector<Text> texts;
  for (int i = 0; i < 40; ++i) texts.emplace_back(model, 1 + i * 61 % 300, static_cast<uint32_t>(i));
  std::vector<Chunk> chunks;
  for (const Text& text : texts) chunks.push_back({&text, text.length - 1, text.length});
  const OpRun together = run(make_step(model, chunks));
  for (size_t i = 0; i < chunks.size(); ++i) {
    const OpRun alone = run(make_step(model, {chunks[i]}, 7), 4);
    EXPECT_EQ(alone.outputs[0].row(0), together.outputs[0].row(static_cast<int64_t>(i))) << "sequence " << i;
  }
}

TEST_P(Attention, LargeScoresStayFinite) {
  const Model model{.heads = 1, .kv_heads = 1, .head_dim = 16, .dtype = dtype()};
  Text text(model, 130, 1);
  for (float& q : text.query) q *= 500;
  const OpRun result = run(make_step(model, {{&text, 100, 130}}));
  for (int64_t row = 0; row < 30; ++row) {
    for (float value : result.outputs[0].row(row)) EXPECT_LE(std::abs(value), 2.01f);
  }
}

TEST_P(Attention, AStepWithoutSequencesWritesNothing) {
  const Model model{.dtype = dtype()};
  const Text text(model, 20, 1);
  OpCase step = make_step(model, {{&text, 0, 20}});
  step.inputs[6] = TestTensor::ints({0});
  step.live_rows = 0;
  run(step);
}

INSTANTIATE_TEST_SUITE_P(IsasAndDtypes, Attention,
                         ::testing::Combine(::testing::Values(CpuIsa::kAvx2, detect_cpu_isa()),
                                            ::testing::Values(DType::kF32, DType::kF16, DType::kBF16,
                                                              DType::kF8E4M3)),
                         [](const auto& param) {
                           return "Isa" + std::to_string(param.index) +
                                  std::string(name(std::get<0>(param.param))) + "_" +
                                  std::string(name(std::get<1>(param.param)));
                         });

// The first rows of a tensor.
TestTensor first_rows(const TestTensor& tensor, int rows, int width) {
  std::vector<float> values = tensor.to_floats();
  values.resize(static_cast<size_t>(rows * width));
  return TestTensor::floats(values, {rows, width});
}

// musaic::rope_attention of each text's last position; what the cache has there does not count.
OpCase make_rope_step(const Model& model, const std::vector<Text>& texts) {
  std::vector<Chunk> chunks;
  for (const Text& text : texts) chunks.push_back({&text, text.length - 1, text.length});
  const OpCase step = make_step(model, chunks);
  const int live = static_cast<int>(texts.size()), rows = live + 2,
            kv_width = model.kv_heads * model.head_dim;
  std::vector<int32_t> slots;
  for (int s = 0; s < live; ++s) {
    const int last = texts[static_cast<size_t>(s)].length - 1;
    const int32_t page = step.inputs[5].tensor().row<int32_t>(s)[last / model.page_size];
    slots.push_back(page * model.page_size + last % model.page_size);
  }
  slots.resize(static_cast<size_t>(rows), 1 << 30);
  const auto random = [&](int width, uint32_t seed) {
    TestTensor tensor = TestTensor::random(DType::kF32, {rows, width}, seed);
    tensor.poison_rows(live);
    return tensor;
  };
  return {
      .op = "musaic::rope_attention",
      .inputs = {first_rows(step.inputs[0], rows, model.heads * model.head_dim), random(kv_width, 5),
                 random(kv_width, 6), random(model.head_dim, 7), TestTensor::ints(slots), step.inputs[1],
                 step.inputs[2], step.inputs[3], step.inputs[4], step.inputs[5], step.inputs[6]},
      .attributes = {{"num_heads", int64_t{model.heads}}, {"scale", model.scale()}, {"interleaved", false}},
      .live_rows = live};
}

TEST(RopeAttention, GivesWhatRotationWriteAndAttentionGive) {
  const OpRegistry registry = cpu_registry();
  if (!has_kernel_here(registry, "musaic::rope_attention")) GTEST_SKIP() << "a fused op of GPUs";
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    for (bool interleaved : {false, true}) {
      const Model model{.heads = 9, .kv_heads = 3, .head_dim = 64, .dtype = dtype};
      std::vector<Text> texts;
      for (int length : {1, 16, 17, 130, 300})
        texts.emplace_back(model, length, static_cast<uint32_t>(length));
      OpCase step = make_rope_step(model, texts);
      step.attributes.set("interleaved", interleaved);
      const OpRun fused = check_op(registry, step);
      const OpRun parts = run_decomposition(registry, step);
      for (int64_t row = 0; row < static_cast<int64_t>(texts.size()); ++row) {
        const std::vector<float> got = fused.outputs[0].row(row), expected = parts.outputs[0].row(row);
        for (size_t i = 0; i < got.size(); ++i)
          ASSERT_NEAR(got[i], expected[i], 2 * tolerance_of(dtype)) << "row " << row << ", value " << i;
      }
    }
  }
}

// A kernel of extend steps alone has other bits than decode steps'.
TEST(RowInvariantAttention, TakesNoKernelOfExtendStepsAlone) {
  const Model model{.heads = 6, .kv_heads = 2, .head_dim = 64, .dtype = DType::kBF16};
  const Text text(model, 90, 1);
  const OpRun run = check_op_with_features(cpu_registry(), make_step(model, {{&text, 20, 90}}),
                                           {std::string(kRowInvariant)});
  EXPECT_EQ(run.kernel.find("sm90"), std::string::npos) << run.kernel;
  expect_naive(model, {{&text, 20, 90}}, run);
}

TEST(AttentionFake, RefusesHeadsThatDoNotDivide) {
  const Model model{.heads = 3, .kv_heads = 1, .head_dim = 16};
  const Text text(model, 4, 1);
  OpCase step = make_step(model, {{&text, 0, 4}});
  step.inputs[1] = TestTensor(DType::kF16, {4, 2, 16, 16});
  EXPECT_THROW(run_op(cpu_registry(), step), LoadError);
}

TEST(AttentionFake, RefusesAPageTableOfOtherSequences) {
  const Model model{.heads = 3, .kv_heads = 1, .head_dim = 16};
  const Text text(model, 4, 1);
  OpCase step = make_step(model, {{&text, 0, 4}});
  step.inputs[5] = TestTensor(DType::kI32, {1, 8});
  EXPECT_THROW(run_op(cpu_registry(), step), LoadError);
}

}  // namespace
}  // namespace musaic::testing
