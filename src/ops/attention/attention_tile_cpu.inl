// Attention of one tile of query rows, split by split: include like backends/cpu/simd.inl.

#if defined(MUSAIC_OPS_ATTENTION_TILE_CPU) == defined(HWY_TARGET_TOGGLE)
#ifdef MUSAIC_OPS_ATTENTION_TILE_CPU
#undef MUSAIC_OPS_ATTENTION_TILE_CPU
#else
#define MUSAIC_OPS_ATTENTION_TILE_CPU
#endif

#include <algorithm>
#include <type_traits>

#include "ops/attention/attention_block_cpu.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

// Works on one tile at a time, in one worker's scratch, over a cache of T.
template <class T>
class TileAttention {
 public:
  TileAttention(const AttentionWork& work, int worker)
      : work_(work),
        padded_dim_(padded_head_dim(work.head_dim)),
        width_(static_cast<size_t>(padded_dim_)),
        scratch_(AttentionScratch::at(work.scratch + worker * AttentionScratch::num_floats(padded_dim_),
                                      padded_dim_)) {}

  // All splits of the tile, into the output.
  void run(const AttentionTile& tile) {
    enter(tile);
    load_query();
    for (int64_t split = 0; split * kSplit < last_visible(); ++split) {
      run_split(split);
      merge(split, scratch_.split, scratch_.split_maximum, scratch_.split_weight);
    }
    write_out();
  }

  // One split, kept for run_merge.
  void run_one_split(const AttentionTile& tile, int64_t split, int64_t partial) {
    enter(tile);
    load_query();
    run_split(split);
    keep_partial(partial_at(partial));
  }

  // The splits that were kept from `first_partial` on, into the output.
  void run_merge(const AttentionTile& tile, int64_t num_splits, int64_t first_partial) {
    enter(tile);
    for (int64_t split = 0; split < num_splits; ++split) {
      const AttentionPartial partial = partial_at(first_partial + split);
      merge(split, partial.sums, partial.maximum, partial.weight);
    }
    write_out();
  }

 private:
  void enter(const AttentionTile& tile) {
    tile_ = tile;
    first_token_ = work_.query_start[tile.sequence];
    const int64_t num_tokens = work_.query_start[tile.sequence + 1] - first_token_;
    first_position_ = work_.kv_lengths[tile.sequence] - num_tokens;
    pages_ = work_.page_table + tile.sequence * work_.max_pages;
  }

  // How many positions the row sees: up to its own.
  int64_t visible(int64_t row) const {
    return first_position_ + (tile_.first_row + row) / work_.group_size + 1;
  }
  int64_t last_visible() const { return visible(tile_.num_rows - 1); }

  // Offset of a row in the query (or, with its stride, the output).
  int64_t offset(int64_t row, int64_t stride) const {
    const int64_t place = tile_.first_row + row;
    const int64_t head = tile_.kv_head * work_.group_size + place % work_.group_size;
    return (first_token_ + place / work_.group_size) * stride + head * work_.head_dim;
  }

  AttentionPartial partial_at(int64_t index) const {
    return AttentionPartial::at(work_.partials + index * AttentionPartial::num_floats(padded_dim_),
                                padded_dim_);
  }

  void load_query() {
    const size_t head_dim = static_cast<size_t>(work_.head_dim);
    const auto scale = hn::Set(FloatTag(), work_.scale);
    for (int64_t row = 0; row < tile_.num_rows; ++row) {
      const float* from = work_.query + offset(row, work_.query_stride);
      float* to = scratch_.query + row * padded_dim_;
      for (size_t k = 0; k < width_; k += lanes()) {
        const size_t left = head_dim > k ? head_dim - k : 0;
        const auto values = left >= lanes() ? load(from + k) : load_first(from + k, left);
        store(hn::Mul(values, scale), to + k);
      }
    }
  }

  void run_split(int64_t split) {
    std::fill_n(scratch_.split, tile_.num_rows * padded_dim_, 0.0f);
    std::fill_n(scratch_.split_weights, tile_.num_rows * kPadding, 0.0f);
    std::fill_n(scratch_.split_maximum, tile_.num_rows, kNoMaximum);
    const int64_t end = std::min(last_visible(), (split + 1) * kSplit);
    for (int64_t begin = split * kSplit; begin < end; begin += kKvBlock)
      run_block(begin, static_cast<size_t>(std::min(kKvBlock, end - begin)));
    for (int64_t row = 0; row < tile_.num_rows; ++row)
      scratch_.split_weight[row] = sum_of_lanes(load(scratch_.split_weights + row * kPadding));
  }

  size_t positions_from(int64_t begin) const {
    return static_cast<size_t>(std::clamp<int64_t>(last_visible() - begin, 0, kKvBlock));
  }

  void run_block(int64_t begin, size_t count) {
    const bool whole_vectors = static_cast<size_t>(work_.head_dim) % lanes() == 0;
    const bool direct = whole_vectors && (std::is_same_v<T, float> || tile_.num_rows <= kDirectRows);
    const KvBlock<T> keys = block_of(work_.key_cache, begin, count);
    const KvBlock<T> values = block_of(work_.value_cache, begin, count);
    if (direct) {
      score(keys, values);
      soften(begin);
      add(values, block_of(work_.key_cache, begin + kKvBlock, positions_from(begin + kKvBlock)));
    } else {
      const KvBlock<float> nothing{};
      score(converted(keys), nothing);
      soften(begin);
      add(converted(values), nothing);
    }
  }

