#include "backends/gpu/weight_packet.cuh"
#include "gpu_launch.cuh"
#include "ops/embedding/embedding_gpu.h"

namespace musaic {
namespace {

constexpr int kThreads = 128;

// A block a token. kWhole: rows are whole packets at aligned addresses, else a float type.
template <DType kType, bool kWhole>
__global__ void __launch_bounds__(kThreads) embed_rows(EmbeddingCall call) {
  wait_for_previous_kernel();
  const int64_t token = blockIdx.x;
  if (token >= live_count(call.live_rows, call.y.outer)) return;
  const int64_t index = call.indices[token];
  if (index < 0 || index >= call.vocab) stop_device();
  const uint8_t* row = call.weight + index * call.row_bytes;
  float* y = row_of<float>(call.y, token);
  const int64_t width = call.y.width;
  for (int packet = threadIdx.x; static_cast<int64_t>(packet) * kPacket < width; packet += kThreads) {
    float values[kPacket];
    if constexpr (kWhole) {
      WeightPacket<kType> weight;
      weight.load(row, packet);
      weight.values(packet, values);
      float4* out = reinterpret_cast<float4*>(y) + 2 * packet;
      out[0] = make_float4(values[0], values[1], values[2], values[3]);
      out[1] = make_float4(values[4], values[5], values[6], values[7]);
    } else {
      load_part<kType>(row, packet, width, values);
      const int64_t first = static_cast<int64_t>(packet) * kPacket;
      for (int i = 0; i < kPacket; ++i)
        if (first + i < width) y[first + i] = values[i];
    }
  }
}

}  // namespace

void launch_embedding(const EmbeddingCall& call, gpuStream_t stream) {
  const unsigned blocks = static_cast<unsigned>(call.y.outer);
  with_weight_type(call.weight_dtype, [&](auto weight) {
    constexpr DType kType = decltype(weight)::value;
    if constexpr (kIsFloatType<kType>) {
      if (call.y.width % kPacket != 0)
        return launch_kernel(embed_rows<kType, false>, blocks, kThreads, stream, call);
    }
    launch_kernel(embed_rows<kType, true>, blocks, kThreads, stream, call);
  });
}

}  // namespace musaic
