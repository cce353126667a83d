#include "tokenizer/tokenizer_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <functional>

#include "base/status.h"
#include "formats/gguf.h"
#include "formats/json.h"

namespace musaic {
namespace {

namespace fs = std::filesystem;

// Writes just what a GGUF header needs.
class GgufWriter {
 public:
  void add(const std::string& key, const std::string& value) {
    begin(key, 8);
    append(value);
  }
  void add(const std::string& key, uint32_t value) {
    begin(key, 4);
    append(value);
  }
  void add(const std::string& key, bool value) {
    begin(key, 7);
    bytes_ += static_cast<char>(value);
  }
  void add(const std::string& key, const std::vector<std::string>& values) {
    begin_array(key, 8, values.size());
    for (const std::string& value : values) append(value);
  }
  void add(const std::string& key, const std::vector<int32_t>& values) {
    begin_array(key, 5, values.size());
    for (const int32_t value : values) append(value);
  }
  void write(const fs::path& path) const {
    std::ofstream file(path, std::ios::binary);
    const uint32_t version = 3;
    const uint64_t tensors = 0;
    file << "GGUF";
    file.write(reinterpret_cast<const char*>(&version), sizeof(version));
    file.write(reinterpret_cast<const char*>(&tensors), sizeof(tensors));
    file.write(reinterpret_cast<const char*>(&count_), sizeof(count_));
    file << bytes_ << std::string(64, '\0');
  }

 private:
  template <class T>
  void append(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes_.append(raw, sizeof(T));
  }
  void append(const std::string& text) {
    append(static_cast<uint64_t>(text.size()));
    bytes_ += text;
  }
  void begin(const std::string& key, uint32_t type) {
    ++count_;
    append(key);
    append(type);
  }
  void begin_array(const std::string& key, uint32_t type, size_t size) {
    begin(key, 9);
    append(type);
    append(static_cast<uint64_t>(size));
  }

  std::string bytes_;
  uint64_t count_ = 0;
};

class TokenizerFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("musaic_tokenizer_{}_{}", ::getpid(),
                                                      testing::UnitTest::GetInstance()->random_seed());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static fs::path fixture(const std::string& name) { return fs::path(MUSAIC_TEST_DATA) / "tokenizer" / name; }
  static Json fixture_json(const std::string& name) {
    return read_json_file(fixture(name) / "tokenizer.json");
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }

  // What loading says of a tokenizer.json, without the path it begins with.
  std::string hf_error(const Json& tokenizer) const {
    write("tokenizer.json", tokenizer.dump());
    return error_of([&] { tokenizer_data_from_hf(folder_); });
  }
  std::string gguf_error(const GgufWriter& writer) const {
    writer.write(folder_ / "m.gguf");
    return error_of([&] { tokenizer_data_from_gguf(*GgufFile::open(folder_ / "m.gguf")); });
  }
  std::string error_of(const std::function<void()>& load) const {
    try {
      load();
    } catch (const LoadError& error) {
      const std::string text = error.what();
      EXPECT_TRUE(text.starts_with(folder_.string())) << text;
      return text.substr(text.find(": ") + 2);
    }
    return "";
  }

