#include <simdjson.h>
#include <fstream>
#include <iterator>
#include <string>

#include "base/status.h"
#include "tokenizer/hf_pre_tokenizer.h"
#include "tokenizer/tokenizer_files.h"

namespace musaic {
namespace {

using simdjson::dom::element;
using Type = TokenizerData::TokenType;

constexpr size_t kMaxTokens = size_t{1} << 24;  // an id beyond is a mistake, not a vocabulary
constexpr size_t kShownJson = 300;              // of what was not understood

// One JSON file while it is read; the parser owns what its elements point to.
struct Document {
  explicit Document(std::filesystem::path file) : path(std::move(file)) {
    const auto error = parser.load(path.string()).get(root);
    if (error) fail_load("{}: {}", path.string(), simdjson::error_message(error));
  }

  std::filesystem::path path;
  simdjson::dom::parser parser;
  element root;
};

template <class T>
std::optional<T> find(element object, std::string_view key) {
  T value;
  if (object[key].get(value) != simdjson::SUCCESS) return std::nullopt;
  return value;
}

template <class T>
T require(const Document& document, element object, std::string_view key, std::string_view expected) {
  T value;
  const auto error = object[key].get(value);
  if (error) fail_load("{}: `{}` is missing or not {}", document.path.string(), key, expected);
  return value;
}

std::optional<element> find_present(element object, std::string_view key) {
  const auto value = find<element>(object, key);
  return value && !value->is_null() ? value : std::nullopt;
}

std::string shown(element value) {
  std::string text = simdjson::minify(value);
  if (text.size() > kShownJson) text = text.substr(0, kShownJson) + "...";
  return text;
}

void set_token(const Document& document, TokenizerData& data, int64_t id, std::string_view text, Type type) {
  if (id < 0 || id >= static_cast<int64_t>(kMaxTokens)) {
    fail_load("{}: token '{}' has id {}, expected 0 to {}", document.path.string(), text, id, kMaxTokens - 1);
  }
  if (static_cast<size_t>(id) >= data.tokens.size()) {
    data.tokens.resize(id + 1);
    data.types.resize(id + 1, Type::kUnused);
  }
  data.tokens[id] = text;
  data.types[id] = type;
}

void read_vocabulary(const Document& document, element model, TokenizerData& data) {
  const auto vocabulary = require<simdjson::dom::object>(document, model, "vocab", "an object");
  data.tokens.reserve(vocabulary.size());
  data.types.reserve(vocabulary.size());
  for (const auto& [text, id] : vocabulary) {
    int64_t number = 0;
    if (id.get(number)) fail_load("{}: token '{}' has no integer id", document.path.string(), text);
    set_token(document, data, number, text, Type::kNormal);
  }
}

// A merge is "left right" or ["left", "right"].
std::string read_merge(const Document& document, element merge) {
  std::string_view text;
  if (merge.get(text) == simdjson::SUCCESS) return std::string(text);
  std::string_view left, right;
  if (merge.at(0).get(left) || merge.at(1).get(right)) {
    fail_load("{}: merge {}, expected two tokens", document.path.string(), shown(merge));
  }
  return fmt::format("{} {}", left, right);
}

void read_model(const Document& document, TokenizerData& data) {
  const auto model = require<element>(document, document.root, "model", "an object");
  const auto type = find<std::string_view>(model, "type").value_or("BPE");
  if (type != "BPE") fail_load("{}: the model is {}, expected byte-level BPE", document.path.string(), type);
  if (find<bool>(model, "byte_fallback").value_or(false)) {
    fail_load("{}: the model is SentencePiece's BPE (byte_fallback), expected byte-level BPE",
              document.path.string());
  }
  for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto affix = find<std::string_view>(model, key);
    if (affix && !affix->empty())
      fail_load("{}: {} is '{}', expected none", document.path.string(), key, *affix);
  }
  data.ignore_merges = find<bool>(model, "ignore_merges").value_or(false);
  read_vocabulary(document, model, data);
  const auto merges = require<simdjson::dom::array>(document, model, "merges", "a list");
  data.merges.reserve(merges.size());
  for (const element merge : merges) data.merges.push_back(read_merge(document, merge));
}

void read_added_tokens(const Document& document, TokenizerData& data) {
  const auto added = find<simdjson::dom::array>(document.root, "added_tokens");
  if (!added) return;
  for (const element token : *added) {
    const auto text = require<std::string_view>(document, token, "content", "a string");
    const auto id = require<int64_t>(document, token, "id", "an integer");
    if (find<bool>(token, "single_word").value_or(false)) {
      fail_load("{}: added token '{}' is single_word, which is not supported", document.path.string(), text);
    }
    const bool special = find<bool>(token, "special").value_or(false);
    set_token(document, data, id, text, special ? Type::kControl : Type::kUserDefined);
    if (find<bool>(token, "lstrip").value_or(false)) data.strip_left.push_back(static_cast<TokenId>(id));
    if (find<bool>(token, "rstrip").value_or(false)) data.strip_right.push_back(static_cast<TokenId>(id));
  }
}

void read_normalizer(const Document& document, element normalizer, TokenizerData& data) {
  const auto type = find<std::string_view>(normalizer, "type").value_or("");
  if (type == "Sequence") {
    for (const element step : require<simdjson::dom::array>(document, normalizer, "normalizers", "a list")) {
      read_normalizer(document, step, data);
    }
    return;
  }
  if (type != "NFC")
    fail_load("{}: normalizer {}, expected none or NFC", document.path.string(), shown(normalizer));
  data.normalize_nfc = true;
}

void read_pre_tokenizer(const Document& document, TokenizerData& data) {
  const auto pre_tokenizer = find_present(document.root, "pre_tokenizer");
  if (!pre_tokenizer) fail_load("{}: no pre_tokenizer, expected byte-level BPE's", document.path.string());
  auto recognised = recognise_pre_tokenizer(*pre_tokenizer);
  if (!recognised) {
    fail_load("{}: pre_tokenizer {}, expected isolating splits, then ByteLevel", document.path.string(),
              shown(*pre_tokenizer));
  }
  data.pre_tokenizer = std::move(recognised->name);
  data.split_patterns = std::move(recognised->split_patterns);
}

TokenId template_token(const Document& document, element processor, std::string_view name) {
  const auto token = processor["special_tokens"][name];
  simdjson::dom::array ids;
  int64_t id = 0;
  if (token["ids"].get(ids) || ids.size() != 1 || ids.at(0).get(id)) {
    fail_load("{}: post_processor's special token '{}' has not exactly one id", document.path.string(), name);
  }
  return static_cast<TokenId>(id);
}

// `single` of TemplateProcessing: at most one special token before the text and one after it.
void read_template(const Document& document, element processor, TokenizerData& data) {
  bool after_text = false;
  for (const element part : require<simdjson::dom::array>(document, processor, "single", "a list")) {
    const auto special = find<element>(part, "SpecialToken");
    if (!special) {
      after_text = true;
      continue;
    }
    bool& add = after_text ? data.add_eos : data.add_bos;
    if (add) {
      fail_load("{}: post_processor {}, expected at most one token on each side", document.path.string(),
                shown(processor));
    }
    add = true;
    const auto name = require<std::string_view>(document, *special, "id", "a string");
    (after_text ? data.eos : data.bos) = template_token(document, processor, name);
  }
}

void read_post_processor(const Document& document, element processor, TokenizerData& data) {
  const auto type = find<std::string_view>(processor, "type").value_or("");
  if (type == "ByteLevel") return;
  if (type == "TemplateProcessing") return read_template(document, processor, data);
  if (type != "Sequence") {
    fail_load("{}: post_processor {}, expected ByteLevel or TemplateProcessing", document.path.string(),
              shown(processor));
  }
  for (const element step : require<simdjson::dom::array>(document, processor, "processors", "a list")) {
    read_post_processor(document, step, data);
  }
}

std::optional<TokenId> find_token(const TokenizerData& data, std::string_view text) {
  // Special tokens mostly come last.
  for (size_t i = data.tokens.size(); i-- > 0;) {
    if (data.tokens[i] == text) return static_cast<TokenId>(i);
  }
  return std::nullopt;
}

// A special token in tokenizer_config.json: its text, or an object with `content`.
std::optional<TokenId> read_token(const TokenizerData& data, element config, std::string_view key) {
  const auto value = find_present(config, key);
  if (!value) return std::nullopt;
  std::string_view text;
  if (value->get(text) && (*value)["content"].get(text)) return std::nullopt;
  return find_token(data, text);
}

// A template, or a list of named ones of which "default" counts.
std::string read_chat_template(element config) {
  const auto value = find_present(config, "chat_template");
  if (!value) return "";
  std::string_view source;
  if (value->get(source) == simdjson::SUCCESS) return std::string(source);
  simdjson::dom::array named;
  if (value->get(named)) return "";
  for (const element entry : named) {
    if (find<std::string_view>(entry, "name").value_or("") != "default") continue;
    return std::string(find<std::string_view>(entry, "template").value_or(""));
  }
  return "";
}

void read_config(const std::filesystem::path& path, TokenizerData& data) {
  if (!std::filesystem::exists(path)) return;
  const Document document(path);
  const element config = document.root;
  // What the post-processor adds is decided already; the configuration names the tokens that it does not.
  if (!data.add_bos) {
    data.bos = read_token(data, config, "bos_token");
    data.add_bos = data.bos && find<bool>(config, "add_bos_token").value_or(false);
  }
  if (!data.add_eos) {
    data.eos = read_token(data, config, "eos_token");
    data.add_eos = data.eos && find<bool>(config, "add_eos_token").value_or(false);
  }
  data.chat_template = read_chat_template(config);
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_load("{}: cannot be read", path.string());
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

TokenizerData tokenizer_data_from_hf(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer.json";
  if (!std::filesystem::exists(path)) {
    if (std::filesystem::exists(folder / "tokenizer.model")) {
      fail_load(
          "{}: the tokenizer is SentencePiece (tokenizer.model), expected a byte-level BPE tokenizer.json",
          folder.string());
    }
    fail_load("{}: no tokenizer.json", folder.string());
  }
  const Document document(path);
  TokenizerData data;
  read_model(document, data);
  read_added_tokens(document, data);
  if (const auto normalizer = find_present(document.root, "normalizer"))
    read_normalizer(document, *normalizer, data);
  read_pre_tokenizer(document, data);
  if (const auto processor = find_present(document.root, "post_processor")) {
    read_post_processor(document, *processor, data);
  }
  read_config(folder / "tokenizer_config.json", data);
  if (const auto source = folder / "chat_template.jinja"; std::filesystem::exists(source)) {
    data.chat_template = read_text(source);
  }
  return data;
}

}  // namespace musaic
