#pragma once

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "backends/cpu/cpu_backend.h"
#include "models/model.h"
#include "ops/kernels_cpu.h"
#include "ops/op_list.h"
#include "runner/graph_runner.h"
#include "weights/model_files.h"

namespace musaic {

inline WeightRows read_test_rows(const WeightSource& source, const GraphValue& weight) {
  const int64_t columns = weight.meta.rank() == 1 ? 1 : weight.meta.dim(-1).constant();
  WeightRows rows{.dtype = weight.meta.dtype, .rows = 0, .columns = columns, .parts = {}};
  for (const std::string& part : weight.weight_parts) {
    const WeightTensor& tensor = *source.find(part);
    rows.parts.push_back({tensor.shape[0], tensor.data});
    rows.rows += tensor.shape[0];
  }
  return rows;
}

// One of tests/data/tiny on the CPU, in float32.
class TinyModel {
 public:
  explicit TinyModel(const std::string& name, GraphRunnerOptions options = {}, CpuBackendOptions backend = {})
      : files_(open_model(std::string(MUSAIC_TEST_DATA) + "/tiny/" + name)), backend_(backend) {
    define_ops(registry_);
    add_cpu_kernels(registry_);
    std::ifstream file(std::string(MUSAIC_TEST_DATA) + "/tiny/" + name + "/golden.json");
    golden_ = nlohmann::json::parse(file).at("golden");
    model_ = make_model(files_.config, files_.weights.get(), {.kv_dtype = DType::kF32, .page_size = 16});
    options.graphs.quantize_activations = false;
    if (options.num_pages == 0) options.num_pages = 128;
    runner_ = std::make_unique<GraphRunner>(*model_, target_, backend_, options);
    runner_->load({.read = [&](const GraphValue& weight) { return read_test_rows(*files_.weights, weight); },
                   .release = [](const GraphValue&) {}},
                  2, {});
  }

  GraphRunner& runner() { return *runner_; }
  const nlohmann::json& golden() const { return golden_; }
  const ModelConfig& config() const { return files_.config; }

  // A sequence of its own pages: page 0 of slot s is s · max pages + 1, shuffled by a stride.
  BatchSequence sequence(int slot, std::vector<TokenId> tokens, int start, bool sample) const {
    BatchSequence sequence{
        .request = static_cast<RequestId>(slot + 1), .slot = slot, .start = start, .sample = sample};
    const int length = start + static_cast<int>(tokens.size());
    for (int page = 0; page * 16 < length; ++page) sequence.pages.push_back((slot * 16 + page) * 5 % 128);
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
  ModelFiles files_;
  OpRegistry registry_;
  CpuBackend backend_;
  Target target_{registry_, backend_.device(), backend_.capabilities()};
  std::unique_ptr<Model> model_;
  std::unique_ptr<GraphRunner> runner_;
  nlohmann::json golden_;
};

}  // namespace musaic
