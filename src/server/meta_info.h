#pragma once

#include <vector>

#include "formats/json.h"
#include "server/choice.h"

namespace musaic {

class Tokenizer;

// SGLang's finish_reason object; null while the answer is being made.
Json finish_reason(const Choice& choice);
// SGLang's meta_info without log-probabilities.
Json meta_info(const Choice& choice, bool with_step_info);
// Adds input_token_logprobs, output_token_logprobs and the top and per-token lists: [logprob, id, text or
// null]. `tokenizer` is nullptr when texts are not wanted.
void add_logprobs(const Choice& choice, const Tokenizer* tokenizer, Json& meta_info);
// OpenAI's usage over all choices.
Json usage(const std::vector<Choice>& choices);
// OpenAI's `matched_stop` extension of SGLang: the token, the text, or null.
Json matched_stop(const Choice& choice);

}  // namespace musaic
