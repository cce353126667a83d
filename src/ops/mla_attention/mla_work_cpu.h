#pragma once

#include <cstdint>

#include "backends/cpu/rows.h"
#include "tensor/tensor.h"

namespace musaic {

inline constexpr int64_t kMlaBlock = 64;         // positions, counted from 0, that a softmax goes on by
inline constexpr int64_t kMlaMaxWidth = 1024;    // of a cached row: blocks of them lie on the stack
inline constexpr int64_t kMlaMaxExpanded = 512;  // of a head's key without position and its value

// The paged cache, and where the sequences of a step lie in it.
struct MlaCache {
  const void* data;
  DType dtype;
  int64_t width;  // latent and rotated key
  int64_t page_size;
  const int32_t* query_start;
  const int32_t* kv_lengths;
  const int32_t* page_table;
  int64_t max_pages;
  const int32_t* num_sequences;

  static MlaCache of(const Tensor& cache, const Tensor& query_start, const Tensor& kv_lengths,
                     const Tensor& page_table, const Tensor& num_sequences) {
    return {cache.data,
            cache.dtype,
            cache.shape[3],
            cache.shape[2],
            query_start.as<const int32_t>(),
            kv_lengths.as<const int32_t>(),
            page_table.as<const int32_t>(),
            page_table.shape[1],
            num_sequences.as<const int32_t>()};
  }
  // Where a position's row begins, in values.
  int64_t row_offset(int32_t sequence, int64_t position) const {
    const int64_t page = page_table[sequence * max_pages + position / page_size];
    return (page * page_size + position % page_size) * width;
  }
  int64_t num_rows(int32_t sequence) const { return query_start[sequence + 1] - query_start[sequence]; }
  // The position of the sequence's first row of this step.
  int64_t first_position(int32_t sequence) const { return kv_lengths[sequence] - num_rows(sequence); }
};

// A row's softmax so far.
struct MlaRowState {
  float maximum;
  float weight;  // sum of exp(score - maximum)
};

struct MlaExpandedWork {
  FloatRows query;
  FloatRows out;
  MlaCache cache;
  const float* kv_b;  // [heads · (nope + v), rank]
  bool quantizes;     // the latents, per group of 128
  int64_t heads;
  int64_t rank;
  int64_t nope;
  int64_t value_dim;
  float scale;
  MlaRowState* states;  // [tokens, heads]

  int64_t head_dim() const { return nope + cache.width - rank; }
};

struct MlaAbsorbedWork {
  FloatRows query;
  FloatRows out;
  MlaCache cache;
  int64_t heads;
  int64_t rank;
  float scale;
};

// Heads of one row that are computed together.
struct MlaHeads {
  static constexpr int64_t kMax = 16;

  int32_t sequence;
  int64_t row;  // of the sequence
  int64_t first, count;
};

}  // namespace musaic
