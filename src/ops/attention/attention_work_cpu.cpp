#include "ops/attention/attention_work_cpu.h"

#include <algorithm>

namespace musaic {
namespace {

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

int64_t padded_head_dim(int64_t head_dim) {
  return divide_up(head_dim, kPadding) * kPadding;
}

size_t attention_workspace_bytes(int64_t head_dim) {
  const int64_t padded = padded_head_dim(head_dim);
  return sizeof(float) * static_cast<size_t>(kMaxWorkers * AttentionScratch::num_floats(padded) +
                                             kMaxPartials * AttentionPartial::num_floats(padded));
}

int64_t AttentionScratch::num_floats(int64_t padded_dim) {
  return (3 * kTileRows + kKvBlock) * padded_dim + kTileRows * (kKvBlock + kPadding) + 5 * kTileRows;
}

AttentionScratch AttentionScratch::at(float* memory, int64_t padded_dim) {
  const auto take = [&memory](int64_t count) {
    float* taken = memory;
    memory += count;
    return taken;
  };
  AttentionScratch out;
  out.query = take(kTileRows * padded_dim);
  out.split = take(kTileRows * padded_dim);
  out.total = take(kTileRows * padded_dim);
  out.block = take(kKvBlock * padded_dim);
  out.scores = take(kTileRows * kKvBlock);
  out.split_weights = take(kTileRows * kPadding);
  out.split_maximum = take(kTileRows);
  out.split_weight = take(kTileRows);
  out.total_maximum = take(kTileRows);
  out.total_weight = take(kTileRows);
  out.rescale = take(kTileRows);
  return out;
}

int64_t AttentionPartial::num_floats(int64_t padded_dim) {
  return kDirectRows * (padded_dim + 2);
}

AttentionPartial AttentionPartial::at(float* memory, int64_t padded_dim) {
  return {memory, memory + kDirectRows * padded_dim, memory + kDirectRows * (padded_dim + 1)};
}

AttentionSchedule::AttentionSchedule(const AttentionWork& work, int num_workers) : work_(work) {
  int64_t tiles = 0;
  for (int32_t sequence = 0; sequence < *work.num_sequences; ++sequence)
    tiles += work.kv_heads * divide_up(rows_of(sequence), kTileRows);
  constexpr int64_t kEnoughPerWorker = 4;  // then the last tile ends not long after the others
  has_few_tiles_ = num_workers > 1 && tiles < kEnoughPerWorker * num_workers;
}

int64_t AttentionSchedule::rows_of(int32_t sequence) const {
  return (work_.query_start[sequence + 1] - work_.query_start[sequence]) * work_.group_size;
}

bool AttentionSchedule::next_sequence() {
  do {
    if (++sequence_ >= *work_.num_sequences) return false;
    num_rows_ = rows_of(sequence_);
  } while (num_rows_ == 0);
  num_tiles_ = divide_up(num_rows_, kTileRows);
  num_splits_ = divide_up(work_.kv_lengths[sequence_], kSplit);
  const int64_t partials = work_.kv_heads * num_splits_;
  is_split_ = has_few_tiles_ && num_rows_ <= kDirectRows && num_splits_ > 1 &&
              next_partial_ + partials <= kMaxPartials;
  first_partial_ = next_partial_;
  if (is_split_) next_partial_ += partials;
  return true;
}

AttentionUnit AttentionSchedule::unit(int64_t index) const {
  const int64_t kv_head = index % work_.kv_heads;
  const int64_t part = index / work_.kv_heads;
  if (is_split_) return {whole_tile(kv_head), part, first_partial(kv_head) + part};
  const int64_t first_row = (num_tiles_ - 1 - part) * kTileRows;  // the last rows have the most work
  return {{sequence_, kv_head, first_row, std::min<int64_t>(kTileRows, num_rows_ - first_row)}, -1, -1};
}

}  // namespace musaic
