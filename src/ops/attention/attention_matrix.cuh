#pragma once

#include "gpu_narrow_matrix.cuh"
#include "ops/attention/attention_matrix_gpu.h"
#include "ops/attention/attention_tile.cuh"

// One stripe of a tile of query rows by a warp. Lane 4 · g + t has row g, of sixteen rows also g + 8. A
// score's sum runs over chunks of 32 dimensions of which the lane has 8t .. 8t + 7, of keys at positions 8i +
// g of a block; a value's sum over positions 8i + 2t and the next one, of which it has dimensions 8g .. 8g
// + 7. Each part of a float32 factor has a sum of its own; they are added up last.
namespace musaic {

inline constexpr int kMatrixDim = 64;
inline constexpr int kMatrixChunks = kMatrixDim / 32;
inline constexpr int kMatrixColumns = kMatrixDim / 8;  // of eight sums
inline constexpr int kMatrixStripes = 8;
inline constexpr int kMatrixBlock = 16;  // positions
inline constexpr int kMatrixGroups = kMatrixBlock / 8;

// Factors of 16 bits: the parts of a float32 value that meet a cache of each type.
template <DType kType>
struct MatrixFactor;
template <>
struct MatrixFactor<DType::kF16> {
  using Product = F16Product;
  using Type = __half;
  static constexpr int kParts = 2;
  static __device__ uint32_t pack(float a, float b) {
    const __half2 pair = __floats2half2_rn(a, b);
    return static_cast<uint32_t>(__half_as_ushort(__low2half(pair))) |
           static_cast<uint32_t>(__half_as_ushort(__high2half(pair))) << 16;
  }
  static __device__ float low(uint32_t word) { return half_value(word & 0xFFFFu); }
  static __device__ float high(uint32_t word) { return half_value(word >> 16); }
};
template <>
struct MatrixFactor<DType::kBF16> {
  using Product = Bf16Product;
  using Type = gpuBfloat16;
  static constexpr int kParts = 1;
  static __device__ uint32_t pack(float a, float b) { return bf16_pair(a, b); }
  static __device__ float low(uint32_t word) { return __uint_as_float(word << 16); }
  static __device__ float high(uint32_t word) { return __uint_as_float(word & 0xFFFF0000u); }
};

// Two neighbours as parts, the largest first.
template <class Factor>
__device__ inline void split_pair(float a, float b, uint32_t (&parts)[Factor::kParts]) {
#pragma unroll
  for (int part = 0; part < Factor::kParts; ++part) {
    parts[part] = Factor::pack(a, b);
    a -= Factor::low(parts[part]);
    b -= Factor::high(parts[part]);
  }
}

// kRows 8: the rows of a product are a query's rows and, eight further down, their second parts.
template <DType kType, int kRows_>
struct MatrixShape {
  using Factor = MatrixFactor<kType>;
  static constexpr int kRows = kRows_;
  static constexpr int kRowsOfLane = kRows / 8;
  static constexpr int kWarps = kRows == 8 ? 8 : 4;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kProducts = kRows == 8 ? (Factor::kParts + 1) / 2 : Factor::kParts;
};

// Two neighbouring pairs of a left factor: [row][part][pair].
template <class Shape>
struct LeftWords {
  uint32_t words[Shape::kRowsOfLane][Shape::Factor::kParts][2];
};

// Sums of products, a chain a part.
template <class Shape>
struct PartSums {
  float products[Shape::kProducts][4];

  __device__ void clear() {
#pragma unroll
    for (int p = 0; p < Shape::kProducts; ++p) {
#pragma unroll
      for (int i = 0; i < 4; ++i) products[p][i] = 0.0f;
    }
  }
  __device__ void add(const LeftWords<Shape>& left, const uint32_t (&right)[2]) {
#pragma unroll
    for (int p = 0; p < Shape::kProducts; ++p) {
      uint32_t words[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) words[i] = left_word(left, p, i % 2, i / 2);
      Shape::Factor::Product::add_unordered(products[p], words, right);
    }
  }
  // Called by all lanes, after the last product.
  __device__ void order() {
#pragma unroll
    for (int p = 0; p < Shape::kProducts; ++p) Shape::Factor::Product::order(products[p]);
  }
  // Of the lane's row `row` (g + 8 · row), column 2t + i. REQUIRES: order().
  __device__ float sum(int row, int i) const {
    float sum = part(row, 0, i);
#pragma unroll
    for (int p = 1; p < Shape::Factor::kParts; ++p) sum = __fadd_rn(sum, part(row, p, i));
    return sum;
  }

