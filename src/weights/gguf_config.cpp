#include "weights/gguf_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "base/status.h"

namespace musaic {
namespace {

// Metadata under the architecture's prefix: "attention.head_count" of a llama is
// `llama.attention.head_count`.
class ArchitectureKeys {
 public:
  ArchitectureKeys(const GgufFile& gguf, std::string prefix) : gguf_(gguf), prefix_(std::move(prefix)) {}

  std::string file() const { return gguf_.path().string(); }
  std::string full(std::string_view key) const { return fmt::format("{}.{}", prefix_, key); }

  std::optional<int> find_int(std::string_view key) const {
    const auto* value = gguf_.find<int64_t>(full(key));
    if (value == nullptr) return std::nullopt;
    if (*value < 0 || *value > std::numeric_limits<int>::max()) {
      fail_load("{}: key `{}` is {}, expected 0 to {}", file(), full(key), *value,
                std::numeric_limits<int>::max());
    }
    return static_cast<int>(*value);
  }
  int require_int(std::string_view key) const {
    gguf_.get<int64_t>(full(key));
    return *find_int(key);
  }
  std::optional<double> find_number(std::string_view key) const {
    const auto* value = gguf_.find<double>(full(key));
    return value == nullptr ? std::nullopt : std::optional(*value);
  }
  double require_number(std::string_view key) const { return gguf_.get<double>(full(key)); }
  std::optional<std::string> find_string(std::string_view key) const {
    const auto* value = gguf_.find<std::string>(full(key));
    return value == nullptr ? std::nullopt : std::optional(*value);
  }

 private:
  const GgufFile& gguf_;
  std::string prefix_;
};

void refuse_what_is_not_supported(const GgufFile& gguf, const ArchitectureKeys& keys) {
  const auto* parts = gguf.find<int64_t>("split.count");
  if (parts != nullptr && *parts > 1)
    fail_load("{}: one of {} parts, expected a whole file", keys.file(), *parts);
  const int experts = keys.find_int("expert_count").value_or(0);
  if (experts > 0) {
    fail_load("{}: key `{}` is {}, expected a model without experts", keys.file(), keys.full("expert_count"),
              experts);
  }
}

const GgufTensor& require_tensor(const GgufFile& gguf, std::string_view name) {
  if (const GgufTensor* tensor = gguf.find_tensor(name)) return *tensor;
  fail_load("{}: tensor `{}` is missing", gguf.path().string(), name);
}

int read_vocab_size(const GgufFile& gguf) {
  const GgufTensor& embedding = require_tensor(gguf, "token_embd.weight");
  if (embedding.shape.rank() != 2 || embedding.shape[0] > std::numeric_limits<int>::max()) {
    fail_load("{}: tensor `{}` has shape {}, expected [vocabulary, hidden]", gguf.path().string(),
              embedding.name, to_string(embedding.shape));
  }
  return static_cast<int>(embedding.shape[0]);
}

void read_head_dim(const ArchitectureKeys& keys, ModelConfig& config) {
  const int heads = std::max(config.num_attention_heads, 1);  // what is below 1 is told by check_config
  config.head_dim = keys.find_int("attention.key_length").value_or(config.hidden_size / heads);
  for (const char* key : {"attention.value_length", "rope.dimension_count"}) {
    const int value = keys.find_int(key).value_or(config.head_dim);
    if (value != config.head_dim) {
      fail_load("{}: key `{}` is {}, expected the head size {}", keys.file(), keys.full(key), value,
                config.head_dim);
    }
  }
}

void read_rope(const ArchitectureKeys& keys, ModelConfig& config) {
  config.rope_theta = keys.find_number("rope.freq_base").value_or(config.rope_theta);
  const std::string type = keys.find_string("rope.scaling.type").value_or("none");
  if (type == "none") return;
  if (type != "linear" && type != "yarn") {
    fail_load("{}: key `{}` is `{}`, supported are none, linear and yarn", keys.file(),
              keys.full("rope.scaling.type"), type);
  }
  RopeScaling scaling;
  scaling.type = type;
  scaling.factor = keys.require_number("rope.scaling.factor");
  scaling.original_max_position_embeddings =
      keys.find_int("rope.scaling.original_context_length").value_or(config.max_position_embeddings);
  scaling.beta_fast = keys.find_number("rope.scaling.yarn_beta_fast").value_or(scaling.beta_fast);
  scaling.beta_slow = keys.find_number("rope.scaling.yarn_beta_slow").value_or(scaling.beta_slow);
  config.rope_scaling = scaling;
}

// How llama 3's rope scaling is stored: one divisor of each frequency.
void read_rope_factors(const GgufFile& gguf, ModelConfig& config) {
  const GgufTensor* tensor = gguf.find_tensor("rope_freqs.weight");
  if (tensor == nullptr) return;
  const Shape expected{config.head_dim / 2};
  if (tensor->dtype != DType::kF32 || !(tensor->shape == expected)) {
    fail_load("{}: tensor `{}` is {} {}, expected f32 {}", gguf.path().string(), tensor->name,
              name(tensor->dtype), to_string(tensor->shape), to_string(expected));
  }
  config.rope_frequency_factors.resize(static_cast<size_t>(expected[0]));
  std::memcpy(config.rope_frequency_factors.data(), gguf.data(*tensor), tensor->bytes);
  for (float factor : config.rope_frequency_factors) {
    if (!std::isfinite(factor) || factor <= 0) {
      fail_load("{}: tensor `{}` has the value {}, expected more than 0", gguf.path().string(), tensor->name,
                factor);
    }
  }
}

void read_biases(const GgufFile& gguf, ModelConfig& config) {
  const auto has = [&](std::string_view name) { return gguf.find_tensor(name) != nullptr; };
  config.tie_word_embeddings = !has("output.weight");
  config.attention_bias = config.model_type == "qwen2" || has("blk.0.attn_q.bias");
  config.attention_output_bias = has("blk.0.attn_output.bias");
  config.mlp_bias = has("blk.0.ffn_gate.bias");
}

std::string hf_dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "float32";
    case DType::kF16:
      return "float16";
    case DType::kBF16:
      return "bfloat16";
    default:
      return std::string(name(dtype));
  }
}

