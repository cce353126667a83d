#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "formats/gguf.h"
#include "weights/model_config.h"
#include "weights/weight_source.h"

namespace musaic {

enum class ModelFormat { kGguf, kSafetensors, kConfigOnly };

// A model on disk: its configuration, its weights, and where its tokenizer is.
struct ModelFiles {
  std::filesystem::path path;  // the GGUF file, or the Hugging Face folder
  ModelFormat format = ModelFormat::kGguf;
  ModelConfig config;
  std::unique_ptr<WeightSource>
      weights;  // nullptr for kConfigOnly: a config.json without safetensors beside it
  std::shared_ptr<const GgufFile>
      gguf;  // kGguf only, shared with `weights`: the tokenizer reads its metadata
};

// Opens a GGUF file, a Hugging Face folder, a bare config.json, or `org/name` in the local hub cache
// (HF_HUB_CACHE, HF_HOME, ~/.cache/huggingface/hub). Throws LoadError with one sentence: file, tensor or key,
// expected and got; for a model that is not in the cache, with the command that downloads it.
ModelFiles open_model(const std::string& path_or_name);

// The model's weights; throws LoadError when it has none.
const WeightSource& require_weights(const ModelFiles& model);

}  // namespace musaic
