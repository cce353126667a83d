#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "ops/attention/attention_samples.h"

namespace musaic {
namespace {

// Rows of a sequence in the step, and its tokens in the cache, the step's included.
struct AttentionRun {
  int64_t rows;
  int64_t kv_length;
};

constexpr int64_t kMaxPages = 40;     // of one sequence
constexpr int32_t kUnused = 1 << 30;  // in entries that nobody may follow

// The paged cache of a step: pages in falling order, NaN wherever nothing was stored.
struct PagedTensors {
  HostTensor keys;
  HostTensor values;
  HostTensor page_table;
};

// Position by position, so that the rest of the last page stays NaN.
void store(HostTensor& cache, const AttentionLayout& layout, int64_t page, int64_t offset,
           const HostTensor& random) {
  for (int64_t head = 0; head < layout.kv_heads; ++head) {
    const int64_t at = ((page * layout.kv_heads + head) * layout.page_size + offset) * layout.head_dim;
    const size_t first = byte_size(layout.cache, at);
    std::memcpy(cache.data() + first, random.data() + first, byte_size(layout.cache, layout.head_dim));
  }
}

PagedTensors make_cache(const AttentionLayout& layout, const std::vector<AttentionRun>& runs,
                        int64_t pad_sequences) {
  int64_t num_pages = 1;  // one that nobody uses
  for (const AttentionRun& run : runs) num_pages += (run.kv_length + layout.page_size - 1) / layout.page_size;
  const Shape shape{num_pages, layout.kv_heads, layout.page_size, layout.head_dim};
  const auto random_keys = HostTensor::random(layout.cache, shape, 2);
  const auto random_values = HostTensor::random(layout.cache, shape, 3);
  PagedTensors out{HostTensor(layout.cache, shape), HostTensor(layout.cache, shape), {}};
  const int64_t sequences = static_cast<int64_t>(runs.size()) + pad_sequences;
  std::vector<int32_t> table(static_cast<size_t>(sequences * kMaxPages), kUnused);
  int64_t page = num_pages;
  for (size_t s = 0; s < runs.size(); ++s) {
    for (int64_t position = 0; position < runs[s].kv_length; ++position) {
      const int64_t offset = position % layout.page_size;
      if (offset == 0) --page;
      table[s * kMaxPages + static_cast<size_t>(position / layout.page_size)] = static_cast<int32_t>(page);
      store(out.keys, layout, page, offset, random_keys);
      store(out.values, layout, page, offset, random_values);
    }
  }
  out.page_table = HostTensor::ints(table, {sequences, kMaxPages});
  return out;
}

OpSample attention_sample(const char* what, const AttentionLayout& layout,
                          const std::vector<AttentionRun>& runs, int64_t pad_rows, int64_t gap) {
  const int64_t pad_sequences = pad_rows > 0 ? 2 : 0;
  std::vector<int32_t> query_start = {0}, kv_lengths;
  for (const AttentionRun& run : runs) {
    query_start.push_back(query_start.back() + static_cast<int32_t>(run.rows));
    kv_lengths.push_back(static_cast<int32_t>(run.kv_length));
  }
  const int32_t live_rows = query_start.back();
  query_start.resize(query_start.size() + static_cast<size_t>(pad_sequences), kUnused);
  kv_lengths.resize(kv_lengths.size() + static_cast<size_t>(pad_sequences), kUnused);
  const int64_t tokens = live_rows + pad_rows;
  const int64_t width = layout.heads * layout.head_dim;
  PagedTensors cache = make_cache(layout, runs, pad_sequences);
  return {.name = fmt::format("{}, {} heads on {} of {}, cache {}", what, layout.heads, layout.kv_heads,
                              layout.head_dim, name(layout.cache)),
          .inputs = {sample_rows_of(HostTensor::random(DType::kF32, {tokens, width}, 1, 1, width + gap)),
                     sample_fixed(std::move(cache.keys)), sample_fixed(std::move(cache.values)),
                     sample_fixed(HostTensor::ints(query_start)), sample_fixed(HostTensor::ints(kv_lengths)),
                     sample_fixed(std::move(cache.page_table)),
                     sample_fixed(HostTensor::ints({static_cast<int32_t>(runs.size())}))},
          .attributes = {{"num_heads", layout.heads},
                         {"scale", 1.0 / std::sqrt(static_cast<double>(layout.head_dim))}},
          .outputs = {{DType::kF32, {tokens, width}}},
          .live_rows = live_rows};
}

}  // namespace

OpSample rope_attention_sample(const AttentionLayout& layout, const std::vector<int64_t>& kv_lengths,
                               int64_t pads, bool interleaved) {
  std::vector<AttentionRun> runs;
  std::vector<int32_t> query_start = {0}, lengths, slots;
  for (int64_t length : kv_lengths) {
    runs.push_back({1, length});
    query_start.push_back(query_start.back() + 1);
    lengths.push_back(static_cast<int32_t>(length));
  }
  const auto live_rows = static_cast<int32_t>(runs.size());
  PagedTensors cache = make_cache(layout, runs, pads);
  for (int32_t s = 0; s < live_rows; ++s) {
    const int64_t last = kv_lengths[static_cast<size_t>(s)] - 1;
    const int32_t page = cache.page_table.tensor().row<int32_t>(s)[last / layout.page_size];
    slots.push_back(page * static_cast<int32_t>(layout.page_size) +
                    static_cast<int32_t>(last % layout.page_size));
  }
  const int64_t tokens = live_rows + pads;
  query_start.resize(static_cast<size_t>(tokens + 1), kUnused);
  lengths.resize(static_cast<size_t>(tokens), kUnused);
  slots.resize(static_cast<size_t>(tokens), kUnused);
  const auto rows = [&](int64_t width, uint32_t seed) {
    return sample_rows_of(HostTensor::random(DType::kF32, {tokens, width}, seed, 1, width + 4));
  };
  const int64_t width = layout.heads * layout.head_dim, kv_width = layout.kv_heads * layout.head_dim;
  return {.name = fmt::format("{} sequences, {} pad rows, {} heads on {}{}, pages of {}, cache {}", live_rows,
                              pads, layout.heads, layout.kv_heads, interleaved ? ", interleaved" : "",
                              layout.page_size, name(layout.cache)),
          .inputs = {rows(width, 1), rows(kv_width, 4), rows(kv_width, 5), rows(layout.head_dim, 6),
                     sample_rows_of(HostTensor::ints(slots)), sample_fixed(std::move(cache.keys)),
                     sample_fixed(std::move(cache.values)), sample_fixed(HostTensor::ints(query_start)),
                     sample_rows_of(HostTensor::ints(lengths)), sample_rows_of(std::move(cache.page_table)),
                     sample_fixed(HostTensor::ints({live_rows}))},
          .attributes = {{"num_heads", layout.heads},
                         {"scale", 1.0 / std::sqrt(static_cast<double>(layout.head_dim))},
                         {"interleaved", interleaved}},
          .outputs = {{DType::kF32, {tokens, width}}},
          .live_rows = live_rows};
}

std::vector<OpSample> paged_attention_samples() {
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
    const AttentionLayout grouped{6, 2, 16, 8, dtype}, single{2, 2, 40, 16, dtype}, wide{9, 3, 64, 16, dtype};
    for (const AttentionLayout& layout : {grouped, single, wide}) {
      samples.push_back(attention_sample("no sequence", layout, {}, 2, 0));
      samples.push_back(attention_sample("no row", layout, {}, 0, 0));
      samples.push_back(attention_sample("one first token", layout, {{1, 1}}, 0, 0));
      samples.push_back(attention_sample("a decode step", layout, {{1, 9}, {1, 70}, {1, 1}}, 3, 0));
      samples.push_back(attention_sample("a prompt", layout, {{37, 37}}, 0, 0));
      samples.push_back(
          attention_sample("chunks and decode rows, gaps", layout, {{5, 300}, {1, 65}, {13, 13}}, 4, 8));
    }
    const AttentionLayout long_pages{9, 3, 64, 64, dtype}, odd_pages{4, 1, 64, 24, dtype},
        long_heads{4, 2, 128, 16, dtype};
    for (const AttentionLayout& layout : {long_pages, odd_pages, long_heads})
      samples.push_back(attention_sample("chunks behind prefixes", layout,
                                         {{70, 333}, {1, 64}, {65, 129}, {3, 500}}, 2, 4));
  }
  return samples;
}

std::vector<OpSample> rope_attention_samples() {
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    const AttentionLayout grouped{9, 3, 64, 16, dtype}, single{2, 2, 64, 8, dtype};
    samples.push_back(rope_attention_sample(grouped, {}, 0, false));
    samples.push_back(rope_attention_sample(grouped, {1}, 0, false));
    samples.push_back(rope_attention_sample(grouped, {300, 17, 16, 129}, 3, true));
    samples.push_back(rope_attention_sample(single, {9, 64, 1}, 2, false));
  }
  return samples;
}

}  // namespace musaic
