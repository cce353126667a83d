#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"
#include "server/answer_format.h"

namespace musaic {

// {"id","object","created","model","choices":[]}
Json open_answer(const AnswerHeader& header, std::string_view object);
void append_event(const Json& event, std::string& out);
// The last event of a stream with stream_options.include_usage: no choices, the usage of all.
void append_usage_event(const AnswerHeader& header, std::string_view object,
                        const std::vector<Choice>& choices, std::string& out);
Json usage_of(const Choice& choice);
// The tokens that belong to the text: without the token that ended it.
size_t num_visible_tokens(const Choice& choice);

}  // namespace musaic