 private:
  static __device__ uint32_t left_word(const LeftWords<Shape>& left, int product, int lower, int pair) {
    if constexpr (Shape::kRows == 16) return left.words[lower][product][pair];
    const int part = 2 * product + lower;
    return part < Shape::Factor::kParts ? left.words[0][part < Shape::Factor::kParts ? part : 0][pair] : 0;
  }
  __device__ float part(int row, int part, int i) const {
    if constexpr (Shape::kRows == 16) return products[part][2 * row + i];
    return products[part / 2][2 * (part % 2) + i];
  }
};

// What the stripes of a span leave: a row's maximum, weight and sums, these in the order of the products'
// columns, and the factor that they are to be multiplied with.
template <class Shape>
struct alignas(16) MatrixMemory {
  static constexpr int kStride = kMatrixDim + 8;  // lanes that write at once meet different banks
  float maximum[kMatrixStripes][Shape::kRows];
  float weight[kMatrixStripes][Shape::kRows];
  float take[kMatrixStripes][Shape::kRows];
  float largest[Shape::kRows];
  float sums[kMatrixStripes][Shape::kRows][kStride];

  // Column 8i + c has dimension 8c + i.
  static __device__ int column_of(int dim) { return dim % 8 * 8 + dim / 8; }
};

// Query rows as left factors, a chunk's pairs 0, 1 and 2, 3.
template <class Shape>
struct MatrixQuery {
  LeftWords<Shape> words[kMatrixChunks][2];

  __device__ void set(int chunk, int row, const float (&values)[8]) {
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      uint32_t parts[Shape::Factor::kParts];
      split_pair<typename Shape::Factor>(values[2 * pair], values[2 * pair + 1], parts);
#pragma unroll
      for (int part = 0; part < Shape::Factor::kParts; ++part)
        words[chunk][pair / 2].words[row][part][pair % 2] = parts[part];
    }
  }
};

// A lane's keys and values of one block of positions.
struct KvWords {
  uint4 keys[kMatrixGroups][kMatrixChunks];
  uint4 values[kMatrixGroups][2];  // positions 2t and 2t + 1 of the group
};

__device__ inline uint32_t word_of(const uint4& four, int i) {
  return i == 0 ? four.x : i == 1 ? four.y : i == 2 ? four.z : four.w;
}

// Where in the cache the lane's group of the positions from `begin` on begins; 0 if `end` lies before it.
__device__ inline int find_group(const AttentionCall& call, int sequence, int kv_head, int begin, int end) {
  const int first = begin + static_cast<int>(threadIdx.x) % kMatrixGroups * 8;
  if (first >= end) return 0;
  const int page = call.page_table[sequence * call.max_pages + first / call.page_size];
  return (page * call.kv_heads + kv_head) * call.page_size + first % call.page_size;
}

// Keys and values of the positions from `begin` on that lie before `end`, zeros for the others. `mine`: of
// find_group.
__device__ inline void load_block(const AttentionCall& call, int mine, int begin, int end, KvWords& words) {
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
  const uint4 none = make_uint4(0, 0, 0, 0);
  constexpr int64_t kRowPacks = kMatrixDim * 2 / 16;
  const uint4* keys = reinterpret_cast<const uint4*>(call.key_cache);
  const uint4* values = reinterpret_cast<const uint4*>(call.value_cache);
#pragma unroll
  for (int group = 0; group < kMatrixGroups; ++group) {
    const int64_t row = __shfl_sync(kAllLanes, mine, group);
    const int left = end - begin - group * 8;
#pragma unroll
    for (int chunk = 0; chunk < kMatrixChunks; ++chunk)
      words.keys[group][chunk] = g < left ? keys[(row + g) * kRowPacks + chunk * 4 + t] : none;
#pragma unroll
    for (int i = 0; i < 2; ++i)
      words.values[group][i] = 2 * t + i < left ? values[(row + 2 * t + i) * kRowPacks + g] : none;
  }
}

