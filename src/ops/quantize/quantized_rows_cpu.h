#pragma once

#include <cstdint>
#include <span>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "ir/op.h"
#include "ops/quantize/quantize.h"
#include "tensor/tensor.h"

namespace musaic {

inline constexpr int64_t kQuantizedBlock = QuantizedRows::kBlock;

// Where a kernel writes quantized rows: the three contiguous outputs of musaic::quantize_q8. Trivially
// copyable.
struct QuantizedRowsOut {
  int8_t* q;
  float* scale;
  float* sums;
  int64_t blocks;  // of one row

  // REQUIRES: outputs as quantize_q8 has them.
  static QuantizedRowsOut of(std::span<const Tensor> outputs) {
    return {outputs[0].as<int8_t>(), outputs[1].as<float>(), outputs[2].as<float>(), outputs[1].shape[1]};
  }
};

// Launches compute(x, out, range) over the blocks of the live rows: one long row still feeds all workers.
template <class Compute>
void launch_blocks(const KernelCall& call, const Compute& compute) {
  const FloatRows x = FloatRows::of(call.inputs[0]);
  const QuantizedRowsOut out = QuantizedRowsOut::of(call.outputs);
  const int32_t* live_rows = call.live_rows;
  cpu_stream(call.stream).launch([=](const Worker& worker) {
    const int64_t rows = live_count(live_rows, x.outer);
    compute(x, out, share_of(worker, rows * out.blocks));
  });
}

}  // namespace musaic
