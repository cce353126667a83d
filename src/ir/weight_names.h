#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace musaic {

// A merged weight is named after its parts: "q+k+v". A part with a '+' of its own makes that ambiguous.
std::string name_of_weight(std::span<const std::string> parts);
std::vector<std::string> parts_of_weight(std::string_view name);

}  // namespace musaic
