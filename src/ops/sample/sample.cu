#include "backends/gpu/row_packs.cuh"
#include "gpu_launch.cuh"
#include "ops/sample/row_select_gpu.cuh"
#include "ops/sample/sample_gpu.h"

namespace musaic {
namespace {

constexpr float kGreedyTemperature = 1e-6f;  // below it, as in SGLang, the largest logit is taken
constexpr float kHeadExponent = -8.0f;       // tokens from here up are kept ahead
constexpr int kFewPacks = 2;                 // of four logits, a thread
constexpr int kManyPacks = 8;                // where rows alone fill the device

// What the blocks of one row leave to the last of them.
struct RowState {
  Quanta mass;
  int head_count;
  int blocks_done;
};

// The workspace: a row's state, histogram of depths, head, edited logits and best token of each part.
struct SampleWorkspace {
  RowState* states;
  Histogram* bins;
  TokenOrder* heads;  // [rows, kWindow]
  float* edited;      // [rows, edited_stride]
  TokenOrder* parts;  // [rows, num_parts]
  int64_t edited_stride;
  int num_parts;
};

// Tokens of one block.
__host__ __device__ constexpr int64_t part_size(int packs) {
  return int64_t{kRowThreads} * packs * 4;
}
int64_t num_parts_of(int64_t vocab, int packs) {
  return (vocab + part_size(packs) - 1) / part_size(packs);
}
int64_t padded_vocab(int64_t vocab) {
  return (vocab + 3) / 4 * 4;
}

SampleWorkspace workspace_of(const SampleCall& call, int packs) {
  SampleWorkspace work = {};
  work.edited_stride = padded_vocab(call.vocab);
  work.num_parts = static_cast<int>(num_parts_of(call.vocab, packs));
  work.states = static_cast<RowState*>(call.workspace);
  work.bins = reinterpret_cast<Histogram*>(work.states + call.rows);
  work.heads = reinterpret_cast<TokenOrder*>(work.bins + call.rows);
  work.edited = reinterpret_cast<float*>(work.heads + call.rows * kWindow);
  work.parts = reinterpret_cast<TokenOrder*>(work.edited + call.rows * work.edited_stride);
  return work;
}

__device__ bool is_greedy(const SampleCall& call, int64_t row) {
  return !(call.temperature[row] >= kGreedyTemperature);
}
__device__ bool has_counts(const SampleCall& call, int64_t row) {
  return call.count_slot[row] >= 0 && call.count_slot[row] < call.num_slots;
}
__device__ int64_t num_bias(const SampleCall& call, int64_t row) {
  return call.bias_count[row] < call.max_bias ? call.bias_count[row] : call.max_bias;
}
__device__ bool has_edits(const SampleCall& call, int64_t row) {
  return has_counts(call, row) || num_bias(call, row) > 0;
}
__device__ const float* logits_of(const SampleCall& call, const SampleWorkspace& work, int64_t row) {
  return has_edits(call, row) ? work.edited + row * work.edited_stride
                              : call.logits + row * call.logits_stride;
}

__device__ float penalized(const SampleCall& call, int64_t row, float logit, int32_t count) {
  if (count <= 0) return logit;
  const float repetition = call.repetition_penalty[row];
  logit = logit > 0.0f ? __fdiv_rn(logit, repetition) : __fmul_rn(logit, repetition);
  logit = __fadd_rn(logit, -__fmul_rn(call.frequency_penalty[row], static_cast<float>(count)));
  return __fadd_rn(logit, -call.presence_penalty[row]);
}

// Penalties, then biases in their order, on the logits of tokens first .. first + 3.
__device__ void edit(const SampleCall& call, int64_t row, int64_t first, float (&logits)[4]) {
  if (has_counts(call, row)) {
    const int32_t* counts = call.token_counts + call.count_slot[row] * call.vocab;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (first + i < call.vocab) logits[i] = penalized(call, row, logits[i], counts[first + i]);
    }
  }
  const int64_t biases = num_bias(call, row);
  for (int64_t j = 0; j < biases; ++j) {
    const int64_t at = call.bias_ids[row * call.bias_ids_stride + j] - first;
    if (at < 0 || at >= 4) continue;
    const float value = call.bias_values[row * call.bias_values_stride + j];
#pragma unroll
    for (int i = 0; i < 4; ++i) logits[i] = at == i ? __fadd_rn(logits[i], value) : logits[i];
  }
}

// A thread's share of a part of a row: kPacks packs of four tokens.
template <int kPacks>
struct PartLogits {
  float values[kPacks][4];

