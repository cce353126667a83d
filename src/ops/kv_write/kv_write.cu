#include "gpu_launch.cuh"
#include "ops/kv_write/kv_write_gpu.h"
#include "ops/rope/rotate_gpu.cuh"

namespace musaic {
namespace {

// What the threads of one token do, in this order: rotate pairs of the query, rotate pairs of the key into
// the cache, copy the rest of the key, copy the value; N pairs or values each.
struct TokenParts {
  int query_pairs;
  int key_pairs;
  int key_copies;
  int value_copies;
  int pairs_a_head;
  int key_copies_a_head;
  int value_copies_a_head;
};

template <int N>
TokenParts parts_of(const KvWriteCall& call) {
  const bool rotates = call.query.data != nullptr;
  const int rotated = rotates ? static_cast<int>(call.cos_sin.width) : 0;
  const int head_dim = static_cast<int>(call.head_dim);
  const int heads = static_cast<int>(call.kv_heads);
  TokenParts parts = {};
  parts.pairs_a_head = rotated / 2 / N;
  parts.key_copies_a_head = (head_dim - rotated) / N;
  parts.value_copies_a_head = head_dim / N;
  parts.query_pairs = rotates ? static_cast<int>(call.query.width) / head_dim * parts.pairs_a_head : 0;
  parts.key_pairs = heads * parts.pairs_a_head;
  parts.key_copies = heads * parts.key_copies_a_head;
  parts.value_copies = heads * parts.value_copies_a_head;
  return parts;
}

// A head's row of a slot, in values from the start of a cache.
__device__ int64_t cache_offset(const KvWriteCall& call, int slot, int head) {
  const int page_size = static_cast<int>(call.page_size);
  const int64_t page = slot / page_size;
  return ((page * call.kv_heads + head) * page_size + slot % page_size) * call.head_dim;
}

template <class T, int N>
__device__ void rotate_query(const KvWriteCall& call, const TokenParts& parts, int64_t token, int part) {
  const int64_t half = call.cos_sin.width / 2;
  const int64_t first = part % parts.pairs_a_head * N;
  T* head = row_of<T>(call.query, token) + part / parts.pairs_a_head * call.head_dim;
  Pairs<N> pairs = load_pairs<T, N>(head, first, half, call.interleaved);
  rotate(pairs, row_of<const float>(call.cos_sin, token), first, half);
  store_pairs(pairs, head, first, half, call.interleaved);
}

// `row`: where the head's row of the cache begins.
template <class T, class C, int N>
__device__ void write_rotated_key(const KvWriteCall& call, const TokenParts& parts, int64_t token, int part,
                                  int64_t row) {
  const int64_t half = call.cos_sin.width / 2;
  const int64_t first = part % parts.pairs_a_head * N;
  const T* key = row_of<const T>(call.key, token) + part / parts.pairs_a_head * call.head_dim;
  Pairs<N> pairs = load_pairs<T, N>(key, first, half, call.interleaved);
  rotate(pairs, row_of<const float>(call.cos_sin, token), first, half);
#pragma unroll
  for (int i = 0; i < N; ++i) {  // rounded twice, as in two ops
    pairs.a[i] = to_float(from_float<T>(pairs.a[i]));
    pairs.b[i] = to_float(from_float<T>(pairs.b[i]));
  }
  store_pairs(pairs, static_cast<C*>(call.key_cache) + row, first, half, call.interleaved);
}

// Values `column` .. of a head.
template <class T, class C, int N>
__device__ void copy_values(const KvWriteCall& call, const DeviceRows& rows, void* cache, int64_t token,
                            int head, int64_t column, int64_t row) {
  float values[N];
  load_pack<T, N>(row_of<const T>(rows, token) + head * call.head_dim + column, N, true, values);
  store_pack<C, N>(values, static_cast<C*>(cache) + row + column, N, true);
}

// What a thread does for its token, by number of the part.
enum class Part { kQuery, kKey, kKeyRest, kValue, kNone };
struct TokenPart {
  Part kind;
  int index;  // among those of its kind
  int head;

