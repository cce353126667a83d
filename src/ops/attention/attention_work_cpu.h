#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace musaic {

// How the CPU kernel cuts attention. A query row's result is a sum over splits of kSplit positions, each
// split a running softmax over blocks of kKvBlock positions, both counted from position 0: so its bits do not
// depend on the step, the tile or the worker that computes it.
inline constexpr int64_t kKvBlock = 64;
inline constexpr int64_t kSplit = 4 * kKvBlock;
inline constexpr int kGroup = 4;       // positions whose scores are computed together; divides any page size
inline constexpr int kTileRows = 32;   // query rows (token × head of the group) that share converted blocks
inline constexpr int kDirectRows = 8;  // up to here blocks are read from the cache without a converted copy
inline constexpr int kMaxWorkers = 256;   // that get scratch memory; more do not take part
inline constexpr int kMaxPartials = 256;  // splits of one step that are computed apart
inline constexpr int kPadding = 16;       // rows of scratch are padded to whole vectors of any target

// Addresses and sizes of one call.
struct AttentionWork {
  const float* query;
  float* out;
  int64_t query_stride;
  int64_t out_stride;
  const void* key_cache;  // [pages, kv_heads, page_size, head_dim]
  const void* value_cache;
  DType cache_dtype;
  const int32_t* query_start;
  const int32_t* kv_lengths;
  const int32_t* page_table;
  const int32_t* num_sequences;
  int64_t max_pages;
  int64_t kv_heads;
  int64_t group_size;  // query heads per kv head
  int64_t page_size;
  int64_t head_dim;
  float scale;      // includes log2(e)
  float* scratch;   // kMaxWorkers × AttentionScratch
  float* partials;  // kMaxPartials × AttentionPartial
};

// Query rows of one sequence and kv head that are computed together. Row r is head (first_row + r) %
// group_size of the group at the sequence's token (first_row + r) / group_size.
struct AttentionTile {
  int32_t sequence;
  int64_t kv_head;
  int64_t first_row;
  int64_t num_rows;
};

// One worker's memory. Rows of padded_dim values.
struct AttentionScratch {
  float* query;          // [kTileRows, padded_dim]  times scale
  float* split;          // [kTileRows, padded_dim]  sums of the current split
  float* total;          // [kTileRows, padded_dim]  sums of all splits so far
  float* block;          // [kKvBlock, padded_dim]   converted keys, then values
  float* scores;         // [kTileRows, kKvBlock]    then weights
  float* split_weights;  // [kTileRows, kPadding]  sums of weights, lane by lane
  float* split_maximum;  // [kTileRows]
  float* split_weight;   // [kTileRows]
  float* total_maximum;  // [kTileRows]
  float* total_weight;   // [kTileRows]
  float* rescale;        // [kTileRows]

  static int64_t num_floats(int64_t padded_dim);
  static AttentionScratch at(float* memory, int64_t padded_dim);
};

// The sums of one split of a tile of at most kDirectRows rows, kept until they are merged.
struct AttentionPartial {
  float* sums;     // [kDirectRows, padded_dim]
  float* maximum;  // [kDirectRows]
  float* weight;   // [kDirectRows]

  static int64_t num_floats(int64_t padded_dim);
  static AttentionPartial at(float* memory, int64_t padded_dim);
};

int64_t padded_head_dim(int64_t head_dim);
size_t attention_workspace_bytes(int64_t head_dim);

// One unit of work: a tile over all its splits, or one split of it.
struct AttentionUnit {
  AttentionTile tile;
  int64_t split = -1;    // -1: all, merged at once
  int64_t partial = -1;  // where the split's sums go
};

// The units of one step, in an order that every worker computes alike.
class AttentionSchedule {
 public:
  // Long contexts are computed split by split when the step has too few tiles for the workers.
  AttentionSchedule(const AttentionWork& work, int num_workers);

  // Moves to the next sequence that has rows; false after the last one.
  bool next_sequence();
  // Of the current sequence.
  int64_t num_units() const { return work_.kv_heads * (is_split_ ? num_splits_ : num_tiles_); }
  AttentionUnit unit(int64_t index) const;
  bool is_split() const { return is_split_; }
  int64_t num_splits() const { return num_splits_; }
  int64_t first_partial(int64_t kv_head) const { return first_partial_ + kv_head * num_splits_; }
  AttentionTile whole_tile(int64_t kv_head) const { return {sequence_, kv_head, 0, num_rows_}; }

 private:
  int64_t rows_of(int32_t sequence) const;

  const AttentionWork& work_;
  bool has_few_tiles_ = false;
  int32_t sequence_ = -1;
  int64_t num_rows_ = 0;
  int64_t num_tiles_ = 0;  // per kv head
  int64_t num_splits_ = 0;
  bool is_split_ = false;
  int64_t first_partial_ = 0;
  int64_t next_partial_ = 0;
};

}  // namespace musaic
