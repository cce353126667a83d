// Hugging Face folders, shards and the hub cache, over files that the test writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/status.h"
#include "formats/test_files.h"
#include "weights/hub_cache.h"
#include "weights/model_files.h"

namespace musaic {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

const char* const kConfig = R"({"model_type":"llama","vocab_size":10,"hidden_size":8,"intermediate_size":16,)"
                            R"("num_hidden_layers":1,"num_attention_heads":2})";

std::string one_tensor(const std::string& name, const std::string& data) {
  const std::string header = fmt::format(R"({{"{}":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{}]}}}})",
                                         name, data.size() / 4, data.size());
  return testing::safetensors_bytes(header, data);
}

std::string error_of(const std::string& path_or_name) {
  try {
    open_model(path_or_name);
  } catch (const LoadError& error) {
    return error.what();
  }
  return "it opened";
}

// Sets a variable and restores it at the end.
class EnvironmentVariable {
 public:
  EnvironmentVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value == nullptr ? ::unsetenv(name) : ::setenv(name, value, 1);
  }
  ~EnvironmentVariable() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST(HfFolder, ABareConfigHasNoWeights) {
  const TemporaryFolder folder;
  const ModelFiles model = open_model(folder.write("config.json", kConfig).string());
  EXPECT_EQ(model.format, ModelFormat::kConfigOnly);
  EXPECT_EQ(model.path, folder.path());
  EXPECT_EQ(model.weights, nullptr);
  EXPECT_EQ(open_model(folder.path().string()).format, ModelFormat::kConfigOnly);
  EXPECT_THROW(require_weights(model), LoadError);
}

TEST(HfFolder, ShardsAreOneSource) {
  const TemporaryFolder folder;
  folder.write("config.json", kConfig);
  folder.write("one.safetensors", one_tensor("a", "aaaabbbb"));
  folder.write("two.safetensors", one_tensor("b", "cccc"));
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  const ModelFiles model = open_model(folder.path().string());
  EXPECT_EQ(model.format, ModelFormat::kSafetensors);
  EXPECT_THAT(model.weights->names(), ElementsAre("a", "b"));
  const WeightTensor& b = require_weight(*model.weights, "b", {1});
  EXPECT_EQ(std::memcmp(b.data, "cccc", 4), 0);
  model.weights->drop_pages(b);
  EXPECT_EQ(std::memcmp(b.data, "cccc", 4), 0);
}

TEST(HfFolder, AnUnalignedTensorIsReadAligned) {
  for (const std::string name : {"a", "ab", "abc", "abcd", "abcde"}) {
    const TemporaryFolder folder;
    folder.write("config.json", kConfig);
    folder.write("model.safetensors", one_tensor(name, "aaaabbbb"));
    const ModelFiles model = open_model(folder.path().string());
    const WeightTensor& tensor = require_weight(*model.weights, name, {2});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data) % 4, 0u);
    EXPECT_EQ(std::memcmp(tensor.data, "aaaabbbb", 8), 0);
    model.weights->drop_pages(tensor);
    EXPECT_EQ(std::memcmp(tensor.data, "aaaabbbb", 8), 0);
  }
}

TEST(HfFolder, AnIndexThatDoesNotFitItsShardsIsTold) {
  const TemporaryFolder folder;
  folder.write("config.json", kConfig);
  folder.write("one.safetensors", one_tensor("a", "aaaa"));
  folder.write("two.safetensors", one_tensor("a", "aaaa"));
  const auto error_with = [&](const std::string& index) {
    folder.write("model.safetensors.index.json", index);
    return error_of(folder.path().string());
  };
  EXPECT_THAT(error_with("{}"), HasSubstr("no `weight_map` object"));
  EXPECT_THAT(error_with(R"({"weight_map":{"a":"../one.safetensors"}})"),
              HasSubstr("tensor `a` has no file name"));
  EXPECT_THAT(error_with(R"({"weight_map":{"a":7}})"), HasSubstr("tensor `a` has no file name"));
  EXPECT_THAT(error_with(R"({"weight_map":{"z":"one.safetensors"}})"),
              HasSubstr("one.safetensors: tensor `z` is missing, expected by model.safetensors.index.json"));
  EXPECT_THAT(error_with(R"({"weight_map":{"z":"none.safetensors"}})"),
              HasSubstr("none.safetensors: cannot be opened"));
  EXPECT_THAT(error_with(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})"),
              HasSubstr("two.safetensors: tensor `a` is in another shard too"));
}