template <class Shape>
class MatrixStripe {
 public:
  using Factor = typename Shape::Factor;

  __device__ void clear() {
#pragma unroll
    for (int row = 0; row < Shape::kRowsOfLane; ++row) {
      maximum_[row] = kNoMaximum;
      weight_[row] = 0.0f;
#pragma unroll
      for (int column = 0; column < kMatrixColumns; ++column) {
#pragma unroll
        for (int i = 0; i < 2; ++i) sums_[column][row][i] = 0.0f;
      }
    }
  }

  // Adds a block whose first position is `begin`. positions: of the lane's rows, −1 for none.
  __device__ void add_block(int begin, const MatrixQuery<Shape>& query,
                            const int (&positions)[Shape::kRowsOfLane], const KvWords& words) {
    float weights[kMatrixGroups][Shape::kRowsOfLane][2];
    PartSums<Shape> scores[kMatrixGroups];
#pragma unroll
    for (int group = 0; group < kMatrixGroups; ++group) scores[group].clear();
#pragma unroll
    for (int chunk = 0; chunk < kMatrixChunks; ++chunk) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int group = 0; group < kMatrixGroups; ++group) {
          const uint32_t right[2] = {word_of(words.keys[group][chunk], 2 * half),
                                     word_of(words.keys[group][chunk], 2 * half + 1)};
          scores[group].add(query.words[chunk][half], right);
        }
      }
    }
#pragma unroll
    for (int group = 0; group < kMatrixGroups; ++group) {
      scores[group].order();
#pragma unroll
      for (int row = 0; row < Shape::kRowsOfLane; ++row) {
#pragma unroll
        for (int i = 0; i < 2; ++i) weights[group][row][i] = scores[group].sum(row, i);
      }
    }
    weigh(begin, positions, weights);
    add_values(weights, words);
  }

  __device__ void put(MatrixMemory<Shape>& memory, int stripe) const {
    const int g = static_cast<int>(threadIdx.x) % 32 / 4;
#pragma unroll
    for (int row = 0; row < Shape::kRowsOfLane; ++row) {
      const int at = g + 8 * row;
      put_row(row, true, memory.sums[stripe][at], &memory.maximum[stripe][at], &memory.weight[stripe][at]);
    }
  }
  // Row number `row` of the lane, whose lanes call it together; nothing is put where nobody wants it.
  __device__ void put_row(int row, bool is_wanted, float* sums, float* maximum, float* weight) const {
    const int t = static_cast<int>(threadIdx.x) % 4;
    float of_all = weight_[row];
    of_all += __shfl_xor_sync(kAllLanes, of_all, 1);
    of_all += __shfl_xor_sync(kAllLanes, of_all, 2);
    if (!is_wanted) return;
    if (t == 0) {
      *maximum = maximum_[row];
      *weight = of_all;
    }
#pragma unroll
    for (int column = 0; column < kMatrixColumns; ++column)
      *reinterpret_cast<float2*>(&sums[column * 8 + 2 * t]) =
          make_float2(sums_[column][row][0], sums_[column][row][1]);
  }

 private:
  // Scores become weights 2^(score − maximum so far), 0 where a row does not see the position.
  __device__ void weigh(int begin, const int (&positions)[Shape::kRowsOfLane],
                        float (&scores)[kMatrixGroups][Shape::kRowsOfLane][2]) {
    const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int row = 0; row < Shape::kRowsOfLane; ++row) {
      float largest = kNoMaximum;
#pragma unroll
      for (int group = 0; group < kMatrixGroups; ++group) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& score = scores[group][row][i];
          if (begin + group * 8 + 2 * t + i > positions[row]) score = kNoMaximum;
          largest = fmaxf(largest, score);
        }
      }
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
      largest = fmaxf(largest, maximum_[row]);
      keep_[row] = exp2f(maximum_[row] - largest);
      maximum_[row] = largest;
      weight_[row] *= keep_[row];
