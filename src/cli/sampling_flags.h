#pragma once

#include <atomic>

#include "request/request.h"
#include "tokenizer/text_stream.h"

namespace CLI {
class App;
}

namespace musaic {

struct SamplingFlags {
  SamplingParams sampling;
  TextRules text;
};

void add_sampling_flags(CLI::App& app, SamplingFlags& flags);

// Turns true on SIGINT from the first call on; the verbs that wait for an answer look at it.
const std::atomic<bool>& interrupt_flag();
// Before the next answer.
void clear_interrupt();

}  // namespace musaic