TEST(RequireWeight, NamesWhatIsWrong) {
  const TemporaryFolder folder;
  folder.write("config.json", kConfig);
  folder.write("model.safetensors", one_tensor("model.norm.weight", "aaaabbbb"));
  const ModelFiles model = open_model(folder.path().string());
  EXPECT_EQ(require_weight(*model.weights, "model.norm.weight", {2}).name, "model.norm.weight");
  try {
    require_weight(*model.weights, "model.norms.weight", {2});
    FAIL();
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("model.safetensors: tensor `model.norms.weight` of shape [2] is missing"),
                      HasSubstr("the nearest is `model.norm.weight`")));
  }
  try {
    require_weight(*model.weights, "model.norm.weight", {3});
    FAIL();
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(), HasSubstr("tensor `model.norm.weight` has shape [2], expected [3]"));
  }
}

TEST(HubCache, NamesHaveOneSlashAndPlainParts) {
  EXPECT_TRUE(is_hub_name("HuggingFaceTB/SmolLM2-135M-Instruct"));
  for (const char* text : {"gpt2", "a/b/c", "/a", "a/", "../a", "a/..", "a b/c", ""})
    EXPECT_FALSE(is_hub_name(text)) << text;
}

TEST(HubCache, IsWhereTheVariablesSay) {
  const EnvironmentVariable old("HUGGINGFACE_HUB_CACHE", nullptr);
  const EnvironmentVariable home("HOME", "/home/me"), xdg("XDG_CACHE_HOME", nullptr);
  const EnvironmentVariable hf_home("HF_HOME", nullptr), hub("HF_HUB_CACHE", nullptr);
  EXPECT_EQ(hub_cache_folder(), "/home/me/.cache/huggingface/hub");
  const EnvironmentVariable with_home("HF_HOME", "/big/hf");
  EXPECT_EQ(hub_cache_folder(), "/big/hf/hub");
  const EnvironmentVariable with_hub("HF_HUB_CACHE", "/big/hub");
  EXPECT_EQ(hub_cache_folder(), "/big/hub");
}

TEST(HubCache, AModelInItOpensByName) {
  const TemporaryFolder cache;
  const EnvironmentVariable hub("HF_HUB_CACHE", cache.path().c_str());
  cache.write("models--org--name/refs/main", "abc123\n");
  cache.write("models--org--name/snapshots/abc123/config.json", kConfig);
  cache.write("models--org--name/snapshots/abc123/model.safetensors", one_tensor("a", "aaaa"));
  const ModelFiles model = open_model("org/name");
  EXPECT_EQ(model.format, ModelFormat::kSafetensors);
  EXPECT_EQ(model.path, cache.path() / "models--org--name/snapshots/abc123");
}

TEST(HubCache, AModelNotInItNamesTheDownloadCommand) {
  const TemporaryFolder cache;
  const EnvironmentVariable hub("HF_HUB_CACHE", cache.path().c_str());
  EXPECT_THAT(error_of("org/name"), HasSubstr("hf download org/name"));
  cache.write("models--org--name/refs/main", "gone");
  EXPECT_THAT(error_of("org/name"), HasSubstr("hf download org/name"));
  cache.write("models--org--name/refs/main", "../../..");
  EXPECT_THAT(error_of("org/name"), HasSubstr("hf download org/name"));
}

TEST(OpenModelErrors, APathThatIsNoModelIsTold) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of("/no/such/model"),
              HasSubstr("/no/such/model: no such file or folder, expected a GGUF file"));
  EXPECT_THAT(error_of(folder.path().string()),
              HasSubstr("expected config.json or one GGUF file in the folder"));
  EXPECT_THAT(error_of(folder.write("notes.txt", "hello").string()), HasSubstr("not a GGUF file"));
}

}  // namespace
}  // namespace musaic
