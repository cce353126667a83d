#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace musaic {

// A merged weight is named after its parts: "q+k+v". Parts that go through numbers are named once:
// "[0-63].gate+[0-63].up" is 0.gate, 0.up, 1.gate and so on. A part with a '+' or such a range of its own
// makes that ambiguous.
std::string name_of_weight(std::span<const std::string> parts);
std::vector<std::string> parts_of_weight(std::string_view name);

}  // namespace musaic