  // The first token of a pack.
  static __device__ int64_t begin(int part, int pack) {
    return part * part_size(kPacks) + (static_cast<int64_t>(pack) * kRowThreads + threadIdx.x) * 4;
  }
  __device__ void load(const float* row, int64_t vocab, bool aligned, int part) {
#pragma unroll
    for (int pack = 0; pack < kPacks; ++pack) {
      const int64_t first = begin(part, pack);
      if (first < vocab) load_pack(row + first, vocab - first, aligned && first + 4 <= vocab, values[pack]);
    }
  }
};

__device__ void clear(Histogram& bins) {
  for (int i = static_cast<int>(threadIdx.x); i < kBins; i += kRowThreads) {
    bins.counts[i] = 0;
    bins.masses[i] = 0;
  }
}

// The best of the tokens that a thread comes by in ascending order.
struct BestToken {
  float logit = lowest_logit();
  int64_t id;

  // No token beats one with the same logit, nor one whose logit counts as the largest float.
  __device__ void take(float value, int64_t its_id) {
    if (!(value > logit && logit < kLargestLogit)) return;
    logit = value;
    id = its_id;
  }
  __device__ TokenOrder order() const { return token_order(clean_logit(logit), id); }
};

// Edits a part of a row and finds its best token.
template <int kPacks>
__global__ void __launch_bounds__(kRowThreads)
    edit_parts(SampleCall call, SampleWorkspace work, bool aligned) {
  using Part = PartLogits<kPacks>;
  __shared__ TokenOrder scratch[kRowWarps];
  const int64_t row = blockIdx.x / static_cast<unsigned>(work.num_parts);
  const int part = static_cast<int>(blockIdx.x % static_cast<unsigned>(work.num_parts));
  const int64_t rows = live_count(call.live_rows, call.rows);
  wait_for_previous_kernel();
  if (row >= rows) return;
  Part logits;
  logits.load(call.logits + row * call.logits_stride, call.vocab, aligned, part);
  const bool edits = has_edits(call, row);
  BestToken best;
  best.id = Part::begin(part, 0);
#pragma unroll
  for (int pack = 0; pack < kPacks; ++pack) {
    const int64_t first = Part::begin(part, pack);
    if (first >= call.vocab) break;
    if (edits) {
      edit(call, row, first, logits.values[pack]);
      store_pack(logits.values[pack], work.edited + row * work.edited_stride + first, call.vocab - first,
                 first + 4 <= call.vocab);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (first + i < call.vocab) best.take(logits.values[pack][i], first + i);
    }
  }
  const TokenOrder order = block_min(best.id < call.vocab ? best.order() : ~TokenOrder{0}, scratch);
  if (part == 0 && !is_greedy(call, row)) clear(work.bins[row]);
  if (threadIdx.x != 0) return;
  work.parts[row * work.num_parts + part] = order;
  if (part == 0) work.states[row] = {0, 0, 0};
}

__device__ void put_token(const SampleCall& call, int64_t row, int32_t token) {
  if (threadIdx.x != 0) return;
  call.token[row] = token;
  if (has_counts(call, row)) ++call.token_counts[call.count_slot[row] * call.vocab + token];
}

// The first 53 bits of Philox4x32-10 with the seed as key and `draw` as counter.
__device__ double uniform_draw(int64_t seed, int32_t draw) {
  uint32_t counter[4] = {static_cast<uint32_t>(draw), 0, 0, 0};
  uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(static_cast<uint64_t>(seed) >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = uint64_t{0xD2511F53} * counter[0];
    const uint64_t second = uint64_t{0xCD9E8D57} * counter[2];
    counter[0] = static_cast<uint32_t>(second >> 32) ^ counter[1] ^ key[0];
    counter[1] = static_cast<uint32_t>(second);
    counter[2] = static_cast<uint32_t>(first >> 32) ^ counter[3] ^ key[1];
    counter[3] = static_cast<uint32_t>(first);
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  const uint64_t bits = (static_cast<uint64_t>(counter[0]) << 32 | counter[1]) >> 11;
  return static_cast<double>(bits) * (1.0 / 9007199254740992.0);  // 2^-53
}

// A row as the block that finishes it sees it.
struct FinishedRow {
  RowTokens tokens;
  WeightScale weights;
  const Histogram* bins;
  Quanta total;
};

// memory.bins: the row's histogram, as all its blocks made it. What weighs nothing they did not count.
__device__ void load_bins(RowMemory& memory, const FinishedRow& row) {
  const volatile Histogram& joined = *row.bins;
  Quanta count = 0;
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kBins; i += kRowThreads) {
    memory.bins.counts[i] = joined.counts[i];
    memory.bins.masses[i] = joined.masses[i];
    count += memory.bins.counts[i];
  }
  count = block_scan(count, memory.scratch).total;
  if (threadIdx.x == 0)
    memory.bins.counts[kBins - 1] =
        static_cast<unsigned>(static_cast<Quanta>(row.tokens.logits.size) - count);
  __syncthreads();
}

// Takes as head as many bins as fit, where the heaviest tokens were too many.
__device__ void collect_head(RowMemory& memory, FinishedRow& row) {
  load_bins(memory, row);
  find_bin(memory, {}, {kWindow + 1, 0});
  const int depth = memory.found.bin;
  row.tokens.head_count = collect(memory, row.tokens, kBins - 1, memory.head, [&](float logit, int64_t) {
    return depth_bin(row.weights.exponent(logit)) < depth;
  });
  row.tokens.head_depth = depth;
}

__device__ TokenPrefix shortest_prefix(RowMemory& memory, const FinishedRow& row, const PrefixGoal& goal) {
  load_bins(memory, row);
  return select_by_depth(memory, row.tokens, row.weights, goal);
}

// Sum over the tokens with weight >= minimum: the bins that surely have it, and of those about the border the
// tokens that do.
__device__ Quanta mass_of_weights_from(RowMemory& memory, const FinishedRow& row, float minimum) {
  Quanta sum = 0;
  const int border = depth_bin(logf(minimum));
  const volatile Histogram& joined = *row.bins;
  __syncthreads();  // memory.head is written
  for (int bin = static_cast<int>(threadIdx.x); bin < border - 1; bin += kRowThreads)
    sum += joined.masses[bin];
  for_each_token(memory, row.tokens, border + 1, [&](float logit, int64_t) {
    const float exponent = row.weights.exponent(logit);
    const int bin = depth_bin(exponent);
    if (bin < border - 1 || bin > border + 1) return;
    const float weight = exp_weight(exponent);
    if (weight >= minimum) sum += quanta_of(weight);
  });
  return block_scan(sum, memory.scratch).total;
}

// Whether places in the order are looked for before the draw.
__device__ bool keeps_a_prefix(const SampleCall& call, int64_t index) {
  return (call.top_k[index] > 0 && call.top_k[index] < call.vocab) || call.top_p[index] < 1.0f;
}

// Each filter keeps a prefix of the order, so the shortest one is kept.
__device__ Quanta kept_mass(RowMemory& memory, const SampleCall& call, int64_t index,
                            const FinishedRow& row) {
  Quanta kept = row.total;
  const int32_t top_k = call.top_k[index];
  if (top_k > 0 && top_k < call.vocab) kept = shortest_prefix(memory, row, {top_k, 0}).mass;
  if (call.top_p[index] < 1.0f) {
    const double wanted = __dmul_rn(static_cast<double>(call.top_p[index]), static_cast<double>(kept));
    const Quanta reached =
        shortest_prefix(memory, row, {1, wanted > 1.0 ? static_cast<Quanta>(ceil(wanted)) : 1}).mass;
    if (reached < kept) kept = reached;
  }
  const float min_p = call.min_p[index];
  if (min_p > 0.0f) {
    const Quanta heavy = mass_of_weights_from(memory, row, min_p < 1.0f ? min_p : 1.0f);
    if (heavy < kept) kept = heavy;
  }
  return kept;
}

__device__ int32_t draw_token(RowMemory& memory, const SampleCall& call, int64_t index,
                              const FinishedRow& row) {
  const Quanta kept = kept_mass(memory, call, index, row);
  const double u = uniform_draw(call.seed[index], call.draw[index]);
  const Quanta below = static_cast<Quanta>(floor(__dmul_rn(u, static_cast<double>(kept))));
  return shortest_prefix(memory, row, {1, below + 1 < kept ? below + 1 : kept}).last;
}

// The histogram of one part: quanta in two halves, as 32 bits are what adding in shared memory takes at once.
struct PartBins {
  static constexpr int kHalf = 17;  // bits of a weight's quanta in the lower half; those of a part fit in 32
  unsigned counts[kBins];
  unsigned lower[kBins];
  unsigned upper[kBins];

