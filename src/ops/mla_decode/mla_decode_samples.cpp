#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr int64_t kHeads = 16, kNope = 128, kRope = 64, kValues = 128, kRank = 512, kWidth = kRank + kRope;
constexpr int64_t kPageSize = 16;
constexpr int32_t kUnused = 1 << 30;  // in entries that nobody may follow

// A decode step of sequences of so many positions. Pages in falling order, NaN wherever nothing was stored.
OpSample mla_decode_sample(const std::vector<int64_t>& kv_lengths, int64_t pads, bool interleaved,
                           DType norm) {
  const auto sequences = static_cast<int64_t>(kv_lengths.size()), tokens = sequences + pads;
  int64_t page = 1, max_pages = 1;  // page 0: one that nobody uses
  for (int64_t length : kv_lengths) {
    page += (length + kPageSize - 1) / kPageSize;
    max_pages = std::max(max_pages, (length + kPageSize - 1) / kPageSize);
  }
  const Shape shape{page, 1, kPageSize, kWidth};
  HostTensor cache(DType::kBF16, shape);
  const auto random = HostTensor::random(DType::kBF16, shape, 6);
  std::vector<int32_t> table(static_cast<size_t>(tokens * max_pages), kUnused), slots, starts, lengths;
  for (int64_t s = 0; s < tokens; ++s) {
    const int64_t length = s < sequences ? kv_lengths[static_cast<size_t>(s)] : 0;
    int64_t slot = 0;
    for (int64_t position = 0; position < length; ++position) {
      if (position % kPageSize == 0) --page;
      table[static_cast<size_t>(s * max_pages + position / kPageSize)] = static_cast<int32_t>(page);
      slot = page * kPageSize + position % kPageSize;
      const size_t at = byte_size(DType::kBF16, slot * kWidth);
      if (position + 1 < length)
        std::memcpy(cache.data() + at, random.data() + at, byte_size(DType::kBF16, kWidth));
    }
    starts.push_back(s <= sequences ? static_cast<int32_t>(s) : kUnused);
    lengths.push_back(s < sequences ? static_cast<int32_t>(length) : kUnused);
    slots.push_back(static_cast<int32_t>(slot));
  }
  starts.push_back(pads > 0 ? kUnused : static_cast<int32_t>(sequences));
  const auto rows = [&](int64_t width, uint32_t seed) {
    return sample_rows_of(HostTensor::random(DType::kF32, {tokens, width}, seed, 1, width + 4 * pads));
  };
  std::vector<float> scales;
  for (int i = 1; i <= 2 * kHeads * kRank / 128; ++i) scales.push_back(2e-4f * static_cast<float>(i));
  return {.name = fmt::format("{} sequences, {} pads{}, norm {}", sequences, pads,
                              interleaved ? ", interleaved" : "", name(norm)),
          .inputs = {rows(kHeads * (kNope + kRope), 1), rows(kRank, 2), rows(kRope, 3), rows(kRope, 4),
                     sample_rows_of(HostTensor::ints(slots)), sample_fixed(std::move(cache)),
                     sample_fixed(HostTensor::random(norm, {kRank}, 7)),
                     sample_fixed(HostTensor::ints(starts)), sample_rows_of(HostTensor::ints(lengths)),
                     sample_rows_of(HostTensor::ints(table, {tokens, max_pages})),
                     sample_fixed(HostTensor::ints({static_cast<int32_t>(sequences)})),
                     sample_fixed(
                         HostTensor::random(DType::kF8E4M3, {kHeads * (kNope + kValues), kRank}, 8, 100)),
                     sample_fixed(HostTensor::floats(scales, {2 * kHeads, kRank / 128}))},
          .attributes = {{"head_dim", kNope + kRope},
                         {"interleaved", interleaved},
                         {"eps", 1e-5},
                         {"num_heads", kHeads},
                         {"scale", 0.05},
                         {"v_head_dim", kValues}},
          .outputs = {{DType::kF8E4M3, {tokens, kHeads * kValues}}, {DType::kF32, {tokens, kHeads}}},
          .live_rows = static_cast<int32_t>(sequences)};
}

}  // namespace

// Few rows and many, for clusters of one to four sequences and several of one, and shares of no, one and
// several tiles.
std::vector<OpSample> mla_decode_attention_fp8_samples() {
  return {mla_decode_sample({}, 0, true, DType::kBF16),
          mla_decode_sample({}, 2, true, DType::kBF16),
          mla_decode_sample({1}, 0, true, DType::kF32),
          mla_decode_sample({17}, 0, false, DType::kF16),
          mla_decode_sample({2100}, 0, true, DType::kF32),
          mla_decode_sample({1100, 1, 300}, 2, true, DType::kBF16),
          mla_decode_sample(std::vector<int64_t>(11, 40), 1, true, DType::kBF16),
          mla_decode_sample(std::vector<int64_t>(18, 70), 0, false, DType::kF32),
          mla_decode_sample(std::vector<int64_t>(25, 33), 3, true, DType::kBF16)};
}

}  // namespace musaic
