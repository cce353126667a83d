#pragma once

#include "backends/gpu/row_packs.cuh"
#include "ops/sample/row_order_gpu.cuh"

// Prefixes of one row in sampling order, found by one block without sorting the vocabulary. All functions are
// called by all kRowThreads threads of the block, with equal arguments, and begin and end in step.
namespace musaic {

inline constexpr int kWindow = 1024;  // tokens that are sorted at once: two a thread
inline constexpr int kBins = 1024;    // of a histogram: two a thread

// How many tokens of a row there are in each bin, and their quanta. Bins follow the sampling order.
struct Histogram {
  unsigned counts[kBins];
  Quanta masses[kBins];
};

// Neighbours in sampling order, sorted, with the running sum of their quanta.
struct TokenWindow {
  TokenOrder orders[kWindow];
  Quanta masses[kWindow];
};

// The first tokens of a row's order, up to and with `last`.
struct TokenPrefix {
  int64_t count = 0;
  Quanta mass = 0;
  int32_t last = 0;
};

// The shortest prefix that has both is looked for.
struct PrefixGoal {
  int64_t count;
  Quanta mass;
  __device__ bool reached_by(int64_t tokens, Quanta quanta) const {
    return tokens >= count && quanta >= mass;
  }
};

// Shared memory of a block that works on a row.
struct RowMemory {
  TokenOrder scratch[kRowWarps];
  TokenOrder head[kWindow];  // the heaviest tokens in any order, where the caller keeps them
  TokenWindow window;
  Histogram bins;
  int collected;
  struct {
    int bin;
    unsigned count;      // of the bin
    TokenPrefix before;  // the bins before it
  } found;
  int32_t found_id;
};

struct RowLogits {
  const float* values;
  int64_t size;
  bool aligned;  // to 16 bytes
  __device__ float clean(int64_t id) const { return clean_logit(values[id]); }
};

// Whether all rows of logits begin at multiples of 16 bytes.
inline bool has_aligned_rows(const float* logits, int64_t rows, int64_t stride) {
  return is_aligned(logits, 16) && (rows == 1 || stride % 4 == 0);
}

// Calls visit(clean logit, id) for every token of the row, each in one thread.
template <class Visit>
__device__ void for_each_token(const RowLogits& row, Visit visit) {
  constexpr int kAhead = 4;  // packs that are read at once
  constexpr int64_t kStep = kRowThreads * 4;
  for (int64_t begin = static_cast<int64_t>(threadIdx.x) * 4; begin < row.size; begin += kAhead * kStep) {
    float logits[kAhead][4];
#pragma unroll
    for (int pack = 0; pack < kAhead; ++pack) {
      const int64_t first = begin + pack * kStep;
      if (first < row.size)
        load_pack(row.values + first, row.size - first, row.aligned && first + 4 <= row.size, logits[pack]);
    }
#pragma unroll
    for (int pack = 0; pack < kAhead; ++pack) {
      const int64_t first = begin + pack * kStep;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (first + i < row.size) visit(clean_logit(logits[pack][i]), first + i);
      }
    }
  }
}

// Sorts the first `count` orders of the window and sums their quanta. REQUIRES: count <= kWindow.
__device__ inline void sort_window(TokenWindow& window, int count, const WeightScale& weights,
                                   Quanta* scratch) {
  int size = 2;
  while (size < count) size *= 2;
  __syncthreads();
  for (int i = count + static_cast<int>(threadIdx.x); i < size; i += kRowThreads)
    window.orders[i] = ~TokenOrder{0};
  __syncthreads();
  // Bitonic: runs of `run` tokens, every other one descending, are merged by halves of the distance.
  for (int run = 2; run <= size; run *= 2) {
    for (int distance = run / 2; distance > 0; distance /= 2) {
      const int pair = static_cast<int>(threadIdx.x);
      if (pair < size / 2) {
        const int low = 2 * pair - pair % distance;
        const TokenOrder a = window.orders[low];
        const TokenOrder b = window.orders[low + distance];
        const bool ascends = (low & run) == 0;
        if ((a > b) == ascends) {
          window.orders[low] = b;
          window.orders[low + distance] = a;
        }
      }
      __syncthreads();
    }
  }
  const int at = 2 * static_cast<int>(threadIdx.x);
  Quanta quanta[2] = {0, 0};
  for (int i = 0; i < 2; ++i) {
    if (at + i < count) quanta[i] = quanta_of(exp_weight(weights.exponent(logit_of(window.orders[at + i]))));
  }
  const Quanta sum = block_scan(quanta[0] + quanta[1], scratch).inclusive;
  if (at < count) window.masses[at] = sum - quanta[1];
  if (at + 1 < count) window.masses[at + 1] = sum;
  __syncthreads();
}

