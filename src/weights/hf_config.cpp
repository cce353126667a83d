#include "weights/hf_config.h"

#include <algorithm>

#include "base/status.h"
#include "weights/hf_config_parts.h"
#include "weights/json_fields.h"

namespace musaic {
namespace {

const SupportedModel& require_supported(const JsonFields& fields) {
  const auto model_type = fields.find_string("model_type");
  const SupportedModel* model = model_type ? find_supported_model(*model_type) : nullptr;
  if (model != nullptr) return *model;
  fail_load("{}: `model_type` is {}, supported are {}", fields.file(),
            model_type ? "`" + *model_type + "`" : "missing", supported_model_types());
}

void read_architectures(const JsonFields& fields, const SupportedModel& model, ModelConfig& config) {
  config.model_type = model.model_type;
  config.architectures = fields.strings("architectures");
  if (config.architectures.empty()) config.architectures = {std::string(model.architecture)};
  const auto& names = config.architectures;
  if (std::find(names.begin(), names.end(), model.architecture) == names.end()) {
    fail_load("{}: `architectures` names {}, expected {}", fields.file(), names.front(), model.architecture);
  }
}

void read_sizes(const JsonFields& fields, const SupportedModel& model, ModelConfig& config) {
  config.vocab_size = fields.require_int("vocab_size");
  config.hidden_size = fields.require_int("hidden_size");
  config.intermediate_size = fields.require_int("intermediate_size");
  config.num_hidden_layers = fields.require_int("num_hidden_layers");
  config.num_attention_heads = fields.require_int("num_attention_heads");
  config.num_key_value_heads = fields.find_int("num_key_value_heads").value_or(config.num_attention_heads);
  config.max_position_embeddings =
      fields.find_int("max_position_embeddings").value_or(model.max_position_embeddings);
  config.rms_norm_eps = fields.find_number("rms_norm_eps").value_or(config.rms_norm_eps);
  const int heads = std::max(config.num_attention_heads, 1);  // what is below 1 is told by check_config
  const int default_head_dim = model.head_dim > 0 ? model.head_dim : config.hidden_size / heads;
  config.head_dim = fields.find_int("head_dim").value_or(default_head_dim);
}

void read_biases(const JsonFields& fields, ModelConfig& config) {
  const bool is_qwen2 = config.model_type == "qwen2";  // always q, k and v; never the output
  const bool has_bias = fields.find_bool("attention_bias").value_or(false);
  config.attention_bias = is_qwen2 || has_bias;
  config.attention_output_bias = !is_qwen2 && has_bias;
  config.mlp_bias = config.model_type == "llama" && fields.find_bool("mlp_bias").value_or(false);
}

RopeScaling read_scaling(const JsonFields& rope, const std::string& type, int max_positions) {
  RopeScaling scaling;
  scaling.type = type;
  const int original = rope.find_int("original_max_position_embeddings").value_or(max_positions);
  scaling.original_max_position_embeddings = original;
  const auto factor = rope.find_number("factor");
  if (!factor && (type != "yarn" || original <= 0)) fail_load("{}: rope's `factor` is missing", rope.file());
  scaling.factor = factor ? *factor : static_cast<double>(max_positions) / original;
  scaling.low_freq_factor = rope.find_number("low_freq_factor").value_or(scaling.low_freq_factor);
  scaling.high_freq_factor = rope.find_number("high_freq_factor").value_or(scaling.high_freq_factor);
  scaling.beta_fast = rope.find_number("beta_fast").value_or(scaling.beta_fast);
  scaling.beta_slow = rope.find_number("beta_slow").value_or(scaling.beta_slow);
  scaling.mscale = rope.find_number("mscale").value_or(scaling.mscale);
  scaling.mscale_all_dim = rope.find_number("mscale_all_dim").value_or(scaling.mscale_all_dim);
  scaling.attention_factor = rope.find_number("attention_factor");
  scaling.truncate = rope.find_bool("truncate").value_or(true);
  return scaling;
}

void refuse_partial_rotation(const JsonFields& fields) {
  const double part = fields.find_number("partial_rotary_factor").value_or(1.0);
  if (part != 1.0) fail_load("{}: `partial_rotary_factor` is {}, expected 1", fields.file(), part);
}

void read_rope(const JsonFields& fields, ModelConfig& config) {
  config.rope_theta = fields.find_number("rope_theta").value_or(config.rope_theta);
  refuse_partial_rotation(fields);
  auto rope = fields.find_object("rope_parameters");
  if (!rope) rope = fields.find_object("rope_scaling");
  if (!rope) return;
  config.rope_theta = rope->find_number("rope_theta").value_or(config.rope_theta);
  refuse_partial_rotation(*rope);
  auto type = rope->find_string("rope_type");
  if (!type) type = rope->find_string("type");
  if (!type || *type == "default") return;
  if (*type != "linear" && *type != "llama3" && *type != "yarn") {
    fail_load("{}: rope type `{}`, supported are default, linear, llama3 and yarn", fields.file(), *type);
  }
  config.rope_scaling = read_scaling(*rope, *type, config.max_position_embeddings);
}

void refuse_what_is_not_supported(const JsonFields& fields) {
  const std::string activation = fields.find_string("hidden_act").value_or("silu");
  if (activation != "silu") fail_load("{}: `hidden_act` is `{}`, expected silu", fields.file(), activation);
  if (fields.find_bool("use_sliding_window").value_or(false)) {
    fail_load("{}: `use_sliding_window` is true, expected full attention in every layer", fields.file());
  }
  for (const std::string& type : fields.strings("layer_types")) {
    if (type != "full_attention") {
      fail_load("{}: `layer_types` has `{}`, expected full_attention only", fields.file(), type);
    }
  }
}

void add_eos_ids(const JsonFields& fields, ModelConfig& config) {
  auto& ids = config.eos_token_ids;
  for (int id : fields.ints("eos_token_id")) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
}

std::optional<float> to_float(std::optional<double> value) {
  if (!value) return std::nullopt;
  return static_cast<float>(*value);
}

void read_generation_config(const std::filesystem::path& path, ModelConfig& config) {
  if (!std::filesystem::exists(path)) return;
  const Json json = read_json_file(path);
  const JsonFields fields(path.string(), json);
  add_eos_ids(fields, config);
  if (!config.bos_token_id) config.bos_token_id = fields.find_int("bos_token_id");
  config.default_temperature = to_float(fields.find_number("temperature"));
  config.default_top_p = to_float(fields.find_number("top_p"));
  config.default_top_k = fields.find_int("top_k");
  config.default_min_p = to_float(fields.find_number("min_p"));
  config.default_repetition_penalty = to_float(fields.find_number("repetition_penalty"));
}

}  // namespace

ModelConfig read_hf_config(const std::filesystem::path& config_json) {
  const Json json = read_json_file(config_json);
  const JsonFields fields(config_json.string(), json);
  const SupportedModel& model = require_supported(fields);
  ModelConfig config;
  read_architectures(fields, model, config);
  refuse_what_is_not_supported(fields);
  read_sizes(fields, model, config);
  read_biases(fields, config);
  if (config.model_type == "deepseek_v2") read_deepseek_v2(fields, config);
  config.fp8 = read_quantization(fields);
  read_rope(fields, config);
  auto dtype = fields.find_string("dtype");
  if (!dtype) dtype = fields.find_string("torch_dtype");
  config.dtype = dtype.value_or("float32");
  config.tie_word_embeddings = fields.find_bool("tie_word_embeddings").value_or(false);
  config.bos_token_id = fields.find_int("bos_token_id");
  add_eos_ids(fields, config);
  read_generation_config(config_json.parent_path() / "generation_config.json", config);
  check_config(config, fields.file());
  return config;
}

}  // namespace musaic