  __device__ void add(int bin, Quanta quanta) {
    constexpr Quanta kLower = (Quanta{1} << kHalf) - 1;
    // What weighs nothing is what is left over, and too many for one counter.
    if (bin < kBins - 1) atomicAdd(&counts[bin], 1u);
    if ((quanta & kLower) != 0) atomicAdd(&lower[bin], static_cast<unsigned>(quanta & kLower));
    if (quanta >> kHalf != 0) atomicAdd(&upper[bin], static_cast<unsigned>(quanta >> kHalf));
  }
  __device__ Quanta mass(int bin) const { return (Quanta{upper[bin]} << kHalf) + lower[bin]; }
};

// Adds a part's bins to the row's.
__device__ void add_bins(const PartBins& part, Histogram& row) {
  for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kRowThreads) {
    if (part.counts[bin] != 0) atomicAdd(&row.counts[bin], part.counts[bin]);
    if (part.mass(bin) != 0) atomicAdd(&row.masses[bin], part.mass(bin));
  }
}

// Adds a part's weights to the row's state and bins, and its heavy tokens to the row's head.
template <int kPacks>
__device__ void add_part(RowMemory& memory, const float* logits, int64_t vocab, bool aligned, int part,
                         const WeightScale& weights, RowState& state, Histogram& row_bins, TokenOrder* head) {
  using Part = PartLogits<kPacks>;
  static_assert(sizeof(PartBins) <= sizeof(TokenWindow));
  static_assert(part_size(kPacks) << PartBins::kHalf <= int64_t{1} << 32, "sums of lower halves fit");
  PartBins& bins = reinterpret_cast<PartBins&>(memory.window);  // which nobody needs yet
  for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kRowThreads)
    bins.counts[bin] = bins.lower[bin] = bins.upper[bin] = 0;
  __syncthreads();
  Part own;
  own.load(logits, vocab, aligned, part);
  Quanta mass = 0;
  unsigned heavy = 0;  // a bit for each of the thread's tokens
