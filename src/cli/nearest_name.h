#pragma once

#include <span>
#include <string>
#include <string_view>

namespace musaic {

// The known name with the smallest edit distance to `unknown`, empty when none is near.
std::string nearest_name(std::string_view unknown, std::span<const std::string> known);

}  // namespace musaic
