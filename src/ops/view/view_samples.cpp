#include "ops/op_samples.h"

namespace musaic {
namespace {

HostTensor values(const Shape& shape, int64_t row_stride = 0) {
  return HostTensor::random(DType::kF32, shape, 1, 1, row_stride);
}

OpSample slice_sample(const char* name, int64_t dim, int64_t start, int64_t end, SampleInput x,
                      const SampleOutput& output) {
  return {.name = name,
          .inputs = {std::move(x)},
          .attributes = {{"dim", dim}, {"start", start}, {"end", end}},
          .outputs = {output}};
}

}  // namespace

std::vector<OpSample> slice_samples() {
  const auto rows = [](int64_t count) { return sample_rows_of(values({count, 12})); };
  return {
      slice_sample("columns 4 to 7", 1, 4, 7, rows(5), {DType::kF32, {5, 3}, {12, 1}, 4}),
      slice_sample("all columns", 1, 0, 12, rows(1), {DType::kF32, {1, 12}, {12, 1}, 0}),
      slice_sample("no column", 1, 12, 12, rows(2), {DType::kF32, {2, 0}, {12, 1}, 12}),
      slice_sample("no rows", 1, 2, 3, rows(0), {DType::kF32, {0, 1}, {12, 1}, 2}),
      slice_sample("columns of rows with gaps", 1, 3, 9, sample_rows_of(values({4, 12}, 17)),
                   {DType::kF32, {4, 6}, {17, 1}, 3}),
      slice_sample("rows 1 to 3", 0, 1, 3, sample_fixed(values({5, 12})),
                   {DType::kF32, {2, 12}, {12, 1}, 12}),
      slice_sample("heads", 1, 1, 3, sample_rows_of(values({2, 4, 6})),
                   {DType::kF32, {2, 2, 6}, {24, 6, 1}, 6}),
      slice_sample("integers", 0, 2, 5, sample_fixed(HostTensor::random_ints(DType::kI32, {8}, 1, 0, 9)),
                   {DType::kI32, {3}, {1}, 2}),
  };
}

std::vector<OpSample> unflatten_samples() {
  std::vector<OpSample> samples;
  for (int64_t rows : kSampleRows) {
    samples.push_back({.name = "heads of dense rows",
                       .inputs = {sample_rows_of(values({rows, 12}))},
                       .attributes = {{"inner", int64_t{4}}},
                       .outputs = {{DType::kF32, {rows, 3, 4}, {12, 4, 1}}}});
  }
  samples.push_back({.name = "heads of rows with gaps",
                     .inputs = {sample_rows_of(values({3, 12}, 20))},
                     .attributes = {{"inner", int64_t{12}}},
                     .outputs = {{DType::kF32, {3, 1, 12}, {20, 12, 1}}}});
  return samples;
}

std::vector<OpSample> flatten_samples() {
  std::vector<OpSample> samples;
  for (int64_t rows : kSampleRows) {
    samples.push_back({.name = "heads side by side",
                       .inputs = {sample_rows_of(values({rows, 3, 4}))},
                       .outputs = {{DType::kF32, {rows, 12}, {12, 1}}}});
  }
  samples.push_back({.name = "rows with gaps",
                     .inputs = {sample_rows_of(values({3, 2, 5}, 16))},
                     .outputs = {{DType::kF32, {3, 10}, {16, 1}}}});
  return samples;
}

}  // namespace musaic