#pragma unroll
  for (int pack = 0; pack < kPacks; ++pack) {
    const int64_t first = Part::begin(part, pack);
    if (first >= vocab) break;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (first + i >= vocab) break;
      own.values[pack][i] = clean_logit(own.values[pack][i]);
      const float exponent = weights.exponent(own.values[pack][i]);
      const Quanta quanta = quanta_of(exp_weight(exponent));
      bins.add(depth_bin(exponent), quanta);
      mass += quanta;
      heavy |= (exponent >= kHeadExponent ? 1u : 0u) << (4 * pack + i);
    }
  }
  mass = block_scan(mass, memory.scratch).total;
  const Quanta mine = static_cast<Quanta>(__popc(heavy));
  const BlockScan found = block_scan(mine, memory.scratch);
  add_bins(bins, row_bins);
  if (threadIdx.x == 0) {
    atomicAdd(&state.mass, mass);
    memory.collected = atomicAdd(&state.head_count, static_cast<int>(found.total));
  }
  __syncthreads();
  int64_t at = memory.collected + static_cast<int64_t>(found.inclusive - mine);
#pragma unroll
  for (int pack = 0; pack < kPacks; ++pack) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if ((heavy >> (4 * pack + i) & 1u) == 0) continue;
      if (at < kWindow) head[at] = token_order(own.values[pack][i], Part::begin(part, pack) + i);
      ++at;
    }
  }
}

// True in the block of a row that comes here last; it sees what the others wrote before.
__device__ bool is_last_block(RowMemory& memory, RowState& state, int num_blocks) {
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) memory.collected = atomicAdd(&state.blocks_done, 1);
  __syncthreads();
  __threadfence();
  return memory.collected == num_blocks - 1;
}

