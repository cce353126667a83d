#include <algorithm>
#include <cmath>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "ops/sample/philox.h"
#include "ops/sample/row_kernels.h"
#include "ops/sample/row_order.h"
#include "ops/sample/sample.h"
#include "ops/sample/sample_inputs.h"

namespace musaic {
namespace {

constexpr float kGreedyTemperature = 1e-6f;  // below it, as in SGLang, the largest logit is taken
constexpr int64_t kPartSize = 8192;          // a plain greedy row is shared by the workers in such parts

template <class T>
struct Rows {
  T* data;
  int64_t stride;
  T* row(int64_t i) const { return data + i * stride; }
};

template <class T>
Rows<T> rows_of(const Tensor& tensor) {
  return {tensor.as<T>(), tensor.strides[0]};
}

struct SampleBody {
  Rows<const float> logits;
  int64_t num_rows;
  int64_t vocab;
  const int32_t* live_rows;
  const float* temperature;
  const int32_t* top_k;
  const float* top_p;
  const float* min_p;
  const int64_t* seed;
  const int32_t* draw;
  const float* frequency_penalty;
  const float* presence_penalty;
  const float* repetition_penalty;
  const int32_t* count_slot;
  const int32_t* bias_count;
  int64_t max_bias;
  Rows<const int32_t> bias_ids;
  Rows<const float> bias_values;
  Rows<int32_t> token_counts;
  int64_t num_slots;
  int32_t* token;
  BestLogit* parts;  // [rows, parts a row]
  float* edited;     // [rows, vocab]

  void choose(const Worker& worker) const;
  void join(const Worker& worker) const;

