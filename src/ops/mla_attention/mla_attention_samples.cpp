#include <fmt/format.h>

#include <cstring>

#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr int64_t kHeads = 5, kNope = 10, kRope = 6, kValue = 9, kRank = 20;
constexpr int64_t kWidth = kRank + kRope, kPageSize = 8;
constexpr int64_t kMaxPages = 20;     // of one sequence
constexpr int32_t kUnused = 1 << 30;  // in entries that nobody may follow

// Rows of a sequence in the step, and its tokens in the cache, the step's included.
struct LatentRun {
  int64_t rows;
  int64_t kv_length;
};

// Pages in falling order, NaN wherever nothing was stored.
struct LatentCache {
  HostTensor rows;
  HostTensor page_table;
};

LatentCache make_cache(DType dtype, const std::vector<LatentRun>& runs, int64_t sequences, int64_t width) {
  int64_t page = 1;  // one that nobody uses
  for (const LatentRun& run : runs) page += (run.kv_length + kPageSize - 1) / kPageSize;
  const Shape shape{page, 1, kPageSize, width};
  const auto random = HostTensor::random(dtype, shape, 2);
  LatentCache cache{HostTensor(dtype, shape), {}};
  std::vector<int32_t> table(static_cast<size_t>(sequences * kMaxPages), kUnused);
  for (size_t s = 0; s < runs.size(); ++s) {
    for (int64_t position = 0; position < runs[s].kv_length; ++position) {
      if (position % kPageSize == 0) --page;
      table[s * kMaxPages + static_cast<size_t>(position / kPageSize)] = static_cast<int32_t>(page);
      const size_t at = byte_size(dtype, (page * kPageSize + position % kPageSize) * width);
      std::memcpy(cache.rows.data() + at, random.data() + at, byte_size(dtype, width));
    }
  }
  cache.page_table = HostTensor::ints(table, {sequences, kMaxPages});
  return cache;
}

struct LatentSize {
  int64_t heads = kHeads;
  int64_t width = kWidth;  // of the cache
  int64_t in = 0;          // values a head of query and result
  int64_t out = 0;
};

OpSample latent_sample(const char* what, DType dtype, const std::vector<LatentRun>& runs, int64_t pad_rows,
                       const LatentSize& size) {
  const int64_t pad_sequences = pad_rows > 0 ? 2 : 0;
  std::vector<int32_t> query_start = {0}, kv_lengths;
  for (const LatentRun& run : runs) {
    query_start.push_back(query_start.back() + static_cast<int32_t>(run.rows));
    kv_lengths.push_back(static_cast<int32_t>(run.kv_length));
  }
  const int32_t live_rows = query_start.back();
  query_start.resize(query_start.size() + static_cast<size_t>(pad_sequences), kUnused);
  kv_lengths.resize(kv_lengths.size() + static_cast<size_t>(pad_sequences), kUnused);
  const int64_t tokens = live_rows + pad_rows;
  LatentCache cache = make_cache(dtype, runs, static_cast<int64_t>(kv_lengths.size()), size.width);
  return {.name = fmt::format("{}, cache {}", what, name(dtype)),
          .inputs = {sample_rows_of(HostTensor::random(DType::kF32, {tokens, size.heads * size.in}, 1, 1,
                                                       size.heads * size.in + 4 * pad_rows)),
                     sample_fixed(std::move(cache.rows)), sample_fixed(HostTensor::ints(query_start)),
                     sample_fixed(HostTensor::ints(kv_lengths)), sample_fixed(std::move(cache.page_table)),
                     sample_fixed(HostTensor::ints({static_cast<int32_t>(runs.size())}))},
          .attributes = {{"num_heads", size.heads}, {"scale", 0.3}},
          .outputs = {{DType::kF32, {tokens, size.heads * size.out}}},
          .live_rows = live_rows};
}

std::vector<OpSample> latent_samples(int64_t in, int64_t out) {
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const auto add = [&](const char* what, const std::vector<LatentRun>& runs, int64_t pad_rows) {
      samples.push_back(latent_sample(what, dtype, runs, pad_rows, {.in = in, .out = out}));
    };
    add("no sequence", {}, 2);
    add("no row", {}, 0);
    add("one first token", {{1, 1}}, 0);
    add("a decode step", {{1, 9}, {1, 70}, {1, 1}}, 3);
    add("a prompt", {{37, 37}}, 0);
    add("chunks and decode rows", {{5, 150}, {1, 65}, {13, 13}}, 4);
  }
  return samples;
}