// The place in the window, which follows on `before`, where the goal is reached; `count` if behind it.
__device__ inline int place_in_window(const TokenWindow& window, int count, const TokenPrefix& before,
                                      const PrefixGoal& goal) {
  int low = 0;
  if (goal.count > before.count + 1) {
    const int64_t missing = goal.count - before.count - 1;
    low = missing < count ? static_cast<int>(missing) : count;
  }
  int high = count;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (before.mass + window.masses[middle] >= goal.mass) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

__device__ inline TokenPrefix prefix_in_window(const TokenWindow& window, int place,
                                               const TokenPrefix& before) {
  return {before.count + place + 1, before.mass + window.masses[place], id_of(window.orders[place])};
}

// The tokens of a row, of which the first `head_count` places of memory.head hold all of depth below
// `head_depth`.
struct RowTokens {
  RowLogits logits;
  int head_count = 0;
  int head_depth = 0;
};

// Calls visit(clean logit, id) for the tokens of the row, each in one thread; where no bin behind `depth`
// matters, for those of the head alone if they are enough.
template <class Visit>
__device__ void for_each_token(const RowMemory& memory, const RowTokens& row, int depth, Visit visit) {
  if (depth >= row.head_depth) return for_each_token(row.logits, visit);
  for (int i = static_cast<int>(threadIdx.x); i < row.head_count; i += kRowThreads)
    visit(logit_of(memory.head[i]), static_cast<int64_t>(id_of(memory.head[i])));
}

// Puts the tokens for which chosen(logit, id) holds, none of them behind `depth`, into orders[kWindow], in
// any order; what is too much is dropped. Returns how many there are.
template <class Chosen>
__device__ int collect(RowMemory& memory, const RowTokens& row, int depth, TokenOrder* orders,
                       Chosen chosen) {
  __syncthreads();
  if (threadIdx.x == 0) memory.collected = 0;
  __syncthreads();
  for_each_token(memory, row, depth, [&](float logit, int64_t id) {
    if (!chosen(logit, id)) return;
    const int at = atomicAdd(&memory.collected, 1);
    if (at < kWindow) orders[at] = token_order(logit, id);
  });
  __syncthreads();
  return memory.collected;
}

// memory.bins of the tokens for which chosen(logit) holds, by bin(logit).
template <class Chosen, class Bin>
__device__ void fill_bins(RowMemory& memory, const RowLogits& row, const WeightScale& weights, Chosen chosen,
                          Bin bin) {
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kBins; i += kRowThreads) {
    memory.bins.counts[i] = 0;
    memory.bins.masses[i] = 0;
  }
  __syncthreads();
  for_each_token(row, [&](float logit, int64_t) {
    if (!chosen(logit)) return;
    const int at = bin(logit);
    atomicAdd(&memory.bins.counts[at], 1u);
    const Quanta quanta = quanta_of(exp_weight(weights.exponent(logit)));
    if (quanta != 0) atomicAdd(&memory.bins.masses[at], quanta);
  });
  __syncthreads();
}

// memory.found: the bin in which the goal is reached by the tokens of memory.bins, which follow on `before`,
// or the last bin.
__device__ inline void find_bin(RowMemory& memory, const TokenPrefix& before, const PrefixGoal& goal) {
  const int first = 2 * static_cast<int>(threadIdx.x);
  const Quanta counts[2] = {memory.bins.counts[first], memory.bins.counts[first + 1]};
  const Quanta masses[2] = {memory.bins.masses[first], memory.bins.masses[first + 1]};
  int64_t tokens = before.count;
  Quanta mass = before.mass;
  tokens += static_cast<int64_t>(block_scan(counts[0] + counts[1], memory.scratch).inclusive - counts[0] -
                                 counts[1]);
  mass += block_scan(masses[0] + masses[1], memory.scratch).inclusive - masses[0] - masses[1];
  for (int i = 0; i < 2; ++i) {
    const int64_t next_tokens = tokens + static_cast<int64_t>(counts[i]);
    const Quanta next_mass = mass + masses[i];
    const bool is_last = first + i == kBins - 1;
    if (!goal.reached_by(tokens, mass) && (is_last || goal.reached_by(next_tokens, next_mass)))
      memory.found = {first + i, static_cast<unsigned>(counts[i]), {tokens, mass, 0}};
    tokens = next_tokens;
    mass = next_mass;
  }
  __syncthreads();
}

