#include "ops/linear/linear_tile_many.cuh"
#include "ops/linear/linear_tile_once.cuh"

namespace musaic {
namespace {

// Blocks that fill a large device.
constexpr int64_t kAllBlocks = 264;
constexpr int64_t kEnoughBlocks = 72;
constexpr int64_t kTallWeight = 8192;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

bool has_aligned_x(const LinearTileCall& call) {
  return is_aligned(call.linear.x.data, 16) && call.linear.x.outer_stride % 4 == 0;
}

// Whether linear_few_once makes the call.
template <class Shape>
bool is_made_at_once(const LinearTileCall& call, const Segments& segments, int64_t tiles) {
  const int64_t values = Shape::kSquares / (call.swiglu ? 2 : 1) * Shape::kRows * kSquare;  // of a tile
  return tiles <= kAllBlocks && values <= 32 * segments.count && segments.length <= Shape::kDepth &&
         has_aligned_x(call);
}

template <int kOctets, int kSquares, int kDepth, bool kNorm, int kParts>
void launch_few(const LinearTileCall& call, gpuStream_t stream) {
  using Shape = FewShape<kOctets, kSquares, kDepth, kNorm, kParts>;
  const Segments segments = Segments::of(call.linear.x.width);
  const int64_t tiles = ceil_div(weight_rows_of(call), kSquares * kSquare);
  const dim3 grid(static_cast<unsigned>(tiles < 2 * kAllBlocks ? tiles : kAllBlocks),
                  static_cast<unsigned>(ceil_div(call.linear.x.outer, Shape::kRows)));
  const dim3 block(static_cast<unsigned>(32 * segments.count));
  if constexpr (kParts == 1) {
    if (is_made_at_once<Shape>(call, segments, tiles))
      return launch_kernel(linear_few_once<Shape>, grid, block, stream, call, segments);
  }
  launch_kernel(linear_few_tile<Shape>, grid, block, stream, call, segments, static_cast<int>(tiles),
                has_aligned_x(call));
}

// A long sum has sixteen segments of three chunks or more, a short one at most nine of two.
template <int kOctets, int kSquares, bool kNorm, int kParts>
void launch_few_depth(const LinearTileCall& call, gpuStream_t stream) {
  const Segments segments = Segments::of(call.linear.x.width);
  if (segments.count <= 9) return launch_few<kOctets, kSquares, 2, kNorm, kParts>(call, stream);
  launch_few<kOctets, kSquares, 3, kNorm, kParts>(call, stream);
}

template <int kOctets, bool kNorm, int kParts>
void launch_few_rows(const LinearTileCall& call, gpuStream_t stream) {
  if (call.swiglu || weight_rows_of(call) >= kTallWeight)
    return launch_few_depth<kOctets, 2, kNorm, kParts>(call, stream);
  launch_few_depth<kOctets, 1, kNorm, kParts>(call, stream);
}

template <class Shape>
int64_t num_blocks(const LinearTileCall& call) {
  return ceil_div(weight_rows_of(call), Shape::kWeightRows) * ceil_div(call.linear.x.outer, Shape::kRows);
}

template <class Shape, bool kNorm>
void launch_many(const LinearTileCall& call, gpuStream_t stream) {
  const dim3 grid(static_cast<unsigned>(ceil_div(weight_rows_of(call), Shape::kWeightRows)),
                  static_cast<unsigned>(ceil_div(call.linear.x.outer, Shape::kRows)));
  launch_kernel_with_shared(linear_many_tile<Shape, kNorm>, grid, dim3(Shape::kThreads),
                            Shape::kStages * sizeof(ManyStage<Shape>), stream, call,
                            Segments::of(call.linear.x.width));
}

template <bool kNorm, int kParts>
void launch_many_rows(const LinearTileCall& call, gpuStream_t stream) {
  using Tall = ManyShape<4, 2, 2, 4, 5, kParts>;   // 128 × 64
  using Large = ManyShape<2, 2, 4, 2, 6, kParts>;  // 128 × 32
  using Small = ManyShape<2, 1, 2, 4, 8, kParts>;  // 64 × 32
  const int64_t rows = call.linear.x.outer;
  const bool is_read_once = rows > Large::kRows && rows <= Tall::kRows;  // by the taller tiles alone
  if (is_read_once && weight_rows_of(call) >= kTallWeight) return launch_many<Tall, kNorm>(call, stream);
  if (num_blocks<Large>(call) >= kEnoughBlocks) return launch_many<Large, kNorm>(call, stream);
  launch_many<Small, kNorm>(call, stream);
}

template <bool kNorm, int kParts>
void launch(const LinearTileCall& call, gpuStream_t stream) {
  constexpr int64_t kFewRows = 64;  // of them, sixteen at a time read a weight that is not tall faster
  const int64_t rows = call.linear.x.outer;
  if (rows <= kOctet) return launch_few_rows<1, kNorm, kParts>(call, stream);
  const bool are_few = rows <= 2 * kOctet || (rows <= kFewRows && weight_rows_of(call) < kTallWeight);
  // Copies of 16 bytes at once need aligned rows.
  if (are_few || !has_aligned_x(call)) return launch_few_rows<2, kNorm, kParts>(call, stream);
  launch_many_rows<kNorm, kParts>(call, stream);
}

}  // namespace

void launch_linear_tile(const LinearTileCall& call, gpuStream_t stream) {
  with_parts(call, [&](auto parts) {
    if (call.norm_weight != nullptr) return launch<true, decltype(parts)::value>(call, stream);
    launch<false, decltype(parts)::value>(call, stream);
  });
}

}  // namespace musaic
