#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/engine_client.h"
#include "tokenizer/text_stream.h"

namespace musaic {

struct Answer {
  std::string text;
  std::vector<TokenId> tokens;
  Finish finish;
  int prompt_tokens = 0;
  int cached_tokens = 0;
  double seconds_to_first_token = 0.0;
  double seconds = 0.0;
};

// Runs one request and hands each piece of new text to `show`. Blocks; `interrupted` turning true aborts the
// request.
Result<Answer> stream_answer(EngineClient& engine, const std::shared_ptr<const Tokenizer>& tokenizer,
                             Request request, TextRules rules,
                             const std::function<void(std::string_view)>& show,
                             const std::atomic<bool>& interrupted);

}  // namespace musaic
