#pragma once

#include <utility>

#include "ir/builder.h"

namespace musaic {

// musaic::kv_write. Stores this step's keys and values in the paged cache; returns the new {key_cache,
// value_cache}.
//   key, value              [tokens, kv_heads · head_dim]  f32 (a GPU: f16 and bf16 too), dense rows
//   slots                   [tokens]  i32, page · page_size + offset; no two real rows share one
//   key_cache, value_cache  [pages, kv_heads, page_size, head_dim]  f32, f16, bf16 or (on a CPU) f8e4m3,
//   contiguous
// Rounds to nearest even; f8e4m3 saturates at ±448. Pad rows are neither read nor stored.
std::pair<Value, Value> kv_write(Value key, Value value, Value slots, Value key_cache, Value value_cache);

struct RopeKvWriteArguments {
  Value query;  // [tokens, heads · head_dim]
  Value key;    // [tokens, kv_heads · head_dim]
  Value value;  // [tokens, kv_heads · head_dim]
  Value cos_sin;
  Value slots;
  Value key_cache;
  Value value_cache;
  int head_dim = 0;
  bool interleaved = false;
};

struct RopeKvWriteResults {
  Value query;
  Value key_cache;
  Value value_cache;
};

// musaic::rope_kv_write: musaic::rope_ of the query in place, and kv_write of the rotated key and the value,
// in one pass; shapes as there. The key itself stays as it was (its decomposition rotates it in place).
RopeKvWriteResults rope_kv_write(const RopeKvWriteArguments& arguments);

void define_kv_write(OpRegistry& registry);
void add_kv_write_cpu(OpRegistry& registry);
void add_kv_write_gpu(OpRegistry& registry);

}  // namespace musaic