#pragma unroll
      for (int group = 0; group < kMatrixGroups; ++group) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& score = scores[group][row][i];
          score = score == kNoMaximum ? 0.0f : exp2f(score - largest);
          weight_[row] += score;
        }
      }
    }
  }

  __device__ void add_values(const float (&weights)[kMatrixGroups][Shape::kRowsOfLane][2],
                             const KvWords& words) {
    LeftWords<Shape> left;
#pragma unroll
    for (int group = 0; group < kMatrixGroups; ++group) {
#pragma unroll
      for (int row = 0; row < Shape::kRowsOfLane; ++row) {
        uint32_t parts[Factor::kParts];
        split_pair<Factor>(weights[group][row][0], weights[group][row][1], parts);
#pragma unroll
        for (int part = 0; part < Factor::kParts; ++part) left.words[row][part][group] = parts[part];
      }
    }
    constexpr int kAtOnce = 4;  // columns, so that no sum waits for its product alone
#pragma unroll
    for (int first = 0; first < kMatrixColumns; first += kAtOnce) {
      PartSums<Shape> block[kAtOnce];
#pragma unroll
      for (int c = 0; c < kAtOnce; ++c) {
        const int column = first + c;
        uint32_t right[2];
#pragma unroll
        for (int group = 0; group < 2; ++group)
          right[group] =
              __byte_perm(word_of(words.values[group][0], column / 2),
                          word_of(words.values[group][1], column / 2), column % 2 == 0 ? 0x5410 : 0x7632);
        block[c].clear();
        block[c].add(left, right);
        block[c].order();
      }
#pragma unroll
      for (int c = 0; c < kAtOnce; ++c) {
#pragma unroll
        for (int row = 0; row < Shape::kRowsOfLane; ++row) {
#pragma unroll
          for (int i = 0; i < 2; ++i)
            sums_[first + c][row][i] = fmaf(sums_[first + c][row][i], keep_[row], block[c].sum(row, i));
        }
      }
    }
  }

  float maximum_[Shape::kRowsOfLane];
  float weight_[Shape::kRowsOfLane];  // of the lane's positions
  float keep_[Shape::kRowsOfLane];    // factor of what came before the current block
  float sums_[kMatrixColumns][Shape::kRowsOfLane][2];
};

// The factor of every row's stripes. REQUIRES: every thread of the block takes part; the first `stripes` have
// been put.
template <class Shape>
__device__ void find_takes(MatrixMemory<Shape>& memory, int stripes) {
  __syncthreads();
  for (int i = threadIdx.x; i < stripes * Shape::kRows; i += Shape::kThreads) {
    const int stripe = i / Shape::kRows, row = i % Shape::kRows;
    float largest = kNoMaximum;
#pragma unroll
    for (int s = 0; s < kMatrixStripes; ++s) {
      if (s < stripes) largest = fmaxf(largest, memory.maximum[s][row]);
    }
    const float maximum = memory.maximum[stripe][row];
    memory.take[stripe][row] = maximum == kNoMaximum ? 0.0f : exp2f(maximum - largest);
    if (stripe == 0) memory.largest[row] = largest;
  }
  __syncthreads();
}

// One value of a span's sum over its stripes, which are read at once.
template <class Shape>
__device__ SoftmaxSum sum_of_stripes(const MatrixMemory<Shape>& memory, int stripes, int row, int dim) {
  SoftmaxSum sum;
  sum.maximum = memory.largest[row];
  const int column = MatrixMemory<Shape>::column_of(dim);
#pragma unroll
  for (int s = 0; s < kMatrixStripes; ++s) {
    if (s >= stripes) continue;
    const float take = memory.take[s][row];
    sum.weight = fmaf(memory.weight[s][row], take, sum.weight);
    sum.value = fmaf(memory.sums[s][row][column], take, sum.value);
  }
  return sum;
}

}  // namespace musaic