  fs::path folder_;
};

GgufWriter small_gguf(const std::string& model = "gpt2", const std::string& pre = "llama-bpe") {
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", model);
  writer.add("tokenizer.ggml.pre", pre);
  writer.add("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "ab", "<s>", "<think>"});
  writer.add("tokenizer.ggml.merges", std::vector<std::string>{"a b"});
  return writer;
}

TEST_F(TokenizerFiles, ReadAGgufsMetadata) {
  GgufWriter writer = small_gguf();
  writer.add("tokenizer.ggml.token_type", std::vector<int32_t>{1, 1, 1, 3, 4});
  writer.add("tokenizer.ggml.bos_token_id", uint32_t{3});
  writer.add("tokenizer.chat_template", std::string("{{ messages }}"));
  writer.write(folder_ / "m.gguf");
  const Tokenizer tokenizer(tokenizer_data_from_gguf(*GgufFile::open(folder_ / "m.gguf")));
  EXPECT_EQ(tokenizer.data().pre_tokenizer, "llama3");
  EXPECT_TRUE(tokenizer.data().ignore_merges);
  EXPECT_EQ(tokenizer.data().chat_template, "{{ messages }}");
  // llama-bpe adds bos where the file does not say otherwise.
  EXPECT_EQ(tokenizer.encode("ab<think>"), (std::vector<TokenId>{3, 2, 4}));
  EXPECT_TRUE(tokenizer.is_special(3));
  EXPECT_FALSE(tokenizer.is_special(4));
}

TEST_F(TokenizerFiles, SayWhatIsWrongInAGguf) {
  EXPECT_EQ(gguf_error(small_gguf("llama")),
            "the tokenizer is SentencePiece (tokenizer.ggml.model = llama), expected byte-level BPE (gpt2)");
  EXPECT_EQ(gguf_error(small_gguf("bert")), "tokenizer.ggml.model is bert, expected gpt2 (byte-level BPE)");
  EXPECT_EQ(gguf_error(small_gguf("gpt2", "falcon")),
            "tokenizer.ggml.pre is falcon, expected smollm, gpt-2, llama-bpe or qwen2");
  GgufWriter writer = small_gguf();
  writer.add("tokenizer.ggml.bos_token_id", uint32_t{5});
  EXPECT_EQ(gguf_error(writer), "tokenizer.ggml.bos_token_id is 5, expected below 5 tokens");
  writer = small_gguf();
  writer.add("tokenizer.ggml.token_type", std::vector<int32_t>{1, 1, 1});
  EXPECT_EQ(gguf_error(writer),
            "tokenizer.ggml.token_type has 3 entries, expected 5 as tokenizer.ggml.tokens");
  writer = small_gguf();
  writer.add("tokenizer.ggml.token_type", std::vector<int32_t>{1, 1, 1, 9, 1});
  EXPECT_EQ(gguf_error(writer), "tokenizer.ggml.token_type of token 3 is 9, expected 1 to 6");
  EXPECT_NE(gguf_error(GgufWriter()), "");
}

TEST_F(TokenizerFiles, RecogniseThePreTokenizerByItsStructure) {
  for (const std::string name : {"smollm", "gpt2", "llama3", "qwen2"}) {
    EXPECT_EQ(tokenizer_data_from_hf(fixture(name)).pre_tokenizer, name);
  }
  const TokenizerData deepseek = tokenizer_data_from_hf(fixture("deepseek"));
  EXPECT_EQ(deepseek.pre_tokenizer, "splits");
  EXPECT_EQ(deepseek.split_patterns.size(), 6u);
  EXPECT_EQ(deepseek.split_patterns.back(), "\\p{N}");
  EXPECT_TRUE(tokenizer_data_from_hf(fixture("llama3")).ignore_merges);
  EXPECT_TRUE(tokenizer_data_from_hf(fixture("llama3")).add_bos);
  EXPECT_TRUE(tokenizer_data_from_hf(fixture("qwen2")).normalize_nfc);
}

TEST_F(TokenizerFiles, ReadMergesAsPairsToo) {
  Json tokenizer = fixture_json("gpt2");
  const auto expected = tokenizer_data_from_hf(fixture("gpt2")).merges;
  for (Json& merge : tokenizer["model"]["merges"]) {
    if (!merge.is_string()) merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  write("tokenizer.json", tokenizer.dump());
  EXPECT_EQ(tokenizer_data_from_hf(folder_).merges, expected);
}

TEST_F(TokenizerFiles, TakeTemplateAndSpecialTokensFromTheConfiguration) {
  write("tokenizer.json", fixture_json("smollm").dump());
  write("tokenizer_config.json",
        R"({"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|im_end|>", "add_bos_token": true,
            "chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]})");
  TokenizerData data = tokenizer_data_from_hf(folder_);
  EXPECT_EQ(data.bos, 1);
  EXPECT_EQ(data.eos, 2);
  EXPECT_TRUE(data.add_bos);
  EXPECT_EQ(data.chat_template, "d");
  write("chat_template.jinja", "from the file");
  EXPECT_EQ(tokenizer_data_from_hf(folder_).chat_template, "from the file");
}

TEST_F(TokenizerFiles, SayWhatIsWrongInATokenizerJson) {
  Json json = fixture_json("gpt2");
  json["pre_tokenizer"] = {{"type", "Whitespace"}};
  EXPECT_EQ(hf_error(json),
            R"(pre_tokenizer {"type":"Whitespace"}, expected isolating splits, then ByteLevel)");
  json = fixture_json("gpt2");
  json["normalizer"] = {{"type", "Lowercase"}};
  EXPECT_EQ(hf_error(json), R"(normalizer {"type":"Lowercase"}, expected none or NFC)");
  json = fixture_json("gpt2");
  json["model"]["type"] = "Unigram";
  EXPECT_EQ(hf_error(json), "the model is Unigram, expected byte-level BPE");
  json = fixture_json("gpt2");
  json["model"]["byte_fallback"] = true;
  EXPECT_EQ(hf_error(json), "the model is SentencePiece's BPE (byte_fallback), expected byte-level BPE");
  json = fixture_json("gpt2");
  json["added_tokens"][0]["single_word"] = true;
  EXPECT_EQ(hf_error(json), "added token '<|endoftext|>' is single_word, which is not supported");
  json = fixture_json("gpt2");
  json["added_tokens"][0]["id"] = -1;
  EXPECT_EQ(hf_error(json), "token '<|endoftext|>' has id -1, expected 0 to 16777215");
  json = fixture_json("gpt2");
  json["model"].erase("merges");
  EXPECT_EQ(hf_error(json), "`merges` is missing or not a list");
  json = fixture_json("gpt2");
  json["model"]["merges"][3] = 7;
  EXPECT_EQ(hf_error(json), "merge 7, expected two tokens");
  EXPECT_NE(hf_error(Json::array()), "");
}

TEST_F(TokenizerFiles, SayWhichFileIsMissing) {
  EXPECT_EQ(error_of([&] { tokenizer_data_from_hf(folder_); }), "no tokenizer.json");
  write("tokenizer.model", "x");
  EXPECT_EQ(error_of([&] { tokenizer_data_from_hf(folder_); }),
            "the tokenizer is SentencePiece (tokenizer.model), expected a byte-level BPE tokenizer.json");
  write("tokenizer.json", "{");
  EXPECT_NE(error_of([&] { tokenizer_data_from_hf(folder_); }), "");
}

}  // namespace
}  // namespace musaic