// Bins of equal depth below the largest logit; the last one holds what weighs nothing.
__device__ inline int depth_bin(float exponent) {
  constexpr float kDepth = 24.5f;  // exp(-24.5) is below half a quantum
  constexpr float kBinsADepth = (kBins - 1) / kDepth;
  return exponent > -kDepth ? static_cast<int>(__fmul_rn(-exponent, kBinsADepth)) : kBins - 1;
}

// The id of the `wanted`-th token, from 1, with this key.
__device__ inline int32_t id_with_key(RowMemory& memory, const RowLogits& row, uint32_t key, Quanta wanted) {
  const int64_t span = (row.size + kRowThreads - 1) / kRowThreads;
  const int64_t begin = span * threadIdx.x;
  const int64_t end = begin + span < row.size ? begin + span : row.size;
  Quanta here = 0;
  for (int64_t id = begin; id < end; ++id) here += descending_key(row.clean(id)) == key ? 1 : 0;
  Quanta seen = block_scan(here, memory.scratch).inclusive - here;
  if (seen < wanted && wanted <= seen + here) {
    for (int64_t id = begin; id < end; ++id) {
      if (descending_key(row.clean(id)) == key && ++seen == wanted)
        memory.found_id = static_cast<int32_t>(id);
    }
  }
  __syncthreads();
  return memory.found_id;
}

// The prefix among the tokens of one depth bin, too many to sort: by the bits of their keys, then, as tokens
// with one key weigh the same, by id.
__device__ inline TokenPrefix select_by_key(RowMemory& memory, const RowLogits& row,
                                            const WeightScale& weights, const PrefixGoal& goal, int depth,
                                            TokenPrefix before) {
  constexpr int kShifts[] = {22, 12, 2, 0};
  constexpr uint32_t kMasks[] = {0, 0xffc00000u, 0xfffff000u, 0xfffffffcu};  // of the digits before
  uint32_t key = 0;
  for (int digit = 0; digit < 4; ++digit) {
    const int shift = kShifts[digit];
    const uint32_t mask = kMasks[digit];
    const uint32_t digits = digit < 3 ? kBins - 1 : 3;
    fill_bins(
        memory, row, weights,
        [&](float logit) {
          return (descending_key(logit) & mask) == key && depth_bin(weights.exponent(logit)) == depth;
        },
        [&](float logit) { return static_cast<int>(descending_key(logit) >> shift & digits); });
    find_bin(memory, before, goal);
    key |= static_cast<uint32_t>(memory.found.bin) << shift;
    before = memory.found.before;
  }
  const int64_t equals = memory.found.count;
  const Quanta weight = equals > 0 ? memory.bins.masses[memory.found.bin] / static_cast<Quanta>(equals) : 0;
  int64_t taken = goal.count > before.count ? goal.count - before.count : 1;
  if (goal.mass > before.mass && weight > 0) {
    const int64_t needed = static_cast<int64_t>((goal.mass - before.mass + weight - 1) / weight);
    if (needed > taken) taken = needed;
  }
  if (taken > equals) taken = equals;
  const int32_t last = id_with_key(memory, row, key, static_cast<Quanta>(taken));
  return {before.count + taken, before.mass + static_cast<Quanta>(taken) * weight, last};
}

// The shortest prefix that reaches the goal, where memory.bins is the histogram of the row's depths.
// REQUIRES: the whole row reaches it.
__device__ inline TokenPrefix select_by_depth(RowMemory& memory, const RowTokens& row,
                                              const WeightScale& weights, const PrefixGoal& goal) {
  find_bin(memory, {}, goal);
  const int depth = memory.found.bin;
  const int count = static_cast<int>(memory.found.count);
  const TokenPrefix before = memory.found.before;
  if (count > kWindow) return select_by_key(memory, row.logits, weights, goal, depth, before);
  collect(memory, row, depth, memory.window.orders,
          [&](float logit, int64_t) { return depth_bin(weights.exponent(logit)) == depth; });
  sort_window(memory.window, count, weights, memory.scratch);
  const int place = place_in_window(memory.window, count, before, goal);
  return prefix_in_window(memory.window, place < count ? place : count - 1, before);
}

// The same of a row whose histogram is not known.
__device__ inline TokenPrefix select_prefix(RowMemory& memory, const RowLogits& row,
                                            const WeightScale& weights, const PrefixGoal& goal) {
  fill_bins(
      memory, row, weights, [](float) { return true; },
      [&](float logit) { return depth_bin(weights.exponent(logit)); });
  return select_by_depth(memory, {row}, weights, goal);
}

}  // namespace musaic
