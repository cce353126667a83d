#pragma once

#include "ir/builder.h"

namespace musaic {

// musaic::rope_cos_sin. The rotations of rotary position embedding (Su et al. 2021), once a step for all
// layers.
//   positions  [tokens]  i32, up to 2^30
//   inv_freq   [r / 2]   f32, radians a position
//   result     [tokens, r]  f32: r/2 cosines, then r/2 sines, times attention_factor (YaRN's magnitude; 1:
//   none).
// Angles are reduced in double precision. Pad rows are neither read nor written.
Value rope_cos_sin(Value positions, Value inv_freq, double attention_factor = 1.0);

// musaic::rope_. Rotates the first r dimensions of every head in place; returns the new x.
//   x        [tokens, heads · head_dim]  f32 (a GPU: f16 and bf16 too), dense rows, may be a slice of a
//   merged
//            projection
//   cos_sin  [tokens, r]  f32 of rope_cos_sin, r ≤ head_dim
// Pairs are (i, i + r/2), or (2i, 2i + 1) when interleaved. Pad rows are neither read nor written.
Value rope_(Value x, Value cos_sin, int head_dim, bool interleaved = false);

void define_rope(OpRegistry& registry);
void add_rope_cpu(OpRegistry& registry);
void add_rope_gpu(OpRegistry& registry);

}  // namespace musaic
