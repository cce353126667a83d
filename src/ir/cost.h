#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ir/attributes.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace musaic {

struct OpDef;

// A tensor argument or output with every dimension bound.
struct CostTensor {
  bool present = false;  // false: an absent optional
  DType dtype = DType::kF32;
  Shape shape;

  double elements() const { return present ? static_cast<double>(shape.elements()) : 0.0; }
};

// How far the sequences of a step have come, for ops that read the past.
struct StepExtent {
  int64_t sequences = 1;  // live ones; each brings as many of the step's tokens as every other
  int64_t past = 0;       // positions of each that were in the cache before the step
};

// One call as it is costed.
struct CostQuery {
  std::span<const CostTensor> inputs;  // schema order
  std::span<const CostTensor> outputs;
  const Attributes& attributes;
  StepExtent extent;

  double elements(int input) const { return inputs[input].elements(); }
  int64_t dim(int input, int axis) const { return inputs[input].shape[axis]; }
};

// What one call does at least, whichever kernel runs it. Traffic is counted in values of the argument.
struct CallCost {
  double float_ops = 0.0;  // a multiply-add is two
  double int8_ops = 0.0;
  std::vector<double> read;     // by tensor argument
  std::vector<double> written;  // by tensor argument: what a mutation writes
};

// Corrects what holds for a plain call: every argument is read whole, every mutated one written whole, and
// each value written costs one operation.
using CostFunction = void (*)(const CostQuery& query, CallCost& cost);

// REQUIRES: inputs and outputs match the schema.
CallCost cost_of_call(const OpDef& op, const CostQuery& query);

}  // namespace musaic
