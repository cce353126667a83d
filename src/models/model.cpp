#include "models/model.h"

#include "base/status.h"
#include "models/architectures.h"

namespace musaic {
namespace {

struct Architecture {
  const char* model_type;
  std::unique_ptr<Model> (*make)(const ModelConfig&, const WeightSource*, const ModelOptions&);
};

constexpr Architecture kArchitectures[] = {
    {"deepseek_v2", make_deepseek_v2}, {"llama", make_llama}, {"qwen2", make_qwen2}, {"qwen3", make_qwen3}};

}  // namespace

size_t CacheSpec::bytes_per_token() const {
  size_t bytes = 0;
  for (const CacheState& state : states) bytes += byte_size(dtype, int64_t{state.heads} * state.width);
  return bytes;
}

std::unique_ptr<Model> make_model(const ModelConfig& config, const WeightSource* weights,
                                  const ModelOptions& options) {
  for (const Architecture& architecture : kArchitectures) {
    if (config.model_type == architecture.model_type) return architecture.make(config, weights, options);
  }
  std::string known;
  for (const std::string& type : model_types()) known += (known.empty() ? "" : ", ") + type;
  fail_load("model_type {} is not supported; there are: {}", config.model_type, known);
}

std::vector<std::string> model_types() {
  std::vector<std::string> types;
  for (const Architecture& architecture : kArchitectures) types.emplace_back(architecture.model_type);
  return types;
}

}  // namespace musaic
