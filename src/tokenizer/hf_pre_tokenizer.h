#pragma once

#include <simdjson.h>
#include <optional>
#include <string_view>

namespace musaic {

// The name of the pre-tokenizer that a tokenizer.json's `pre_tokenizer` describes, recognised by its
// structure and patterns; nullopt when it is none of the known ones.
std::optional<std::string_view> recognise_pre_tokenizer(simdjson::dom::element pre_tokenizer);

}  // namespace musaic