// At DeepSeek-V2's sizes, which have kernels of their own on some devices.
void add_deepseek_samples(std::vector<OpSample>& samples) {
  constexpr int64_t kRank = 512, kRope = 64, kValues = 128, kHeads = 2;
  const Shape kv_b{kHeads * 2 * kValues, kRank}, blocks{2 * kHeads, kRank / 128};
  std::vector<float> scales;
  for (int i = 1; i <= 2 * kHeads * kRank / 128; ++i) scales.push_back(2e-4f * static_cast<float>(i));
  const auto add = [&](const char* what, DType cache, const std::vector<LatentRun>& runs, int64_t pad_rows) {
    OpSample sample =
        latent_sample(what, cache, runs, pad_rows,
                      {.heads = kHeads, .width = kRank + kRope, .in = kValues + kRope, .out = kValues});
    sample.name += ", DeepSeek's sizes, kv_b f8e4m3";
    sample.inputs.push_back(sample_fixed(HostTensor::random(DType::kF8E4M3, kv_b, 3, 100)));
    sample.inputs.push_back(sample_fixed(HostTensor::floats(scales, blocks)));
    sample.attributes.set("scale", 0.05);
    samples.push_back(std::move(sample));
  };
  add("no row", DType::kBF16, {}, 0);
  add("one first token", DType::kF16, {{1, 1}}, 0);
  add("chunks and decode rows", DType::kBF16, {{5, 150}, {1, 65}, {140, 159}}, 4);
}

}  // namespace

std::vector<OpSample> mla_expanded_attention_samples() {
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF8E4M3}) {
    const bool is_fp8 = dtype == DType::kF8E4M3;
    for (OpSample& sample : latent_samples(kNope + kRope, kValue)) {
      sample.name += fmt::format(", kv_b {}", name(dtype));
      const Shape shape{kHeads * (kNope + kValue), kRank};
      sample.inputs.push_back(sample_fixed(HostTensor::random(dtype, shape, 3, is_fp8 ? 100 : 1)));
      sample.inputs.push_back(is_fp8 ? sample_fixed(HostTensor::random(DType::kF32, {1, 1}, 4))
                                     : SampleInput{});
      samples.push_back(std::move(sample));
    }
  }
  add_deepseek_samples(samples);
  return samples;
}

std::vector<OpSample> mla_absorbed_attention_samples() {
  std::vector<OpSample> samples = latent_samples(kWidth, kRank);
  for (OpSample& sample : samples) sample.attributes.set("rank", kRank);
  return samples;
}

// The expanded form at DeepSeek-V2's sizes, the only ones that its fused op has kernels for.
std::vector<OpSample> mla_expanded_attention_fp8_samples() {
  std::vector<OpSample> samples;
  add_deepseek_samples(samples);
  for (OpSample& sample : samples) {
    const Shape rows = sample.outputs[0].shape;
    sample.outputs = {{DType::kF8E4M3, rows}, {DType::kF32, {rows[0], rows[1] / 128}}};
  }
  return samples;
}

// At DeepSeek-V2's sizes, the only ones that it has kernels for.
std::vector<OpSample> mla_absorbed_values_fp8_samples() {
  constexpr int64_t kRank = 512, kRope = 64, kValues = 128, kHeads = 16;
  const Shape kv_b{kHeads * 2 * kValues, kRank}, blocks{2 * kHeads, kRank / 128};
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    const auto add = [&](const char* what, const std::vector<LatentRun>& runs, int64_t pad_rows) {
      OpSample sample =
          latent_sample(what, dtype, runs, pad_rows,
                        {.heads = kHeads, .width = kRank + kRope, .in = kRank + kRope, .out = kValues});
      const int64_t tokens = sample.outputs[0].shape[0];
      sample.inputs.push_back(sample_fixed(HostTensor::random(DType::kF8E4M3, kv_b, 3, 100)));
      sample.inputs.push_back(sample_fixed(HostTensor::random(DType::kF32, blocks, 4)));
      sample.attributes.set("scale", 0.05);
      sample.attributes.set("rank", kRank);
      sample.attributes.set("v_head_dim", kValues);
      sample.outputs = {{DType::kF8E4M3, {tokens, kHeads * kValues}}, {DType::kF32, {tokens, kHeads}}};
      samples.push_back(std::move(sample));
    };
    add("no row", {}, 0);
    add("one first token", {{1, 1}}, 0);
    add("a decode step", {{1, 9}, {1, 150}, {1, 1}}, 3);
    add("chunks and decode rows", {{5, 150}, {1, 65}}, 4);
  }
  return samples;
}

}  // namespace musaic
