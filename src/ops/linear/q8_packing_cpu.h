#pragma once

#include "ir/op.h"

namespace musaic {

// The packing into panels (q8_panel.h) of linear_q8's weight. REQUIRES: the type has panels.
WeightPacking q8_packing(DType dtype);

}  // namespace musaic