  KvBlock<T> block_of(const void* cache, int64_t begin, size_t count) const {
    KvBlock<T> block;
    block.stride = static_cast<size_t>(work_.head_dim);
    block.count = count;
    int64_t page = begin / work_.page_size, slot = begin % work_.page_size;
    for (size_t group = 0; group * kGroup < count; ++group) {
      const int64_t head = (pages_[page] * work_.kv_heads + tile_.kv_head) * work_.page_size;
      block.groups[group] = static_cast<const T*>(cache) + (head + slot) * work_.head_dim;
      slot += kGroup;
      if (slot < work_.page_size) continue;
      slot = 0;
      ++page;
    }
    return block;
  }

  // The block as float32 rows of padded_dim values, zeros at their ends.
  KvBlock<float> converted(const KvBlock<T>& block) {
    const size_t head_dim = static_cast<size_t>(work_.head_dim);
    for (size_t j = 0; j < block.count; ++j) {
      const T* from = block.row(j);
      float* to = scratch_.block + j * width_;
      size_t k = 0;
      for (; k + lanes() <= head_dim; k += lanes()) store(load(from + k), to + k);
      for (; k < width_; k += lanes()) store(load_first(from + k, head_dim > k ? head_dim - k : 0), to + k);
    }
    // The last group may be cut short: its other rows are computed too, and hidden.
    KvBlock<float> out;
    out.stride = width_;
    out.count = block.count;
    for (size_t group = 0; group * kGroup < block.count; ++group)
      out.groups[group] = scratch_.block + group * kGroup * width_;
    return out;
  }

  template <class U>
  void score(const KvBlock<U>& keys, const KvBlock<U>& ahead) {
    const size_t width = std::min(keys.stride, width_);
    for_row_steps(tile_.num_rows, ScoreStep<U>{scratch_, keys, ahead, width, width_});
  }

  void soften(int64_t begin) {
    for (int64_t row = 0; row < tile_.num_rows; ++row) {
      const int64_t seen = std::clamp<int64_t>(visible(row) - begin, 0, kKvBlock);
      scratch_.rescale[row] =
          soften_row(scratch_.scores + row * kKvBlock, static_cast<size_t>(seen),
                     scratch_.split_maximum + row, scratch_.split_weights + row * kPadding);
    }
  }

  template <class U>
  void add(const KvBlock<U>& values, const KvBlock<U>& ahead) {
    const size_t width = std::min(values.stride, width_);
    for_row_steps(tile_.num_rows, AddStep<U>{scratch_, values, ahead, width, width_});
  }

  void keep_partial(const AttentionPartial& partial) const {
    std::copy_n(scratch_.split, tile_.num_rows * padded_dim_, partial.sums);
    std::copy_n(scratch_.split_maximum, tile_.num_rows, partial.maximum);
    std::copy_n(scratch_.split_weight, tile_.num_rows, partial.weight);
  }

  // Adds a split's sums to the total, in the order of the splits.
  void merge(int64_t split, const float* sums, const float* maximum, const float* weight) {
    for (int64_t row = 0; row < tile_.num_rows; ++row) {
      float* total = scratch_.total + row * padded_dim_;
      const float* part = sums + row * padded_dim_;
      if (split == 0) {
        std::copy_n(part, padded_dim_, total);
        scratch_.total_maximum[row] = maximum[row];
        scratch_.total_weight[row] = weight[row];
        continue;
      }
      const float largest = std::max(scratch_.total_maximum[row], maximum[row]);
      const FloatTag d;
      const auto keep = exp2_of_negative(hn::Set(d, scratch_.total_maximum[row] - largest));
      const auto take = exp2_of_negative(hn::Set(d, maximum[row] - largest));
      for (size_t k = 0; k < width_; k += lanes())
        store(hn::MulAdd(load(total + k), keep, hn::Mul(load(part + k), take)), total + k);
      scratch_.total_weight[row] =
          scratch_.total_weight[row] * hn::GetLane(keep) + weight[row] * hn::GetLane(take);
      scratch_.total_maximum[row] = largest;
    }
  }

  void write_out() const {
    for (int64_t row = 0; row < tile_.num_rows; ++row) {
      const float factor = 1.0f / scratch_.total_weight[row];
      const float* total = scratch_.total + row * padded_dim_;
      float* out = work_.out + offset(row, work_.out_stride);
      for (int64_t k = 0; k < work_.head_dim; ++k) out[k] = total[k] * factor;
    }
  }

  const AttentionWork& work_;
  int64_t padded_dim_;
  size_t width_;
  AttentionScratch scratch_;
  AttentionTile tile_{};
  int64_t first_token_ = 0;
  int64_t first_position_ = 0;  // of the sequence's first row in this step
  const int32_t* pages_ = nullptr;
};

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#endif
