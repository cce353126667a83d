#include "ops/attention/attention_sm90.h"

#include <numeric>

#include "gpu_launch.cuh"
#include "ops/attention/attention_sm90.cuh"

namespace musaic {
namespace {

// At least as many tiles as the step can have.
int64_t max_sm90_tiles(const AttentionCall& call, int rows) {
  const int64_t of_one_token = (call.group_size + rows - 1) / rows;
  const int64_t if_each_is_alone = call.tokens * of_one_token;
  const int64_t if_each_ends_a_tile = call.tokens * call.group_size / rows + call.sequences;
  return if_each_is_alone < if_each_ends_a_tile ? if_each_is_alone : if_each_ends_a_tile;
}

// False: the driver cannot map the cache.
bool map_cache(const AttentionCall& call, KvMaps& maps) {
  maps.positions = std::gcd(call.page_size, kBlockPositions);
  const auto map = [&](TensorMap& to, const uint8_t* pages) {
    return map_byte_rows(to, pages, 1, call.num_pages * call.kv_heads * call.page_size, call.head_dim * 2,
                         static_cast<unsigned>(maps.positions));
  };
  return map(maps.keys, call.key_cache) && map(maps.values, call.value_cache);
}

template <class Shape>
void launch_shape(const AttentionCall& call, const KvMaps& maps, gpuStream_t stream) {
  static const int multiprocessors = num_multiprocessors();
  const auto blocks = static_cast<unsigned>(max_sm90_tiles(call, kTileRows) * call.kv_heads);
  launch_kernel_with_shared(attend_sm90<Shape>, dim3(blocks), dim3(Shape::kThreads),
                            sizeof(Sm90Memory<Shape>), stream, maps, call, multiprocessors);
}

}  // namespace

bool launch_attention_sm90(const AttentionCall& call, gpuStream_t stream) {
  constexpr int64_t kMostPositions = 8192;  // that a block of threads goes through where few share the work
  const bool is_long = call.max_pages * call.page_size > kMostPositions;
  KvMaps maps;
  if ((is_long && call.tokens <= kMaxSplitTokens) || !map_cache(call, maps)) return false;
  if (call.head_dim == 128) {
    launch_shape<Sm90Shape<128, 1>>(call, maps, stream);
  } else {
    launch_shape<Sm90Shape<64, 2>>(call, maps, stream);
  }
  return true;
}

}  // namespace musaic
