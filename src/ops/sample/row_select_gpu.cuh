#pragma once

#include "ops/sample/row_order_gpu.cuh"

// Prefixes of one row in sampling order, found by one block without sorting the vocabulary. All functions are
// called by all kRowThreads threads of the block, with equal arguments, and begin and end in step.
namespace musaic {

inline constexpr int kWindow = 1024;  // tokens that are sorted at once: two a thread
inline constexpr int kBins = 1024;    // of a histogram: two a thread

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
  TokenWindow head;  // the heaviest tokens, where the caller keeps them
  TokenWindow window;
  unsigned bin_counts[kBins];
  Quanta bin_masses[kBins];
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
  __device__ float clean(int64_t id) const { return clean_logit(values[id]); }
};

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

// Puts the tokens for which chosen(logit, id) holds into the window, in any order; those beyond kWindow are
// dropped. Returns how many there are.
template <class Chosen>
__device__ int collect(RowMemory& memory, const RowLogits& row, TokenWindow& window, Chosen chosen) {
  __syncthreads();
  if (threadIdx.x == 0) memory.collected = 0;
  __syncthreads();
  for (int64_t id = threadIdx.x; id < row.size; id += kRowThreads) {
    const float logit = row.clean(id);
    if (!chosen(logit, id)) continue;
    const int at = atomicAdd(&memory.collected, 1);
    if (at < kWindow) window.orders[at] = token_order(logit, id);
  }
  __syncthreads();
  return memory.collected;
}

// Histogram of the tokens for which chosen(logit) holds, by bin(logit); then memory.found is the bin in which
// the goal is reached, or the last one.
template <class Chosen, class Bin>
__device__ void find_bin(RowMemory& memory, const RowLogits& row, const WeightScale& weights,
                         const TokenPrefix& before, const PrefixGoal& goal, Chosen chosen, Bin bin) {
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kBins; i += kRowThreads) {
    memory.bin_counts[i] = 0;
    memory.bin_masses[i] = 0;
  }
  __syncthreads();
  for (int64_t id = threadIdx.x; id < row.size; id += kRowThreads) {
    const float logit = row.clean(id);
    if (!chosen(logit)) continue;
    const int at = bin(logit);
    atomicAdd(&memory.bin_counts[at], 1u);
    const Quanta quanta = quanta_of(exp_weight(weights.exponent(logit)));
    if (quanta != 0) atomicAdd(&memory.bin_masses[at], quanta);
  }
  __syncthreads();
  const int first = 2 * static_cast<int>(threadIdx.x);
  const Quanta counts[2] = {memory.bin_counts[first], memory.bin_counts[first + 1]};
  const Quanta masses[2] = {memory.bin_masses[first], memory.bin_masses[first + 1]};
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
  constexpr float kDepth = 24.0f;  // exp(-24) is below half a quantum
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
    find_bin(
        memory, row, weights, before, goal,
        [&](float logit) {
          return (descending_key(logit) & mask) == key && depth_bin(weights.exponent(logit)) == depth;
        },
        [&](float logit) { return static_cast<int>(descending_key(logit) >> shift & digits); });
    key |= static_cast<uint32_t>(memory.found.bin) << shift;
    before = memory.found.before;
  }
  const int64_t equals = memory.found.count;
  const Quanta weight = equals > 0 ? memory.bin_masses[memory.found.bin] / static_cast<Quanta>(equals) : 0;
  int64_t taken = goal.count > before.count ? goal.count - before.count : 1;
  if (goal.mass > before.mass && weight > 0) {
    const int64_t needed = static_cast<int64_t>((goal.mass - before.mass + weight - 1) / weight);
    if (needed > taken) taken = needed;
  }
  if (taken > equals) taken = equals;
  const int32_t last = id_with_key(memory, row, key, static_cast<Quanta>(taken));
  return {before.count + taken, before.mass + static_cast<Quanta>(taken) * weight, last};
}

// The shortest prefix that reaches the goal. REQUIRES: the whole row reaches it.
__device__ inline TokenPrefix select_prefix(RowMemory& memory, const RowLogits& row,
                                            const WeightScale& weights, const PrefixGoal& goal) {
  const auto bin_of = [&](float logit) { return depth_bin(weights.exponent(logit)); };
  find_bin(
      memory, row, weights, {}, goal, [](float) { return true; }, bin_of);
  const int depth = memory.found.bin;
  const int count = static_cast<int>(memory.found.count);
  const TokenPrefix before = memory.found.before;
  if (count > kWindow) return select_by_key(memory, row, weights, goal, depth, before);
  collect(memory, row, memory.window, [&](float logit, int64_t) { return bin_of(logit) == depth; });
  sort_window(memory.window, count, weights, memory.scratch);
  const int place = place_in_window(memory.window, count, before, goal);
  return prefix_in_window(memory.window, place < count ? place : count - 1, before);
}

}  // namespace musaic
