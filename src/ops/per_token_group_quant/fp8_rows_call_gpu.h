#pragma once

#include "ir/op.h"
#include "ops/per_token_group_quant/fp8_rows_gpu.h"

namespace musaic {

// Of an op whose results are q and its scales.
inline Fp8RowsOut fp8_rows_out(const KernelCall& call) {
  return {.q = call.outputs[0].as<uint8_t>(),
          .scale = call.outputs[1].as<float>(),
          .width = call.outputs[0].shape[1]};
}

}  // namespace musaic