  __device__ static TokenPart of(const TokenParts& parts, int index) {
    if (index < parts.query_pairs) return {Part::kQuery, index, 0};
    index -= parts.query_pairs;
    if (index < parts.key_pairs) return {Part::kKey, index, index / parts.pairs_a_head};
    index -= parts.key_pairs;
    if (index < parts.key_copies) return {Part::kKeyRest, index, index / parts.key_copies_a_head};
    index -= parts.key_copies;
    if (index < parts.value_copies) return {Part::kValue, index, index / parts.value_copies_a_head};
    return {Part::kNone, 0, 0};
  }
};

template <class T, class C, int N>
__global__ void write_tokens(KvWriteCall call, TokenParts parts, unsigned blocks_a_row) {
  const PackPlace place = my_pack(blocks_a_row);
  const int64_t token = place.row;
  const bool is_live = token < live_count(call.live_rows, call.key.outer);
  const TokenPart part = TokenPart::of(parts, static_cast<int>(place.pack));
  const bool is_cached = is_live && part.kind != Part::kQuery && part.kind != Part::kNone;
  const int64_t row = is_cached ? cache_offset(call, call.slots[token], part.head) : 0;
  wait_for_previous_kernel();
  if (!is_live) return;
  switch (part.kind) {
    case Part::kQuery:
      return rotate_query<T, N>(call, parts, token, part.index);
    case Part::kKey:
      return write_rotated_key<T, C, N>(call, parts, token, part.index, row);
    case Part::kKeyRest: {
      const int64_t rotated = call.query.data != nullptr ? call.cos_sin.width : 0;
      return copy_values<T, C, N>(call, call.key, call.key_cache, token, part.head,
                                  rotated + part.index % parts.key_copies_a_head * N, row);
    }
    case Part::kValue:
      return copy_values<T, C, N>(call, call.value, call.value_cache, token, part.head,
                                  part.index % parts.value_copies_a_head * N, row);
    case Part::kNone:
      return;
  }
}

template <class T, class C, int N>
void launch_tokens(const KvWriteCall& call, gpuStream_t stream) {
  const TokenParts parts = parts_of<N>(call);
  const RowGrid shape = RowGrid::of(
      call.key.outer, parts.query_pairs + parts.key_pairs + parts.key_copies + parts.value_copies);
  launch_kernel(write_tokens<T, C, N>, shape.grid, shape.block, stream, call, parts, shape.blocks_a_row);
}

// Whether everything can be moved kPairsAtOnce pairs or values at a time.
template <class T, class C>
bool moves_in_packs(const KvWriteCall& call) {
  constexpr int kWidth = 2 * kPairsAtOnce;
  return call.head_dim % kWidth == 0 && has_whole_packs<T, kPairsAtOnce>(call.value) &&
         is_aligned(call.key_cache, alignof(Pack<C, kWidth>)) &&
         is_aligned(call.value_cache, alignof(Pack<C, kWidth>)) &&
         rotates_in_packs<T>(call.key, call.cos_sin, call.head_dim, call.interleaved) &&
         rotates_in_packs<T>(call.query, call.cos_sin, call.head_dim, call.interleaved);
}

}  // namespace

void launch_kv_write(const KvWriteCall& call, gpuStream_t stream) {
  with_float_type(call.key.dtype, [&](auto* value) {
    with_float_type(call.cache_dtype, [&](auto* cached) {
      using T = std::remove_pointer_t<decltype(value)>;
      using C = std::remove_pointer_t<decltype(cached)>;
      if (moves_in_packs<T, C>(call)) {
        launch_tokens<T, C, kPairsAtOnce>(call, stream);
      } else {
        launch_tokens<T, C, 1>(call, stream);
      }
    });
  });
}

}  // namespace musaic
