#include "weights/safetensors_weights.h"

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/status.h"
#include "formats/byte_cursor.h"
#include "formats/json.h"
#include "formats/safetensors.h"

namespace musaic {
namespace {

struct PlacedTensor {
  WeightTensor tensor;
  const MappedFile* file = nullptr;       // which drops its pages; owned by the shard
  std::unique_ptr<std::byte[]> own_copy;  // of a tensor that is unaligned in the file
};

PlacedTensor place(const SafetensorsFile& shard, const SafetensorsTensor& stored) {
  PlacedTensor placed;
  placed.tensor = {.name = stored.name,
                   .source_name = stored.name,
                   .dtype = stored.dtype,
                   .shape = stored.shape,
                   .data = shard.data(stored),
                   .bytes = stored.bytes};
  placed.file = &shard.file();
  if (stored.file_offset % static_cast<size_t>(dtype_info(stored.dtype).block_bytes) != 0) {
    placed.own_copy = std::make_unique_for_overwrite<std::byte[]>(stored.bytes);
    std::memcpy(placed.own_copy.get(), placed.tensor.data, stored.bytes);
    placed.tensor.data = placed.own_copy.get();
  }
  return placed;
}

class SafetensorsWeights : public WeightSource {
 public:
  explicit SafetensorsWeights(std::filesystem::path origin) : origin_(std::move(origin)) {}

  void add_shard(std::unique_ptr<const SafetensorsFile> shard) {
    for (const SafetensorsTensor& stored : shard->tensors()) {
      if (!tensors_.emplace(stored.name, place(*shard, stored)).second) {
        fail_load("{}: tensor `{}` is in another shard too, expected once", shard->path().string(),
                  printable(stored.name));
      }
    }
    shards_.push_back(std::move(shard));
  }

  const WeightTensor* find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second.tensor;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> result;
    for (const auto& [name, placed] : tensors_) result.push_back(name);
    return result;
  }
  void drop_pages(const WeightTensor& tensor) const override {
    const auto found = tensors_.find(tensor.name);
    if (found == tensors_.end() || found->second.own_copy) return;
    const MappedFile& file = *found->second.file;
    file.drop_pages(static_cast<size_t>(tensor.data - file.bytes().data()), tensor.bytes);
  }
  std::string origin() const override { return origin_.string(); }

 private:
  std::filesystem::path origin_;
  std::vector<std::unique_ptr<const SafetensorsFile>> shards_;
  std::map<std::string, PlacedTensor, std::less<>> tensors_;
};

bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

// The index's `weight_map`: tensor → file name.
std::map<std::string, std::string> read_index(const std::filesystem::path& index) {
  const nlohmann::json json = read_large_json_file(index);
  const auto found = json.is_object() ? json.find("weight_map") : json.end();
  if (found == json.end() || !found->is_object()) fail_load("{}: no `weight_map` object", index.string());
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : found->items()) {
    if (!file.is_string() || !is_plain_file_name(file.get<std::string>())) {
      fail_load("{}: tensor `{}` has no file name beside it", index.string(), printable(tensor));
    }
    files[tensor] = file.get<std::string>();
  }
  return files;
}

std::unique_ptr<WeightSource> open_shards(const std::filesystem::path& index) {
  const auto file_of_tensor = read_index(index);
  auto weights = std::make_unique<SafetensorsWeights>(index);
  std::set<std::string> files;
  for (const auto& [tensor, file] : file_of_tensor) files.insert(file);
  for (const std::string& file : files) weights->add_shard(SafetensorsFile::open(index.parent_path() / file));
  for (const auto& [tensor, file] : file_of_tensor) {
    if (weights->find(tensor) != nullptr) continue;
    fail_load("{}: tensor `{}` is missing, expected by {}", (index.parent_path() / file).string(),
              printable(tensor), index.filename().string());
  }
  return weights;
}

}  // namespace

std::unique_ptr<WeightSource> open_safetensors_weights(const std::filesystem::path& folder) {
  const auto index = folder / "model.safetensors.index.json";
  if (std::filesystem::exists(index)) return open_shards(index);
  const auto single = folder / "model.safetensors";
  if (!std::filesystem::exists(single)) return nullptr;
  auto weights = std::make_unique<SafetensorsWeights>(single);
  weights->add_shard(SafetensorsFile::open(single));
  return weights;
}

}  // namespace musaic
