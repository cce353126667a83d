#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/attributes.h"
#include "tensor/host_tensor.h"

namespace musaic {

// One tensor argument of a sample.
struct SampleInput {
  HostTensor tensor;  // undefined: absent optional
  // Dimension 0 counts the op's rows, of which the last may be pad rows: the check poisons those.
  bool has_rows = false;
  // A mutated argument whose old values do not matter: every value of its live rows is written.
  bool overwritten = false;
};

// What the contract, not the fake, says of one output.
struct SampleOutput {
  DType dtype = DType::kF32;
  Shape shape;
  Shape strides = {};  // rank 0: contiguous
  int64_t offset = 0;  // of a view, in values of its base
};

// One call of an op to check it with. The check itself varies the number of live rows, unless it is stated.
struct OpSample {
  std::string name;                   // what is special: "1 row", "gaps between rows"
  std::vector<SampleInput> inputs;    // schema order
  Attributes attributes = {};         // defaults may be left out
  std::vector<SampleOutput> outputs;  // schema order of the returns; none of mutated arguments
  // For ops whose data say themselves how many rows are live, as attention's do.
  std::optional<int32_t> live_rows = std::nullopt;
  // The contract leaves some values of live rows unwritten, such as entries beyond a count.
  bool partial = false;
};

}  // namespace musaic
