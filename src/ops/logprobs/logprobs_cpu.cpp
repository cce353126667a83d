#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "ops/logprobs/logprobs.h"
#include "ops/sample/row_kernels.h"

namespace musaic {
namespace {

constexpr int64_t kBlock = 1024;
constexpr int64_t kMaxTopN = 1024;  // room for the best tokens on the stack
constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();

// The largest logits seen so far, at least the best `wanted` of them.
class BestTokens {
 public:
  explicit BestTokens(int64_t wanted) : wanted_(wanted) {}

  void add(const float* logits, int64_t first, int64_t count) {
    std::array<int32_t, kBlock> ids;
    const int64_t found =
        indices_at_least(logits + first, count, threshold_, static_cast<int32_t>(first), ids.data());
    for (int64_t i = 0; i < found; ++i) {
      orders_[size_++] = uint64_t{descending_key(logits[ids[i]])} << 32 | static_cast<uint32_t>(ids[i]);
    }
    if (size_ < wanted_) return;
    std::nth_element(orders_.begin(), orders_.begin() + wanted_ - 1, orders_.begin() + size_);
    size_ = wanted_;
    threshold_ = clean_logit(logits[id(wanted_ - 1)]);
  }
  int64_t sort() {
    std::sort(orders_.begin(), orders_.begin() + size_);
    return size_;
  }
  int32_t id(int64_t place) const { return static_cast<int32_t>(orders_[place] & 0xffffffffu); }

 private:
  int64_t wanted_;
  int64_t size_ = 0;
  float threshold_ = kNegativeInfinity;
  std::array<uint64_t, kMaxTopN + kBlock> orders_;  // descending_key, then id
};

// log_softmax of one row; the normaliser is kept in double.
class RowLogprobs {
 public:
  RowLogprobs(const float* logits, int64_t vocab) : logits_(logits), vocab_(vocab) {
    const float max = best_logit(logits, vocab).value;
    if (std::isinf(max)) return;
    std::array<float, kBlock> weights;
    double sum = 0.0;
    for (int64_t first = 0; first < vocab; first += kBlock) {
      sum += exp_weights(logits + first, std::min(kBlock, vocab - first), max, 1.0f, weights.data());
    }
    normalizer_ = max + std::log(sum);
  }
  float at(int32_t id) const {
    if (id < 0 || id >= vocab_ || std::isinf(normalizer_)) return kNegativeInfinity;
    return static_cast<float>(clean_logit(logits_[id]) - normalizer_);
  }

 private:
  const float* logits_;
  int64_t vocab_;
  double normalizer_ = std::numeric_limits<double>::infinity();
};

struct LogprobsBody {
  const float* logits;
  int64_t stride;
  int64_t num_rows;
  int64_t vocab;
  const int32_t* live_rows;
  const int32_t* target;
  const int32_t* top_n;
  const int32_t* probe_count;
  const int32_t* probe_ids;
  int64_t probe_stride;
  int64_t max_probes;
  int64_t max_top_n;
  float* target_logprob;
  int32_t* top_ids;
  float* top_logprobs;
  float* probe_logprobs;

  void operator()(const Worker& worker) const {
    const int64_t rows = live_count(live_rows, num_rows);
    for (int64_t row = worker.next_chunk(); row < rows; row = worker.next_chunk()) compute(row);
  }

 private:
  void compute(int64_t row) const {
    const int64_t num_top = std::clamp<int64_t>(top_n[row], 0, max_top_n);
    const int64_t num_probes = std::clamp<int64_t>(probe_count[row], 0, max_probes);
    target_logprob[row] = 0.0f;
    if (target[row] < 0 && num_top == 0 && num_probes == 0) return;
    const float* row_logits = logits + row * stride;
    const RowLogprobs logprobs(row_logits, vocab);
    if (target[row] >= 0) target_logprob[row] = logprobs.at(target[row]);
    for (int64_t i = 0; i < num_probes; ++i) {
      probe_logprobs[row * max_probes + i] = logprobs.at(probe_ids[row * probe_stride + i]);
    }
    if (num_top > 0) write_top(row, num_top, row_logits, logprobs);
  }

  void write_top(int64_t row, int64_t num_top, const float* row_logits, const RowLogprobs& logprobs) const {
    BestTokens best(num_top);
    for (int64_t first = 0; first < vocab; first += kBlock) {
      best.add(row_logits, first, std::min(kBlock, vocab - first));
    }
    const int64_t found = best.sort();
    for (int64_t i = 0; i < num_top; ++i) {
      const int32_t id = i < found ? best.id(i) : -1;  // a vocabulary smaller than top_n
      top_ids[row * max_top_n + i] = id;
      top_logprobs[row * max_top_n + i] = logprobs.at(id);
    }
  }
};

bool supports(const KernelQuery& query) {
  const Dim& vocab = query.inputs[0]->dim(1);
  return vocab.is_constant() && vocab.constant() <= kMaxExactWeights &&
         query.attributes.get_int("max_top_n") <= kMaxTopN;
}

void run(const KernelCall& call) {
  const auto in = call.inputs;
  const LogprobsBody body{
      .logits = in[0].as<const float>(),
      .stride = in[0].strides[0],
      .num_rows = in[0].shape[0],
      .vocab = in[0].shape[1],
      .live_rows = call.live_rows,
      .target = in[1].as<const int32_t>(),
      .top_n = in[2].as<const int32_t>(),
      .probe_count = in[3].as<const int32_t>(),
      .probe_ids = in[4].as<const int32_t>(),
      .probe_stride = in[4].strides[0],
      .max_probes = in[4].shape[1],
      .max_top_n = call.attributes.get_int("max_top_n"),
      .target_logprob = call.outputs[0].as<float>(),
      .top_ids = call.outputs[1].as<int32_t>(),
      .top_logprobs = call.outputs[2].as<float>(),
      .probe_logprobs = call.outputs[3].as<float>(),
  };
  cpu_stream(call.stream).launch(body);
}

}  // namespace

void add_logprobs_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::logprobs",
                      {.name = "logprobs_exact_sum", .device_type = "cpu", .supports = supports, .run = run});
}

}  // namespace musaic
