/* The arithmetic of the example's kernels, on rows of floats. */
#pragma once

#include <float.h>
#include <musaic/plugin.h>

typedef struct FloatRows {
  float* data;
  int64_t rows;
  int64_t width;
  int64_t stride; /* from row to row, in values */
} FloatRows;

static inline FloatRows rows_of(const MusaicTensor* tensor) {
  FloatRows rows;
  rows.data = (float*)tensor->data;
  rows.rows = tensor->shape[0];
  rows.width = tensor->shape[1];
  rows.stride = tensor->strides[0];
  return rows;
}

/* sum = x + scale * y, for rows begin .. end - 1. */
static inline void scaled_add_rows(const FloatRows* x, const FloatRows* y, float scale, const FloatRows* sum,
                                   int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t i = 0; i < x->width; ++i) {
      sum->data[row * sum->stride + i] = x->data[row * x->stride + i] + scale * y->data[row * y->stride + i];
    }
  }
}

/* x into [low, high], for rows begin .. end - 1. */
static inline void clamp_rows(const FloatRows* x, float low, float high, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t i = 0; i < x->width; ++i) {
      float* value = &x->data[row * x->stride + i];
      if (*value < low) *value = low;
      if (*value > high) *value = high;
    }
  }
}
