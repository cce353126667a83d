#pragma once

#include "ir/op.h"

// Predicates of kernels that take rows of any float type.
namespace musaic {

// The first argument is [rows, n] or [rows, m, n].
inline bool first_is_rows(const KernelQuery& query) {
  return query.inputs[0]->rank() == 2 || query.inputs[0]->rank() == 3;
}

// The first `count` arguments have one dtype.
inline bool have_one_dtype(const KernelQuery& query, int count) {
  for (int i = 1; i < count; ++i) {
    if (query.inputs[i]->dtype != query.inputs[0]->dtype) return false;
  }
  return true;
}

// The cache, argument `index`, is one that GPUs have kernels for.
inline bool has_wide_cache(const KernelQuery& query, int index) {
  return query.inputs[index]->dtype != DType::kF8E4M3;
}

inline bool is_binary_of_rows(const KernelQuery& query) {
  return first_is_rows(query) && have_one_dtype(query, 2);
}

}  // namespace musaic