// The type in which most of the layers' bytes are stored.
std::string main_dtype(const GgufFile& gguf) {
  std::map<DType, size_t> bytes;
  for (const GgufTensor& tensor : gguf.tensors()) {
    if (tensor.name.starts_with("blk.") && tensor.shape.rank() == 2) bytes[tensor.dtype] += tensor.bytes;
  }
  const auto most = std::max_element(bytes.begin(), bytes.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return hf_dtype_name(most == bytes.end() ? DType::kF32 : most->first);
}

std::optional<int32_t> find_token_id(const GgufFile& gguf, std::string_view key) {
  const auto* id = gguf.find<int64_t>(key);
  if (id == nullptr || *id < 0 || *id > std::numeric_limits<int32_t>::max()) return std::nullopt;
  return static_cast<int32_t>(*id);
}

bool ends_generation(std::string_view token) {
  constexpr std::array<std::string_view, 8> kNames = {
      "<|im_end|>",      "<|eot_id|>", "<|eom_id|>",    "<|endoftext|>",
      "<|end_of_text|>", "<|end|>",    "<end_of_turn>", "<EOT>"};
  return std::find(kNames.begin(), kNames.end(), token) != kNames.end();
}

// The ids that the metadata names, and control tokens that end a turn by their text: chat models often name
// only one of the two.
std::vector<int32_t> read_eos_ids(const GgufFile& gguf) {
  std::vector<int32_t> ids;
  const auto add = [&](int32_t id) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  for (const char* key : {"eos", "eot", "eom"}) {
    if (const auto id = find_token_id(gguf, fmt::format("tokenizer.ggml.{}_token_id", key))) add(*id);
  }
  constexpr int64_t kControl = 3;  // the token type's number
  const auto* tokens = gguf.find<std::vector<std::string>>("tokenizer.ggml.tokens");
  const auto* types = gguf.find<std::vector<int64_t>>("tokenizer.ggml.token_type");
  if (tokens == nullptr || types == nullptr) return ids;
  for (size_t i = 0; i < std::min(tokens->size(), types->size()); ++i) {
    if ((*types)[i] == kControl && ends_generation((*tokens)[i])) add(static_cast<int32_t>(i));
  }
  return ids;
}

}  // namespace

ModelConfig read_gguf_config(const GgufFile& gguf) {
  const auto& architecture = gguf.get<std::string>("general.architecture");
  const SupportedModel* model = find_supported_model(architecture);
  if (model == nullptr) {
    fail_load("{}: architecture `{}`, supported are {}", gguf.path().string(), architecture,
              supported_model_types());
  }
  const ArchitectureKeys keys(gguf, architecture);
  refuse_what_is_not_supported(gguf, keys);
  ModelConfig config;
  config.model_type = architecture;
  config.architectures = {std::string(model->architecture)};
  config.dtype = main_dtype(gguf);
  config.vocab_size = read_vocab_size(gguf);
  config.hidden_size = keys.require_int("embedding_length");
  config.intermediate_size = keys.require_int("feed_forward_length");
  config.num_hidden_layers = keys.require_int("block_count");
  config.num_attention_heads = keys.require_int("attention.head_count");
  config.num_key_value_heads = keys.find_int("attention.head_count_kv").value_or(config.num_attention_heads);
  config.max_position_embeddings = keys.require_int("context_length");
  config.rms_norm_eps = keys.require_number("attention.layer_norm_rms_epsilon");
  config.rope_interleaved = architecture == "llama";  // whose converters permute the rows of Q and K
  read_head_dim(keys, config);
  read_rope(keys, config);
  read_biases(gguf, config);
  config.bos_token_id = find_token_id(gguf, "tokenizer.ggml.bos_token_id");
  config.eos_token_ids = read_eos_ids(gguf);
  check_config(config, keys.file());
  read_rope_factors(gguf, config);
  return config;
}

}  // namespace musaic