// A row's best token, in every lane of a warp.
__device__ TokenOrder join_parts(const SampleWorkspace& work, int64_t row) {
  TokenOrder best = ~TokenOrder{0};
  for (int i = static_cast<int>(threadIdx.x) % kWarpSize; i < work.num_parts; i += kWarpSize) {
    const TokenOrder order = work.parts[row * work.num_parts + i];
    if (order < best) best = order;
  }
  return warp_min(best);
}

// Joins the parts of greedy rows; for the others every block weighs its part, and the last one draws. Blocks
// with nothing to do leave at once, but for the first: the kernel ends behind the one ahead of it.
template <int kPacks>
__global__ void __launch_bounds__(kRowThreads)
    draw_rows(SampleCall call, SampleWorkspace work, bool aligned) {
  __shared__ RowMemory memory;
  const int64_t index = blockIdx.x / static_cast<unsigned>(work.num_parts);
  const int part = static_cast<int>(blockIdx.x % static_cast<unsigned>(work.num_parts));
  const bool is_live = index < live_count(call.live_rows, call.rows);
  const bool is_idle = !is_live || (is_greedy(call, index) && (part != 0 || threadIdx.x >= kWarpSize));
  if (is_idle && blockIdx.x != 0) return;
  wait_for_previous_kernel();
  if (is_idle) return;

  const TokenOrder best = join_parts(work, index);
  const float max = logit_of(best);
  if (is_greedy(call, index) || max == lowest_logit()) {
    if (part == 0) put_token(call, index, id_of(best));
    return;
  }

  const float* logits = logits_of(call, work, index);
  FinishedRow row = {
      {{logits, call.vocab, aligned}}, {max, __fdiv_rn(1.0f, call.temperature[index])}, work.bins + index, 0};
  RowState& state = work.states[index];
  TokenOrder* head = work.heads + index * kWindow;
  add_part<kPacks>(memory, logits, call.vocab, aligned, part, row.weights, state, work.bins[index], head);
  if (!is_last_block(memory, state, work.num_parts)) return;

  const volatile RowState& joined = state;
  row.total = joined.mass;
  if (joined.head_count <= kWindow) {
    row.tokens.head_count = joined.head_count;
    row.tokens.head_depth = depth_bin(kHeadExponent);
    for (int i = static_cast<int>(threadIdx.x); i < row.tokens.head_count; i += kRowThreads)
      memory.head[i] = static_cast<const volatile TokenOrder*>(head)[i];
  } else if (keeps_a_prefix(call, index)) {
    collect_head(memory, row);
  }
  put_token(call, index, draw_token(memory, call, index, row));
}

}  // namespace

int64_t sample_workspace_bytes(int64_t vocab) {
  return static_cast<int64_t>(sizeof(RowState) + sizeof(Histogram)) +
         kWindow * static_cast<int64_t>(sizeof(TokenOrder)) +
         padded_vocab(vocab) * static_cast<int64_t>(sizeof(float)) +
         num_parts_of(vocab, kFewPacks) * static_cast<int64_t>(sizeof(TokenOrder));
}

void launch_sample(const SampleCall& call, gpuStream_t stream) {
  constexpr int64_t kEnoughBlocks = 264;  // two a multiprocessor of a large device
  const bool are_many = call.rows * num_parts_of(call.vocab, kFewPacks) > kEnoughBlocks;
  // Edited rows are always aligned.
  const bool aligned = has_aligned_rows(call.logits, call.rows, call.logits_stride);
  const SampleWorkspace work = workspace_of(call, are_many ? kManyPacks : kFewPacks);
  const dim3 grid(static_cast<unsigned>(call.rows * work.num_parts));
  const auto launch = [&](auto edit, auto draw) {
    launch_kernel(edit, grid, dim3(kRowThreads), stream, call, work, aligned);
    launch_kernel(draw, grid, dim3(kRowThreads), stream, call, work, aligned);
  };
  if (are_many) return launch(edit_parts<kManyPacks>, draw_rows<kManyPacks>);
  launch(edit_parts<kFewPacks>, draw_rows<kFewPacks>);
}

}  // namespace musaic
