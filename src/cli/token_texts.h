#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "request/request.h"
#include "tokenizer/tokenizer.h"

namespace musaic {

// Tokens whose distributions are evaluated, as one independent sequence.
struct TokenText {
  std::string name;
  std::vector<TokenId> ids;
  std::vector<float> token_logprobs;  // of a recorded run: element i is that of ids[i + 1]; may be empty
};

// Questions and answers of a JSONL file (`question`, `answer`) joined to one stream and cut into sequences of
// `context` tokens, `num_tokens` in all or as many as there are. Throws LoadError with the file and line.
std::vector<TokenText> read_question_texts(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                           int num_tokens, int context);

// Recorded sequences: a JSON list of objects with `ids` and, where present, `name` and `token_logprobs`.
// Throws LoadError for a sequence without ids or with a negative one.
std::vector<TokenText> read_recorded_texts(const std::filesystem::path& path);

}  // namespace musaic
