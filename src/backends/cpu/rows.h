#pragma once

#include <algorithm>
#include <cstdint>

#include "backends/cpu/thread_pool.h"
#include "tensor/tensor.h"

namespace musaic {

// Dense rows of T at one or two levels of strides: a tensor [rows, n] or [rows, m, n], whose rows are its
// rows · m vectors. Trivially copyable.
template <class T>
struct DenseRows {
  T* data = nullptr;
  int64_t outer = 0;  // leading dimension: what live_rows counts
  int64_t inner = 1;
  int64_t outer_stride = 0;
  int64_t inner_stride = 0;
  int64_t width = 0;

  // REQUIRES: values of T, rank 2 or 3, dense last dimension.
  static DenseRows of(const Tensor& tensor) {
    const bool nested = tensor.shape.rank() == 3;
    return {tensor.as<T>(),
            tensor.shape[0],
            nested ? tensor.shape[1] : 1,
            tensor.strides[0],
            nested ? tensor.strides[1] : 0,
            tensor.shape[-1]};
  }
  T* row(int64_t index) const {
    if (inner == 1) return data + index * outer_stride;
    return data + index / inner * outer_stride + index % inner * inner_stride;
  }
};

using FloatRows = DenseRows<float>;

// How many leading rows are real. Read when the work runs.
inline int64_t live_count(const int32_t* live_rows, int64_t rows) {
  return live_rows == nullptr ? rows : std::min<int64_t>(*live_rows, rows);
}

struct IndexRange {
  int64_t begin;
  int64_t end;
};

// The worker's contiguous part of 0 .. count - 1.
inline IndexRange share_of(const Worker& worker, int64_t count) {
  return {count * worker.index / worker.count, count * (worker.index + 1) / worker.count};
}

// The `task`-th of contiguous ranges that cover 0 .. count - 1 and get shorter, for worker.next_chunk(): long
// streams at first, small pieces at the end to even out. Empty when all is given out.
inline IndexRange guided_range(int64_t task, int64_t count, int64_t workers) {
  for (int64_t begin = 0; begin < count; task -= workers) {
    const int64_t length = std::max<int64_t>(1, (count - begin) * 3 / (4 * workers));
    if (task < workers)
      return {std::min(begin + task * length, count), std::min(begin + (task + 1) * length, count)};
    begin += workers * length;
  }
  return {count, count};
}

}  // namespace musaic
