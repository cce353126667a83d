#include "ops/sample/row_order.h"

#include <algorithm>

#include "ops/sample/row_kernels.h"

namespace musaic {
namespace {

// One step of the selection: the tokens whose key has the bits chosen so far, counted by the next bits.
struct Digit {
  int shift;
  int bits;
};
constexpr int kMaxDigitBits = 11;
constexpr std::array<Digit, 3> kDigits = {{{21, 11}, {10, 11}, {0, 10}}};

struct Bin {
  int64_t count = 0;
  double mass = 0.0;
};
using Histogram = std::array<Bin, 1 << kMaxDigitBits>;

}  // namespace

template <class Visit>
void RowOrder::for_each_block(Visit visit) const {
  std::array<float, kBlock> weights;
  for (int64_t first = 0; first < size_; first += kBlock) {
    const int64_t count = std::min(kBlock, size_ - first);
    const double mass = exp_weights(logits_ + first, count, max_, scale_, weights.data());
    visit(first, weights.data(), count, mass);
  }
}

RowOrder::RowOrder(const float* logits, int64_t size, float max, float temperature)
    : logits_(logits), size_(size), max_(max), scale_(1.0f / temperature) {
  total_mass_ = sum_and_collect_head(kHeadDepth * temperature);
  std::sort(head_.begin(), head_.begin() + head_size_,
            [](const HeadToken& a, const HeadToken& b) { return a.order < b.order; });
}

double RowOrder::sum_and_collect_head(float depth) {
  double sum = 0.0;
  std::array<int32_t, kBlock> ids;
  for_each_block([&](int64_t first, const float* weights, int64_t count, double mass) {
    sum += mass;
    const int64_t found =
        indices_at_least(logits_ + first, count, max_ - depth, static_cast<int32_t>(first), ids.data());
    for (int64_t i = 0; i < found; ++i) {
      if (head_size_ == kMaxHead) depth = cut_head(depth);
      if (head_size_ == kMaxHead) return;
      const float logit = clean_logit(logits_[ids[i]]);
      if (logit < max_ - depth) continue;  // cut since this block was looked through
      head_[head_size_++] = {uint64_t{descending_key(logit)} << 32 | static_cast<uint32_t>(ids[i]),
                             weights[ids[i] - first]};
    }
  });
  return sum;
}

// Halves the depth until a token drops out, or only tokens equal to the largest are left.
float RowOrder::cut_head(float depth) {
  while (head_size_ == kMaxHead && max_ - depth < max_) {
    depth *= 0.5f;
    const uint64_t limit = uint64_t{descending_key(max_ - depth)} << 32 | 0xffffffffu;
    const auto end = std::remove_if(head_.begin(), head_.begin() + head_size_,
                                    [&](const HeadToken& token) { return token.order > limit; });
    head_size_ = static_cast<int>(end - head_.begin());
  }
  return depth;
}

double RowOrder::mass_of_weights_from(float minimum) const {
  double sum = 0.0;
  for_each_block([&](int64_t, const float* weights, int64_t count, double) {
    for (int64_t i = 0; i < count; ++i) sum += weights[i] >= minimum ? exact_weight(weights[i]) : 0.0;
  });
  return sum;
}

RowOrder::Prefix RowOrder::shortest(const Goal& goal) const {
  Prefix prefix;
  for (int i = 0; i < head_size_; ++i) {
    prefix = {prefix.count + 1, prefix.mass + exact_weight(head_[i].weight),
              static_cast<int32_t>(head_[i].order & 0xffffffffu)};
    if (goal.reached_by(prefix)) return prefix;
  }
  return select(goal);
}

RowOrder::Prefix RowOrder::select(const Goal& goal) const {
  Prefix before;      // of the tokens with smaller keys
  uint32_t key = 0;   // the digits chosen so far
  uint32_t mask = 0;  // where they are
  Histogram histogram;
  std::array<uint32_t, kBlock> keys;
  int bin = 0;
  for (const Digit& digit : kDigits) {
    const int bins = 1 << digit.bits;
    std::fill_n(histogram.begin(), bins, Bin{});
    for_each_block([&](int64_t first, const float* weights, int64_t count, double) {
      descending_keys(logits_ + first, count, keys.data());
      for (int64_t i = 0; i < count; ++i) {
        if ((keys[i] & mask) != key) continue;
        Bin& target = histogram[(keys[i] >> digit.shift) & (bins - 1)];
        target.count += 1;
        target.mass += exact_weight(weights[i]);
      }
    });
    for (bin = 0; bin < bins - 1; ++bin) {
      const Prefix after{before.count + histogram[bin].count, before.mass + histogram[bin].mass, 0};
      if (histogram[bin].count > 0 && goal.reached_by(after)) break;
      before = after;
    }
    key |= static_cast<uint32_t>(bin) << digit.shift;
    mask |= static_cast<uint32_t>(bins - 1) << digit.shift;
  }
  const double weight = histogram[bin].mass / std::max<int64_t>(1, histogram[bin].count);
  return take_equal(goal, before, key, weight);
}

// All tokens with one key have one logit and so one weight: as many as the goal needs, by id.
RowOrder::Prefix RowOrder::take_equal(const Goal& goal, Prefix prefix, uint32_t key, double weight) const {
  for (int64_t id = 0; id < size_; ++id) {
    if (descending_key(logits_[id]) != key) continue;
    prefix = {prefix.count + 1, prefix.mass + weight, static_cast<int32_t>(id)};
    if (goal.reached_by(prefix)) break;
  }
  return prefix;
}

}  // namespace musaic
