#include "weights/random_weights.h"

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "base/check.h"
#include "tensor/half.h"
#include "weights/weight_shapes.h"

namespace musaic {
namespace {

// SplitMix64.
class Random {
 public:
  explicit Random(uint64_t state) : state_(state) {}

  uint64_t next() {
    state_ += 0x9E3779B97F4A7C15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  // Near normal, of mean 0 and variance 1: four uniform 16-bit numbers added.
  float normal() {
    const uint64_t bits = next();
    const auto sum =
        static_cast<float>((bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48));
    constexpr float kMean = 4 * 65535 / 2.0f;
    constexpr float kInverseDeviation = 1.7320508f / 65536;  // each has variance 2^32 / 12
    return (sum - kMean) * kInverseDeviation;
  }

 private:
  uint64_t state_;
};

// FNV-1a: a tensor's values depend on its name, not on its place in the list.
uint64_t hash_name(std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (unsigned char c : name) hash = (hash ^ c) * 0x100000001B3u;
  return hash;
}

struct Distribution {
  float mean, deviation;
};

Distribution distribution_of(const WeightShape& weight) {
  if (weight.shape.rank() == 2) return {0.0f, 1.0f / std::sqrt(static_cast<float>(weight.shape[1]))};
  return {weight.name.ends_with(".bias") ? 0.0f : 1.0f, 0.1f};
}

void store(DType dtype, std::byte* out, float value) {
  if (dtype == DType::kF32) {
    std::memcpy(out, &value, sizeof(value));
  } else {
    const uint16_t bits = float_to_bf16(value);
    std::memcpy(out, &bits, sizeof(bits));
  }
}

void fill(const WeightShape& weight, DType dtype, uint64_t seed, std::byte* out) {
  Random random(seed ^ hash_name(weight.name));
  const Distribution distribution = distribution_of(weight);
  const int step = dtype_info(dtype).block_bytes;
  const int64_t elements = weight.shape.elements();
  for (int64_t i = 0; i < elements; ++i) {
    store(dtype, out + i * step, distribution.mean + distribution.deviation * random.normal());
  }
}

class RandomWeights : public WeightSource {
 public:
  RandomWeights(const ModelConfig& config, DType dtype, uint64_t seed) {
    for (const WeightShape& weight : list_weight_shapes(config)) {
      const size_t bytes = byte_size(dtype, weight.shape.elements());
      auto values = std::make_unique_for_overwrite<std::byte[]>(bytes);
      fill(weight, dtype, seed, values.get());
      WeightTensor tensor{.name = weight.name,
                          .source_name = weight.name,
                          .dtype = dtype,
                          .shape = weight.shape,
                          .data = values.get(),
                          .bytes = bytes};
      tensors_.emplace(weight.name, Owned{std::move(tensor), std::move(values)});
    }
  }

  const WeightTensor* find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second.tensor;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> result;
    for (const auto& [name, owned] : tensors_) result.push_back(name);
    return result;
  }
  void drop_pages(const WeightTensor&) const override {}  // no file could bring them back
  std::string origin() const override { return "the random weights"; }

 private:
  struct Owned {
    WeightTensor tensor;
    std::unique_ptr<std::byte[]> values;
  };
  std::map<std::string, Owned, std::less<>> tensors_;
};

}  // namespace

std::unique_ptr<WeightSource> make_random_weights(const ModelConfig& config, DType dtype, uint64_t seed) {
  CHECK(dtype == DType::kF32 || dtype == DType::kBF16, "random weights of type {}", name(dtype));
  return std::make_unique<RandomWeights>(config, dtype, seed);
}

}  // namespace musaic
