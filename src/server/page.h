#pragma once

#include <string_view>

namespace musaic {

// The page at `GET /`: page/index.html, built into the program.
std::string_view page_html();

}  // namespace musaic
