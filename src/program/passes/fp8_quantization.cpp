#include "program/passes/fp8_quantization.h"

namespace musaic {

bool is_plain_fp8_quantization(const Graph& graph, const Node& node) {
  enum { kX, kQ, kScale, kMaskedM };
  if (node.op != "sgl_kernel::sgl_per_token_group_quant_8bit_v2") return false;
  const Attributes& attributes = node.attributes;
  const auto is_fresh = [&](ValueId id) {
    const GraphValue& value = graph.values[id];
    return value.node >= 0 && graph.nodes[value.node].op == "musaic::empty_rows" &&
           value.meta.is_contiguous();
  };
  return graph.values[node.inputs[kQ]].meta.dtype == DType::kF8E4M3 &&
         graph.values[node.inputs[kScale]].meta.dtype == DType::kF32 && is_fresh(node.inputs[kQ]) &&
         is_fresh(node.inputs[kScale]) && node.inputs[kMaskedM] == kNoValue &&
         attributes.get_int("group_size") == 128 && attributes.get_float("eps") == 1e-10 &&
         attributes.get_float("fp8_min") == -448.0 && attributes.get_float("fp8_max") == 448.0 &&
         !attributes.get_bool("scale_ue8m0") && !attributes.get_bool("fuse_silu_and_mul");
}

}  // namespace musaic
