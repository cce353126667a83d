#pragma once

#include <string>
#include <string_view>

namespace musaic::jinja {

// What a Python string literal's inside means. Throws TemplateError for a broken escape.
std::string unescape(std::string_view inside);

}  // namespace musaic::jinja
