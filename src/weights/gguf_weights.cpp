#include "weights/gguf_weights.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <utility>

#include "base/status.h"

namespace musaic {
namespace {

using NamePair = std::pair<std::string_view, std::string_view>;  // GGUF's, Hugging Face's

constexpr std::array<NamePair, 3> kModelNames = {{
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
}};

constexpr std::array<NamePair, 11> kLayerNames = {{
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
}};

template <class Names>
std::string_view translate_back(const Names& names, std::string_view stem) {
  const auto* found =
      std::find_if(names.begin(), names.end(), [&](const NamePair& p) { return p.second == stem; });
  return found == names.end() ? std::string_view() : found->first;
}

template <class Names>
std::string_view translate(const Names& names, std::string_view stem) {
  const auto* found =
      std::find_if(names.begin(), names.end(), [&](const NamePair& p) { return p.first == stem; });
  return found == names.end() ? std::string_view() : found->second;
}

// "3.attn_q" → "model.layers.3.self_attn.q_proj"; empty when it is not of that form.
std::string translate_layer(std::string_view rest) {
  const size_t dot = rest.find('.');
  if (dot == std::string_view::npos || dot == 0) return {};
  const std::string_view layer = rest.substr(0, dot);
  const std::string_view name = translate(kLayerNames, rest.substr(dot + 1));
  const bool is_number =
      std::all_of(layer.begin(), layer.end(), [](unsigned char c) { return std::isdigit(c); });
  return !is_number || name.empty() ? std::string() : fmt::format("model.layers.{}.{}", layer, name);
}

class GgufWeights : public WeightSource {
 public:
  explicit GgufWeights(std::shared_ptr<const GgufFile> gguf) : gguf_(std::move(gguf)) {
    for (const GgufTensor& tensor : gguf_->tensors()) {
      std::string name = hf_weight_name(tensor.name);
      WeightTensor weight{.name = name,
                          .source_name = tensor.name,
                          .dtype = tensor.dtype,
                          .shape = tensor.shape,
                          .data = gguf_->data(tensor),
                          .bytes = tensor.bytes};
      if (!tensors_.emplace(std::move(name), std::move(weight)).second) {
        fail_load("{}: tensor `{}` is there under two names", origin(), tensor.name);
      }
    }
  }

  const WeightTensor* find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> result;
    for (const auto& [name, tensor] : tensors_) result.push_back(name);
    return result;
  }
  void drop_pages(const WeightTensor& tensor) const override {
    const auto offset = static_cast<size_t>(tensor.data - gguf_->file().bytes().data());
    gguf_->file().drop_pages(offset, tensor.bytes);
  }
  std::string origin() const override { return gguf_->path().string(); }
  std::string name_in_file(std::string_view name) const override {
    const WeightTensor* tensor = find(name);
    return tensor != nullptr ? tensor->source_name : gguf_weight_name(name);
  }

 private:
  std::shared_ptr<const GgufFile> gguf_;
  std::map<std::string, WeightTensor, std::less<>> tensors_;
};

}  // namespace

std::string gguf_weight_name(std::string_view hf_name) {
  constexpr std::string_view kLayerPrefix = "model.layers.";
  const size_t dot = hf_name.rfind('.');
  if (dot == std::string_view::npos) return std::string(hf_name);
  const std::string_view stem = hf_name.substr(0, dot), ending = hf_name.substr(dot);
  if (!stem.starts_with(kLayerPrefix)) {
    const std::string_view name = translate_back(kModelNames, stem);
    return name.empty() ? std::string(hf_name) : fmt::format("{}{}", name, ending);
  }
  const std::string_view rest = stem.substr(kLayerPrefix.size());
  const size_t layer_end = std::min(rest.find('.'), rest.size());
  const std::string_view name =
      translate_back(kLayerNames, rest.substr(std::min(layer_end + 1, rest.size())));
  return name.empty() ? std::string(hf_name)
                      : fmt::format("blk.{}.{}{}", rest.substr(0, layer_end), name, ending);
}

std::string hf_weight_name(std::string_view gguf_name) {
  constexpr std::string_view kLayerPrefix = "blk.";
  const size_t dot = gguf_name.rfind('.');
  if (dot == std::string_view::npos) return std::string(gguf_name);
  const std::string_view stem = gguf_name.substr(0, dot);
  const std::string name = stem.starts_with(kLayerPrefix) ? translate_layer(stem.substr(kLayerPrefix.size()))
                                                          : std::string(translate(kModelNames, stem));
  return name.empty() ? std::string(gguf_name) : name + std::string(gguf_name.substr(dot));
}

std::unique_ptr<WeightSource> open_gguf_weights(std::shared_ptr<const GgufFile> gguf) {
  return std::make_unique<GgufWeights>(std::move(gguf));
}

}  // namespace musaic
