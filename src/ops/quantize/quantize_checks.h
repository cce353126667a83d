#pragma once

#include "ir/op.h"

namespace musaic {

// Outputs of an op that quantizes rows like musaic::quantize_q8. `input`, for messages, is the argument that
// decides the shape; `shape` is that of the rows.
std::vector<FakeOutput> fake_quantized_rows(const FakeCall& call, int input, const DimShape& shape);

}  // namespace musaic
