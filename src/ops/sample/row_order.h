#pragma once

#include <array>
#include <cstdint>

namespace musaic {

// The tokens of one row in sampling order (descending logit, equal ones by id) with their softmax weights
// exp((l - max) / temperature), without sorting the vocabulary: the heaviest tokens are sorted ahead, the
// rest is reached by selection over the bits of the logits. Lives on the stack; does not allocate.
class RowOrder {
 public:
  // A place in the order: the tokens up to and with `last`.
  struct Prefix {
    int64_t count = 0;
    double mass = 0.0;  // exact sum of exact_weight
    int32_t last = 0;
  };

  // REQUIRES: some logit is finite; max is the largest clean logit; temperature > 0; size <=
  // kMaxExactWeights.
  RowOrder(const float* logits, int64_t size, float max, float temperature);

  double total_mass() const { return total_mass_; }
  // Sum over the tokens with weight >= minimum.
  double mass_of_weights_from(float minimum) const;

  // The shortest prefix with `count` tokens at least. REQUIRES: 1 <= count <= size.
  Prefix first_tokens(int64_t count) const { return shortest({count, 0.0}); }
  // The shortest prefix with this mass at least. REQUIRES: 0 < mass <= total_mass().
  Prefix first_mass(double mass) const { return shortest({1, mass}); }

 private:
  static constexpr int kMaxHead = 1024;      // tokens sorted ahead
  static constexpr float kHeadDepth = 8.0f;  // with (max - l) / temperature up to it: weight >= 3e-4
  static constexpr int64_t kBlock = 1024;

  struct Goal {
    int64_t count;
    double mass;
    bool reached_by(const Prefix& prefix) const { return prefix.count >= count && prefix.mass >= mass; }
  };
  struct HeadToken {
    uint64_t order;  // descending_key, then id
    float weight;
  };

  Prefix shortest(const Goal& goal) const;
  Prefix select(const Goal& goal) const;
  Prefix take_equal(const Goal& goal, Prefix prefix, uint32_t key, double weight) const;
  double sum_and_collect_head(float depth);
  float cut_head(float depth);
  // Calls visit(first id, weights, count, sum of exact_weight) for each block of the row.
  template <class Visit>
  void for_each_block(Visit visit) const;

  const float* logits_;
  int64_t size_;
  float max_;
  float scale_;
  double total_mass_ = 0.0;
  int head_size_ = 0;
  std::array<HeadToken, kMaxHead> head_;
};

}  // namespace musaic
