#include "weights/random_weights.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

// Of FP8 values before they are scaled: the largest, 3.5 deviations, is far from 448 and the steps are fine.
constexpr float kFp8Deviation = 64;

float matrix_deviation(int64_t inputs) {
  return 1.0f / std::sqrt(static_cast<float>(inputs));
}

Distribution distribution_of(const WeightShape& weight) {
  if (weight.storage == WeightStorage::kFp8) return {0.0f, kFp8Deviation};
  if (weight.shape.rank() == 2) return {0.0f, matrix_deviation(weight.shape[1])};
  return {weight.name.ends_with(".bias") ? 0.0f : 1.0f, 0.1f};
}

void store(DType dtype, std::byte* out, float value) {
  if (dtype == DType::kF32) {
    std::memcpy(out, &value, sizeof(value));
  } else if (dtype == DType::kF8E4M3) {
    *out = std::byte{float_to_f8e4m3(value)};
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

DType dtype_of(const WeightShape& weight, DType plain) {
  if (weight.storage == WeightStorage::kFp8) return DType::kF8E4M3;
  return weight.storage == WeightStorage::kFp8Scale ? DType::kF32 : plain;
}

// The scale of every block of the FP8 weight that was listed just before.
void fill_scales(const WeightShape& scales, int64_t inputs, std::byte* out) {
  const float scale = matrix_deviation(inputs) / kFp8Deviation;
  for (int64_t i = 0; i < scales.shape.elements(); ++i)
    std::memcpy(out + i * static_cast<int64_t>(sizeof(scale)), &scale, sizeof(scale));
}

class RandomWeights : public WeightSource {
 public:
  RandomWeights(const ModelConfig& config, DType plain, uint64_t seed) : shapes_(list_weight_shapes(config)) {
    for (const WeightShape& weight : shapes_) {
      const DType dtype = dtype_of(weight, plain);
      const size_t bytes = byte_size(dtype, weight.shape.elements());
      auto values = std::make_unique_for_overwrite<std::byte[]>(bytes);
      WeightTensor tensor{.name = weight.name,
                          .source_name = weight.name,
                          .dtype = dtype,
                          .shape = weight.shape,
                          .data = values.get(),
                          .bytes = bytes};
      tensors_.emplace(weight.name, Owned{std::move(tensor), std::move(values)});
    }
    fill_all(seed);
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

  void fill_all(uint64_t seed) {
    std::atomic<size_t> next{0};
    const auto work = [&] {
      for (size_t i = next++; i < shapes_.size(); i = next++) {
        const Owned& owned = tensors_.at(shapes_[i].name);
        if (shapes_[i].storage == WeightStorage::kFp8Scale) {
          fill_scales(shapes_[i], shapes_[i - 1].shape[1], owned.values.get());
        } else {
          fill(shapes_[i], owned.tensor.dtype, seed, owned.values.get());
        }
      }
    };
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) threads.emplace_back(work);
    work();
  }

  std::vector<WeightShape> shapes_;
  std::map<std::string, Owned, std::less<>> tensors_;
};

}  // namespace

std::unique_ptr<WeightSource> make_random_weights(const ModelConfig& config, DType dtype, uint64_t seed) {
  CHECK(dtype == DType::kF32 || dtype == DType::kBF16, "random weights of type {}", name(dtype));
  return std::make_unique<RandomWeights>(config, dtype, seed);
}

}  // namespace musaic
