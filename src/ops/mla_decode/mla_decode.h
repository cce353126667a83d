#pragma once

#include "ops/latent_write/latent_write.h"
#include "ops/linear_fp8/linear_fp8.h"
#include "ops/mla_attention/mla_attention.h"

namespace musaic {

class OpRegistry;

namespace mla_decode {
enum Input {  // of the op, in the schema's order
  kQuery,
  kLatent,
  kRopeKey,
  kCosSin,
  kSlots,
  kCache,
  kNormWeight,
  kQueryStart,
  kKvLengths,
  kPageTable,
  kNumSequences,
  kKvB,
  kKvBScale
};
}  // namespace mla_decode

struct MlaDecodeArguments {
  RopeLatentWriteArguments write;  // latent: not yet normed
  Value norm_weight;               // [rank]  f32, f16 or bf16
  double eps = 0;
  Value query_start;    // [tokens + 1]
  Value kv_lengths;     // [tokens]
  Value page_table;     // [tokens, max_pages]
  Value num_sequences;  // [1]
  Value kv_b;           // [heads · (nope + v), rank]
  Value kv_b_scale;     // absent where kv_b is not in FP8
  int num_heads = 0;
  double scale = 0;  // of the scores before the softmax
  int v_head_dim = 0;
};

struct MlaDecodeResults {
  Fp8Rows rows;  // [tokens, heads · v]
  Value cache;
};

// musaic::mla_decode_attention_fp8, defined where GPU kernels are: musaic::norm_latent_write, the query
// through musaic::mla_absorb_query, and musaic::mla_absorbed_values_fp8 over what is cached then, for steps
// whose sequences have one row each (row s is sequence s). The query stays as it was (the decomposition
// rotates it in place). Everything but query, latent, rope_key and cos_sin
// was written before the step. A row's bits may also depend on how many rows its step has.
MlaDecodeResults mla_decode_attention_fp8(const MlaDecodeArguments& arguments);

void define_mla_decode(OpRegistry& registry);
void add_mla_decode_sm90(OpRegistry& registry);

}  // namespace musaic
