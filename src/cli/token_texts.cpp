#include "cli/token_texts.h"

#include <algorithm>
#include <fstream>

#include "base/status.h"
#include "formats/json.h"

namespace musaic {
namespace {

std::string question_and_answer(const Json& line, const std::string& place) {
  for (const char* key : {"question", "answer"}) {
    if (!line.is_object() || !line.contains(key) || !line[key].is_string())
      fail_load("{}: expected an object with the texts question and answer", place);
  }
  return "Question: " + line["question"].get<std::string>() +
         "\nAnswer: " + line["answer"].get<std::string>() + "\n\n";
}

}  // namespace

std::vector<TokenText> read_question_texts(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                           int num_tokens, int context) {
  std::ifstream file(path);
  if (!file) fail_load("{}: cannot be opened", path.string());
  std::vector<TokenId> stream;
  std::string line;
  for (int number = 1; static_cast<int>(stream.size()) < num_tokens && std::getline(file, line); ++number) {
    if (line.empty()) continue;
    const std::string place = fmt::format("{}: line {}", path.string(), number);
    const Json parsed = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    const auto ids = tokenizer.encode(question_and_answer(parsed, place), {.add_special_tokens = false});
    stream.insert(stream.end(), ids.begin(), ids.end());
  }
  stream.resize(std::min(stream.size(), static_cast<size_t>(num_tokens)));
  if (stream.empty()) fail_load("{}: has no questions", path.string());

  std::vector<TokenText> texts;
  for (size_t begin = 0; begin < stream.size(); begin += static_cast<size_t>(context)) {
    const size_t end = std::min(stream.size(), begin + static_cast<size_t>(context));
    texts.push_back({.name = fmt::format("{}[{}:{}]", path.filename().string(), begin, end),
                     .ids = {stream.begin() + static_cast<std::ptrdiff_t>(begin),
                             stream.begin() + static_cast<std::ptrdiff_t>(end)}});
  }
  return texts;
}

std::vector<TokenText> read_recorded_texts(const std::filesystem::path& path) {
  const Json recorded = read_json_file(path);
  if (!recorded.is_array() || recorded.empty()) fail_load("{}: expected a list of sequences", path.string());
  std::vector<TokenText> texts;
  for (const Json& entry : recorded) {
    const std::string name = fmt::format("sequence {}", texts.size());
    if (!entry.is_object() || !entry.contains("ids")) fail_load("{}: {} has no ids", path.string(), name);
    try {
      texts.push_back({.name = entry.value("name", name),
                       .ids = entry["ids"].get<std::vector<TokenId>>(),
                       .token_logprobs = entry.value("token_logprobs", std::vector<float>())});
    } catch (const nlohmann::json::exception& error) {
      fail_load("{}: {}: {}", path.string(), name, error.what());
    }
    const auto& ids = texts.back().ids;
    if (ids.empty() || *std::min_element(ids.begin(), ids.end()) < 0)
      fail_load("{}: {}: expected ids of at least 0, got {}", path.string(), name,
                entry["ids"].dump().substr(0, 80));
  }
  return texts;
}

}  // namespace musaic
