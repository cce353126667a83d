#include "weights/model_files.h"

#include <vector>

#include "base/status.h"
#include "weights/gguf_config.h"
#include "weights/gguf_weights.h"
#include "weights/hf_config.h"
#include "weights/hub_cache.h"
#include "weights/safetensors_weights.h"

namespace musaic {
namespace {

namespace fs = std::filesystem;

ModelFiles open_gguf_model(const fs::path& path) {
  auto gguf = GgufFile::open(path);
  ModelConfig config = read_gguf_config(*gguf);
  auto weights = open_gguf_weights(gguf);
  return {.path = path,
          .format = ModelFormat::kGguf,
          .config = std::move(config),
          .weights = std::move(weights),
          .gguf = std::move(gguf)};
}

ModelFiles open_bare_config(const fs::path& config_json) {
  return {.path = config_json.has_parent_path() ? config_json.parent_path() : fs::path("."),
          .format = ModelFormat::kConfigOnly,
          .config = read_hf_config(config_json),
          .weights = nullptr,
          .gguf = nullptr};
}

std::vector<fs::path> list_gguf_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".gguf") files.push_back(entry.path());
  }
  return files;
}

ModelFiles open_folder(const fs::path& folder) {
  const auto config_json = folder / "config.json";
  if (fs::exists(config_json)) {
    ModelFiles model = open_bare_config(config_json);
    model.weights = open_safetensors_weights(folder);
    if (model.weights) model.format = ModelFormat::kSafetensors;
    return model;
  }
  const auto gguf_files = list_gguf_files(folder);
  if (gguf_files.size() == 1) return open_gguf_model(gguf_files.front());
  fail_load("{}: expected config.json or one GGUF file in the folder, got {} GGUF files", folder.string(),
            gguf_files.size());
}

ModelFiles open_file(const fs::path& file) {
  return file.extension() == ".json" ? open_bare_config(file) : open_gguf_model(file);
}

}  // namespace

ModelFiles open_model(const std::string& path_or_name) {
  const fs::path path(path_or_name);
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return open_folder(path);
  if (fs::exists(path, ignored)) return open_file(path);
  if (is_hub_name(path_or_name)) return open_folder(find_cached_snapshot(path_or_name));
  fail_load(
      "{}: no such file or folder, expected a GGUF file, a Hugging Face folder, a config.json or a cached "
      "org/name",
      path_or_name);
}

const WeightSource& require_weights(const ModelFiles& model) {
  if (model.weights) return *model.weights;
  fail_load("{}: no weights: expected model.safetensors or model.safetensors.index.json",
            model.path.string());
}

}  // namespace musaic