 private:
  int64_t parts_a_row() const { return (vocab + kPartSize - 1) / kPartSize; }
  bool is_greedy(int64_t row) const { return !(temperature[row] >= kGreedyTemperature); }
  bool has_counts(int64_t row) const { return count_slot[row] >= 0 && count_slot[row] < num_slots; }
  bool is_plain_greedy(int64_t row) const {
    return is_greedy(row) && !has_counts(row) && bias_count[row] <= 0;
  }
  void find_part(int64_t row, int64_t part) const;
  void join_parts(int64_t row) const;
  void sample_row(int64_t row) const;
  const float* edit_logits(int64_t row) const;
  void apply_penalties(int64_t row, float* edited_row) const;
  int32_t draw_token(int64_t row, const float* row_logits) const;
};

// Rows that need more than a maximum come first, each by one worker; the parts of the others fill the gaps.
void SampleBody::choose(const Worker& worker) const {
  const int64_t rows = live_count(live_rows, num_rows);
  const int64_t chunks = rows + rows * parts_a_row();
  for (int64_t chunk = worker.next_chunk(); chunk < chunks; chunk = worker.next_chunk()) {
    if (chunk < rows) {
      if (!is_plain_greedy(chunk)) sample_row(chunk);
      continue;
    }
    const int64_t part = chunk - rows;
    if (is_plain_greedy(part / parts_a_row())) find_part(part / parts_a_row(), part % parts_a_row());
  }
}

void SampleBody::join(const Worker& worker) const {
  const IndexRange rows = share_of(worker, live_count(live_rows, num_rows));
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    if (is_plain_greedy(row)) join_parts(row);
  }
}

void SampleBody::find_part(int64_t row, int64_t part) const {
  const int64_t begin = part * kPartSize;
  const int64_t size = std::min(kPartSize, vocab - begin);
  BestLogit best = best_logit(logits.row(row) + begin, size);
  best.index += static_cast<int32_t>(begin);
  parts[row * parts_a_row() + part] = best;
}

void SampleBody::join_parts(int64_t row) const {
  const BestLogit* first = parts + row * parts_a_row();
  BestLogit best = *first;
  for (int64_t part = 1; part < parts_a_row(); ++part) {
    if (first[part].value > best.value) best = first[part];
  }
  token[row] = best.index;
}

void SampleBody::sample_row(int64_t row) const {
  const float* row_logits = edit_logits(row);
  token[row] = is_greedy(row) ? best_logit(row_logits, vocab).index : draw_token(row, row_logits);
  if (has_counts(row)) ++token_counts.row(count_slot[row])[token[row]];
}

// The row as it is, or a copy with penalties and bias.
const float* SampleBody::edit_logits(int64_t row) const {
  const int64_t num_bias = std::min<int64_t>(bias_count[row], max_bias);
  if (!has_counts(row) && num_bias <= 0) return logits.row(row);
  float* edited_row = edited + row * vocab;
  std::copy_n(logits.row(row), vocab, edited_row);
  if (has_counts(row)) apply_penalties(row, edited_row);
  for (int64_t j = 0; j < num_bias; ++j) {
    const int32_t id = bias_ids.row(row)[j];
    if (id >= 0 && id < vocab) edited_row[id] += bias_values.row(row)[j];
  }
  return edited_row;
}

void SampleBody::apply_penalties(int64_t row, float* edited_row) const {
  constexpr int64_t kGroup = 64;  // counts looked at together: nearly all are 0
  const int32_t* counts = token_counts.row(count_slot[row]);
  const float repetition = repetition_penalty[row];
  for (int64_t first = 0; first < vocab; first += kGroup) {
    const int64_t end = std::min(first + kGroup, vocab);
    int32_t any = 0;
    for (int64_t id = first; id < end; ++id) any |= counts[id];
    if (any == 0) continue;
    for (int64_t id = first; id < end; ++id) {
      if (counts[id] <= 0) continue;
      const float logit = edited_row[id] > 0.0f ? edited_row[id] / repetition : edited_row[id] * repetition;
      edited_row[id] =
          logit - frequency_penalty[row] * static_cast<float>(counts[id]) - presence_penalty[row];
    }
  }
}

int32_t SampleBody::draw_token(int64_t row, const float* row_logits) const {
  const BestLogit best = best_logit(row_logits, vocab);
  if (std::isinf(best.value)) return best.index;
  const RowOrder order(row_logits, vocab, best.value, temperature[row]);
  // Each filter keeps a prefix of the order, so the shortest one is kept.
  double kept = order.total_mass();
  if (top_k[row] > 0 && top_k[row] < vocab) kept = order.first_tokens(top_k[row]).mass;
  if (top_p[row] < 1.0f) {
    const double wanted = std::max(double{top_p[row]} * kept, kWeightQuantum);
    kept = std::min(kept, order.first_mass(wanted).mass);
  }
  if (min_p[row] > 0.0f) kept = std::min(kept, order.mass_of_weights_from(std::min(min_p[row], 1.0f)));
  // In whole quanta, so that the sum that exceeds u · kept is compared without rounding.
  const double quanta = std::floor(uniform_draw(seed[row], draw[row]) * (kept / kWeightQuantum));
  return order.first_mass(std::min((quanta + 1.0) * kWeightQuantum, kept)).last;
}

int64_t part_bytes(int64_t vocab) {
  return (vocab + kPartSize - 1) / kPartSize * static_cast<int64_t>(sizeof(BestLogit));
}

Dim workspace_bytes(const KernelQuery& query) {
  const Meta& logits = *query.inputs[sample_inputs::kLogits];
  const int64_t vocab = logits.dim(1).constant();
  return logits.dim(0) * Dim(part_bytes(vocab) + vocab * static_cast<int64_t>(sizeof(float)));
}

bool supports(const KernelQuery& query) {
  const Dim& vocab = query.inputs[sample_inputs::kLogits]->dim(1);
  return vocab.is_constant() && vocab.constant() >= 1 && vocab.constant() <= kMaxExactWeights;
}

void run(const KernelCall& call) {
  using namespace sample_inputs;
  const auto in = call.inputs;
  const int64_t rows = in[kLogits].shape[0];
  const int64_t vocab = in[kLogits].shape[1];
  auto* workspace = call.workspace.as<std::byte>();
  const SampleBody body{
      .logits = rows_of<const float>(in[kLogits]),
      .num_rows = rows,
      .vocab = vocab,
      .live_rows = call.live_rows,
      .temperature = in[kTemperature].as<const float>(),
      .top_k = in[kTopK].as<const int32_t>(),
      .top_p = in[kTopP].as<const float>(),
      .min_p = in[kMinP].as<const float>(),
      .seed = in[kSeed].as<const int64_t>(),
      .draw = in[kDraw].as<const int32_t>(),
      .frequency_penalty = in[kFrequencyPenalty].as<const float>(),
      .presence_penalty = in[kPresencePenalty].as<const float>(),
      .repetition_penalty = in[kRepetitionPenalty].as<const float>(),
      .count_slot = in[kCountSlot].as<const int32_t>(),
      .bias_count = in[kBiasCount].as<const int32_t>(),
      .max_bias = in[kBiasIds].shape[1],
      .bias_ids = rows_of<const int32_t>(in[kBiasIds]),
      .bias_values = rows_of<const float>(in[kBiasValues]),
      .token_counts = rows_of<int32_t>(in[kTokenCounts]),
      .num_slots = in[kTokenCounts].shape[0],
      .token = call.outputs[0].as<int32_t>(),
      .parts = reinterpret_cast<BestLogit*>(workspace),
      .edited = reinterpret_cast<float*>(workspace + rows * part_bytes(vocab)),
  };
  CpuStream& stream = cpu_stream(call.stream);
  stream.launch([body](const Worker& worker) { body.choose(worker); });
  stream.launch([body](const Worker& worker) { body.join(worker); });
}

}  // namespace

void add_sample_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::sample", {.name = "sample_prefix_selection",
                                         .device_type = "cpu",
                                         .supports = supports,
                                         .run = run,
                                         .workspace_bytes = workspace_bytes});
}

}  // namespace musaic
