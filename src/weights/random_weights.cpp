#include "weights/random_weights.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "tensor/random_values.h"
#include "weights/weight_shapes.h"

namespace musaic {
namespace {

// FNV-1a: a tensor's values depend on its name, not on its place in the list.
uint64_t hash_name(std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (unsigned char c : name) hash = (hash ^ c) * 0x100000001B3u;
  return hash;
}

// Of FP8 values before they are scaled: the largest, 3.5 deviations, is far from 448 and the steps are fine.
constexpr float kFp8Deviation = 64;

float matrix_deviation(int64_t inputs) {
  return 1.0f / std::sqrt(static_cast<float>(inputs));
}

// `inputs`: of the matrix, or of the one that scales belong to.
RandomValues values_of(const WeightShape& weight, int64_t inputs, uint64_t seed) {
  RandomValues values{.seed = seed ^ hash_name(weight.name)};
  if (weight.storage == WeightStorage::kFp8Scale) {
    values.mean = matrix_deviation(inputs) / kFp8Deviation;
    values.deviation = 0.0f;
  } else if (weight.storage == WeightStorage::kFp8) {
    values.deviation = kFp8Deviation;
  } else if (weight.shape.rank() == 2) {
    values.deviation = matrix_deviation(inputs);
  } else {
    values.mean = weight.name.ends_with(".bias") ? 0.0f : 1.0f;
    values.deviation = 0.1f;
  }
  return values;
}

DType dtype_of(const WeightShape& weight, DType plain) {
  if (weight.storage == WeightStorage::kFp8) return DType::kF8E4M3;
  return weight.storage == WeightStorage::kFp8Scale ? DType::kF32 : plain;
}

class RandomWeights : public WeightSource {
 public:
  RandomWeights(const ModelConfig& config, DType plain, uint64_t seed) {
    int64_t inputs = 0;
    for (const WeightShape& weight : list_weight_shapes(config)) {
      if (weight.storage != WeightStorage::kFp8Scale)
        inputs = weight.shape[-1];  // scales follow their weight
      const DType dtype = dtype_of(weight, plain);
      const WeightTensor tensor{.name = weight.name,
                                .source_name = weight.name,
                                .dtype = dtype,
                                .shape = weight.shape,
                                .bytes = byte_size(dtype, weight.shape.elements())};
      made_.emplace(weight.name, Made{tensor, values_of(weight, inputs, seed), nullptr});
    }
  }

  const WeightTensor* find(std::string_view name) const override {
    const auto found = made_.find(name);
    return found == made_.end() ? nullptr : &found->second.tensor;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> result;
    for (const auto& [name, made] : made_) result.push_back(name);
    return result;
  }
  void drop_pages(const WeightTensor&) const override {}  // no file could bring them back
  std::string origin() const override { return "the random weights"; }
  const RandomValues* recipe(const WeightTensor& tensor) const override {
    return &made_.at(tensor.name).values;
  }
  void make_values() const override {
    std::call_once(are_made_, [this] { make_all(); });
  }

 private:
  struct Made {
    WeightTensor tensor;
    RandomValues values;
    std::unique_ptr<std::byte[]> memory;
  };
  // Values [begin, end) of one tensor.
  struct Task {
    const Made* made;
    int64_t begin;
    int64_t end;
  };

  std::vector<Task> allocate() const {
    constexpr int64_t kValuesPerTask = 1 << 20;
    std::vector<Task> tasks;
    for (auto& [name, made] : made_) {
      made.memory = std::make_unique_for_overwrite<std::byte[]>(made.tensor.bytes);
      made.tensor.data = made.memory.get();
      const int64_t count = made.tensor.shape.elements();
      for (int64_t begin = 0; begin < count; begin += kValuesPerTask)
        tasks.push_back({&made, begin, std::min(begin + kValuesPerTask, count)});
    }
    return tasks;
  }

  void make_all() const {
    const std::vector<Task> tasks = allocate();
    std::atomic<size_t> next{0};
    const auto work = [&] {
      for (size_t i = next++; i < tasks.size(); i = next++) {
        const auto& [made, begin, end] = tasks[i];
        const DType dtype = made->tensor.dtype;
        made->values.fill(dtype, static_cast<uint64_t>(begin), end - begin,
                          made->memory.get() + begin * dtype_info(dtype).block_bytes);
      }
    };
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) threads.emplace_back(work);
    work();
  }

  mutable std::once_flag are_made_;
  mutable std::map<std::string, Made, std::less<>> made_;  // memory comes with make_values
};

}  // namespace

std::unique_ptr<WeightSource> make_random_weights(const ModelConfig& config, DType dtype, uint64_t seed) {
  CHECK(dtype == DType::kF32 || dtype == DType::kBF16, "random weights of type {}", name(dtype));
  return std::make_unique<RandomWeights>(config, dtype, seed);
}

}  // namespace musaic
