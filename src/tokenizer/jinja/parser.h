#pragma once

#include <string_view>

#include "tokenizer/jinja/ast.h"

namespace musaic::jinja {

// Throws TemplateError with the line of the mistake.
Body parse_template(std::string_view source);

}  // namespace musaic::jinja
