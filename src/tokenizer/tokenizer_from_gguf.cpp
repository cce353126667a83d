#include <algorithm>
#include <array>
#include <string>

#include "base/status.h"
#include "formats/gguf.h"
#include "tokenizer/tokenizer_files.h"

namespace musaic {
namespace {

using Type = TokenizerData::TokenType;

// What GGUF's `tokenizer.ggml.pre` stands for.
struct GgufPreTokenizer {
  std::string_view name;
  std::string_view pattern;
  bool ignore_merges;
  bool normalize_nfc;
  bool add_bos;  // where the file does not say
};

constexpr std::array kPreTokenizers = {
    GgufPreTokenizer{"smollm", "smollm", false, false, false},
    GgufPreTokenizer{"gpt-2", "gpt2", false, false, false},
    GgufPreTokenizer{"gpt2", "gpt2", false, false, false},
    GgufPreTokenizer{"llama-bpe", "llama3", true, false, true},
    GgufPreTokenizer{"llama-v3", "llama3", true, false, true},
    GgufPreTokenizer{"llama3", "llama3", true, false, true},
    GgufPreTokenizer{"qwen2", "qwen2", false, true, false},
    GgufPreTokenizer{"deepseek-r1-qwen", "qwen2", false, true, false},
};

void check_model(const GgufFile& file) {
  const std::string& model = file.get<std::string>("tokenizer.ggml.model");
  if (model == "gpt2") return;
  const std::string path = file.path().string();
  if (model == "llama") {
    fail_load(
        "{}: the tokenizer is SentencePiece (tokenizer.ggml.model = llama), expected byte-level BPE (gpt2)",
        path);
  }
  fail_load("{}: tokenizer.ggml.model is {}, expected gpt2 (byte-level BPE)", path, model);
}

const GgufPreTokenizer& find_pre_tokenizer(const GgufFile& file) {
  const std::string& name = file.get<std::string>("tokenizer.ggml.pre");
  const auto found = std::find_if(kPreTokenizers.begin(), kPreTokenizers.end(),
                                  [&](const GgufPreTokenizer& known) { return known.name == name; });
  if (found == kPreTokenizers.end()) {
    fail_load("{}: tokenizer.ggml.pre is {}, expected smollm, gpt-2, llama-bpe or qwen2",
              file.path().string(), name);
  }
  return *found;
}

std::vector<Type> read_types(const GgufFile& file, size_t count) {
  std::vector<Type> types(count, Type::kNormal);
  const auto* numbers = file.find<std::vector<int64_t>>("tokenizer.ggml.token_type");
  if (numbers == nullptr) return types;
  const std::string path = file.path().string();
  if (numbers->size() != count) {
    fail_load("{}: tokenizer.ggml.token_type has {} entries, expected {} as tokenizer.ggml.tokens", path,
              numbers->size(), count);
  }
  constexpr std::array kByNumber = {Type::kNormal,      Type::kUnknown, Type::kControl,
                                    Type::kUserDefined, Type::kUnused,  Type::kByte};
  for (size_t i = 0; i < count; ++i) {
    const int64_t number = (*numbers)[i];
    if (number < 1 || number > static_cast<int64_t>(kByNumber.size())) {
      fail_load("{}: tokenizer.ggml.token_type of token {} is {}, expected 1 to 6", path, i, number);
    }
    types[i] = kByNumber[number - 1];
  }
  return types;
}

std::optional<TokenId> read_token(const GgufFile& file, std::string_view key, size_t count) {
  const int64_t* token = file.find<int64_t>(key);
  if (token == nullptr) return std::nullopt;
  if (*token < 0 || *token >= static_cast<int64_t>(count)) {
    fail_load("{}: {} is {}, expected below {} tokens", file.path().string(), key, *token, count);
  }
  return static_cast<TokenId>(*token);
}

bool read_flag(const GgufFile& file, std::string_view key, bool otherwise) {
  const bool* flag = file.find<bool>(key);
  return flag ? *flag : otherwise;
}

}  // namespace

TokenizerData tokenizer_data_from_gguf(const GgufFile& file) {
  check_model(file);
  const GgufPreTokenizer& pre = find_pre_tokenizer(file);
  TokenizerData data;
  data.tokens = file.get<std::vector<std::string>>("tokenizer.ggml.tokens");
  data.types = read_types(file, data.tokens.size());
  data.merges = file.get<std::vector<std::string>>("tokenizer.ggml.merges");
  data.pre_tokenizer = pre.pattern;
  data.ignore_merges = pre.ignore_merges;
  data.normalize_nfc = pre.normalize_nfc;
  data.bos = read_token(file, "tokenizer.ggml.bos_token_id", data.tokens.size());
  data.eos = read_token(file, "tokenizer.ggml.eos_token_id", data.tokens.size());
  data.add_bos = read_flag(file, "tokenizer.ggml.add_bos_token", pre.add_bos);
  data.add_eos = read_flag(file, "tokenizer.ggml.add_eos_token", false);
  if (const auto* source = file.find<std::string>("tokenizer.chat_template")) data.chat_template = *source;
  return data;
}

}  // namespace musaic
