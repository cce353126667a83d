#include <algorithm>

#include "base/status.h"
#include "plugin/abi_dtype.h"
#include "plugin/context.h"
#include "plugin/host_functions.h"

namespace musaic {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 26;  // of one tensor: a check runs every sample many times
constexpr uint32_t kKnownFlags = MUSAIC_SAMPLE_HAS_ROWS | MUSAIC_SAMPLE_OVERWRITTEN;

DType read_dtype(MusaicDType dtype) {
  const auto found = from_abi(dtype);
  if (!found) fail_load("there is no dtype {}", dtype);
  return *found;
}

Shape read_shape(const int64_t* dims, int32_t rank) {
  if (rank < 0 || rank > MUSAIC_MAX_RANK)
    fail_load("its rank is {}, expected 0 to {}", rank, MUSAIC_MAX_RANK);
  const Shape shape(std::span<const int64_t>(dims, static_cast<size_t>(rank)));
  int64_t elements = 1;
  for (int64_t dim : shape) {
    if (dim < 0 || dim > kMaxElements) fail_load("its shape is {}", to_string(shape));
    elements *= std::max<int64_t>(dim, 1);
    if (elements > kMaxElements) fail_load("its shape {} is larger than {}", to_string(shape), kMaxElements);
  }
  return shape;
}

bool is_float_or_quantized(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF8E4M3 ||
         is_block_quantized(dtype);
}

void check_storage(const MusaicSampleInput& input, DType dtype, const Shape& shape) {
  if (is_block_quantized(dtype) &&
      (shape.rank() == 0 || shape[-1] % dtype_info(dtype).block_elements != 0 || input.row_stride != 0))
    fail_load("{} of shape {} is no whole number of blocks without gaps", name(dtype), to_string(shape));
  if (input.row_stride == 0) return;
  const int64_t width = shape.rank() == 0 ? 0 : shape.contiguous_strides()[0];
  if (shape.rank() == 0 || input.row_stride < width || input.row_stride > kMaxElements ||
      shape[0] * input.row_stride > kMaxElements)
    fail_load("its row stride is {}, its rows have {} values", input.row_stride, width);
}

HostTensor random_tensor(const MusaicSampleInput& input, DType dtype, const Shape& shape, uint32_t seed) {
  if (is_float_or_quantized(dtype)) {
    if (!(input.high >= 0.0) || input.low != -input.high)
      fail_load("random {} from {} to {}, expected from -high to high", name(dtype), input.low, input.high);
    return HostTensor::random(dtype, shape, seed, static_cast<float>(input.high), input.row_stride);
  }
  constexpr double kLargest = 9e15;  // whole numbers up to here are exact
  if (!(input.low <= input.high) || input.low < -kLargest || input.high > kLargest)
    fail_load("random {} from {} to {}", name(dtype), input.low, input.high);
  return HostTensor::random_ints(dtype, shape, seed, static_cast<int64_t>(input.low),
                                 static_cast<int64_t>(input.high), input.row_stride);
}

SampleInput read_input(const MusaicSampleInput& input, uint32_t seed) {
  if (input.contents == MUSAIC_SAMPLE_ABSENT) return {};
  if ((input.flags & ~kKnownFlags) != 0) fail_load("unknown flags {:#x}", input.flags & ~kKnownFlags);
  const DType dtype = read_dtype(input.dtype);
  const Shape shape = read_shape(input.shape, input.rank);
  check_storage(input, dtype, shape);
  SampleInput out{.has_rows = (input.flags & MUSAIC_SAMPLE_HAS_ROWS) != 0,
                  .overwritten = (input.flags & MUSAIC_SAMPLE_OVERWRITTEN) != 0};
  if (out.has_rows && shape.rank() == 0) fail_load("a tensor of rank 0 has no rows");
  if (input.contents == MUSAIC_SAMPLE_RANDOM) {
    out.tensor = random_tensor(input, dtype, shape, seed);
  } else if (input.contents == MUSAIC_SAMPLE_VALUES) {
    if (input.values == nullptr || input.row_stride != 0) fail_load("expected values without gaps");
    out.tensor = HostTensor::raw(
        dtype, shape, {static_cast<const std::byte*>(input.values), byte_size(dtype, shape.elements())});
  } else {
    fail_load("there are no contents {}", input.contents);
  }
  return out;
}

SampleOutput read_output(const MusaicSampleOutput& output) {
  SampleOutput out{.dtype = read_dtype(output.dtype), .shape = read_shape(output.shape, output.rank)};
  const auto* end = output.strides + output.rank;
  if (std::any_of(output.strides, end, [](int64_t stride) { return stride != 0; }))
    out.strides = Shape(std::span<const int64_t>(output.strides, end));
  out.offset = output.offset;
  return out;
}

Attribute read_attribute(const MusaicAttribute& attribute) {
  switch (attribute.type) {
    case MUSAIC_ATTRIBUTE_INT:
      return attribute.whole_number;
    case MUSAIC_ATTRIBUTE_FLOAT:
      return attribute.number;
    case MUSAIC_ATTRIBUTE_BOOL:
      return attribute.whole_number != 0;
    case MUSAIC_ATTRIBUTE_STRING:
      return std::string(attribute.string == nullptr ? "" : attribute.string);
    case MUSAIC_ATTRIBUTE_INT_LIST:
      return std::vector<int64_t>(attribute.list, attribute.list + attribute.list_length);
    default:
      fail_load("there is no attribute type {}", attribute.type);
  }
}

// Runs `read`; what it throws begins with `what`.
template <class Read>
auto read_part(const std::string& what, const Read& read) {
  try {
    return read();
  } catch (const LoadError& error) {
    fail_load("{}: {}", what, error.what());
  }
}

OpSample read_sample(const MusaicSample& sample, const Schema& schema, uint32_t seed) {
  if (sample.num_inputs != schema.num_tensors() ||
      sample.num_outputs != static_cast<int32_t>(schema.returns.size())) {
    fail_load("{} inputs and {} outputs, the schema has {} and {}", sample.num_inputs, sample.num_outputs,
              schema.num_tensors(), schema.returns.size());
  }
  const bool whole = (sample.num_inputs == 0 || sample.inputs != nullptr) &&
                     (sample.num_outputs == 0 || sample.outputs != nullptr) &&
                     (sample.num_attributes == 0 || sample.attributes != nullptr);
  if (!whole) fail_load("inputs, outputs or attributes are NULL");
  OpSample out{.name = sample.name};
  const auto tensors = schema.tensors();
  for (int32_t i = 0; i < sample.num_inputs; ++i) {
    out.inputs.push_back(read_part(tensors[static_cast<size_t>(i)]->name, [&] {
      return read_input(sample.inputs[i], seed + static_cast<uint32_t>(i));
    }));
  }
  for (int32_t i = 0; i < sample.num_outputs; ++i)
    out.outputs.push_back(
        read_part(fmt::format("output {}", i), [&] { return read_output(sample.outputs[i]); }));
  for (int32_t i = 0; i < sample.num_attributes; ++i) {
    const MusaicAttribute& attribute = sample.attributes[i];
    if (attribute.name == nullptr) fail_load("attribute {} has no name", i);
    out.attributes.set(attribute.name, read_part(attribute.name, [&] { return read_attribute(attribute); }));
  }
  return out;
}

MusaicStatus add_sample(MusaicContext* context, const MusaicSample* sample) {
  if (context->samples == nullptr) return context->fail("add_sample: only the samples function may call it");
  if (sample == nullptr || sample->name == nullptr) return context->fail("add_sample: without a name");
  constexpr uint32_t kSeedsOfOneSample = 64;  // more than an op has arguments
  const auto seed = static_cast<uint32_t>(context->samples->size()) * kSeedsOfOneSample + 1;
  try {
    context->samples->push_back(read_sample(*sample, *context->schema, seed));
    return MUSAIC_OK;
  } catch (const LoadError& error) {
    return context->fail(fmt::format("sample '{}': {}", sample->name, error.what()));
  }
}

}  // namespace

void add_sample_functions(MusaicHost& host) {
  host.add_sample = add_sample;
}

}  // namespace musaic
