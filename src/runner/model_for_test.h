#pragma once

#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/model.h"
#include "ops/op_list.h"
#include "ops/testing/test_device.h"
#include "runner/graph_runner.h"
#include "runner/weight_rows.h"
#include "weights/model_files.h"
#include "weights/quantized_weights.h"
#include "weights/random_weights.h"

namespace musaic {

// What a test changes in the device.
struct TestDevice {
  std::function<void(OpRegistry&)> kernels_first;  // adds kernels that are taken before the built-in ones
  std::vector<std::string> lacks;                  // features
  std::vector<std::string> has;                    // features besides the device's own
  std::unique_ptr<Backend> backend;                // nullptr: the tests' device
  bool deepgemm_layouts = false;                   // of experts' rows
  bool one_form = false;                           // of extend and decode steps
  bool quantize_fp8 = false;                       // linears are quantized as they are loaded
};

// A model on the CPU or another device, in float32 or on the integer path. A folder with a configuration
// alone has random weights.
class TestModel {
 public:
  explicit TestModel(const std::string& path, GraphRunnerOptions options = {}, bool exact = true,
                     TestDevice device = {})
      : files_(open_model(path)), backend_(device.backend ? std::move(device.backend) : make_test_backend()) {
    if (files_.weights == nullptr) files_.weights = make_random_weights(files_.config, DType::kBF16, 1);
    if (device.quantize_fp8) {
      files_.config.fp8.emplace();
      files_.weights = quantize_weights(std::move(files_.weights), files_.config);
    }
    define_ops(registry_);
    if (device.kernels_first) device.kernels_first(registry_);
    add_test_kernels(registry_);
    for (const std::string& feature : device.lacks) capabilities_.features.erase(feature);
    capabilities_.features.insert(device.has.begin(), device.has.end());
    const DType kv_dtype = exact ? DType::kF32 : DType::kF16;
    model_ = make_model(files_.config, files_.weights.get(),
                        {.kv_dtype = kv_dtype,
                         .page_size = kPageSize,
                         .deepgemm_layouts = device.deepgemm_layouts,
                         .one_form = device.one_form});
    options.graphs.quantize_activations = !exact;
    if (options.num_pages == 0) options.num_pages = 256;
    num_pages_ = options.num_pages;
    runner_ = std::make_unique<GraphRunner>(*model_, target_, *backend_, options);
    runner_->load(
        {.read = [&](const GraphValue& weight) { return read_weight_rows(*files_.weights, weight); },
         .maker = [&](const GraphValue& weight) { return weight_row_maker(*files_.weights, weight); },
         .release = [](const GraphValue&) {}},
        2, {});
  }

  GraphRunner& runner() { return *runner_; }
  Backend& backend() { return *backend_; }
  const ModelConfig& config() const { return files_.config; }

  // A sequence whose pages lie scattered over the pool, none of them another slot's.
  BatchSequence sequence(int slot, std::vector<TokenId> tokens, int start, bool sample) const {
    BatchSequence sequence{
        .request = static_cast<RequestId>(slot + 1), .slot = slot, .start = start, .sample = sample};
    const int length = start + static_cast<int>(tokens.size());
    for (int page = 0; page * kPageSize < length; ++page) {
      sequence.pages.push_back((slot * kPagesPerSlot + page) * 5 % num_pages_);  // 5 has no factor in common
    }
    sequence.tokens = std::move(tokens);
    sequence.sampling.temperature = 0.0f;
    sequence.sampling.seed = 1;
    return sequence;
  }

  StepOutput run(Batch batch) {
    auto output = runner_->collect(runner_->launch(batch));
    return std::move(output).value();
  }

  // Greedy tokens of one prompt alone, in chunks of `chunk` tokens.
  std::vector<TokenId> generate(int slot, std::vector<TokenId> prompt, int count, int chunk) {
    std::vector<TokenId> tokens;
    int start = 0;
    while (static_cast<int>(tokens.size()) < count) {
      const bool prefill = start < static_cast<int>(prompt.size());
      std::vector<TokenId> step = {prefill ? TokenId{0} : tokens.back()};
      if (prefill)
        step.assign(prompt.begin() + start, prompt.begin() + std::min<int>(start + chunk, prompt.size()));
      const int length = start + static_cast<int>(step.size());
      const bool sample = length >= static_cast<int>(prompt.size());
      const auto output =
          run({prefill ? StepKind::kExtend : StepKind::kDecode, {sequence(slot, step, start, sample)}});
      if (sample) tokens.push_back(output.sequences[0].tokens[0]);
      start = length;
    }
    return tokens;
  }

 private:
  static constexpr int kPageSize = 16;
  static constexpr int kPagesPerSlot = 16;

  ModelFiles files_;
  OpRegistry registry_;
  std::unique_ptr<Backend> backend_;
  Capabilities capabilities_ = backend_->capabilities();
  Target target_{registry_, backend_->device(), capabilities_};
  std::unique_ptr<Model> model_;
  std::unique_ptr<GraphRunner> runner_;
  int num_pages_ = 0;
};

inline nlohmann::json read_test_json(const std::string& name) {
  std::ifstream file(std::string(MUSAIC_TEST_DATA) + "/" + name);
  return nlohmann::json::parse(file);
}

// One of tests/data/tiny, in float32 unless it is not to be exact.
class TinyModel : public TestModel {
 public:
  explicit TinyModel(const std::string& name, GraphRunnerOptions options = {}, TestDevice device = {},
                     bool exact = true)
      : TestModel(std::string(MUSAIC_TEST_DATA) + "/tiny/" + name, options, exact, std::move(device)),
        golden_(read_test_json("tiny/" + name + "/golden.json").at("golden")) {}

  const nlohmann::json& golden() const { return golden_; }

 private:
  nlohmann::json golden_;
};

}  // namespace musaic
