#pragma once

#include <string_view>

namespace musaic {

// A feature that is asked for, not found (--enable-deterministic-inference): a row's bits may not depend on
// how many rows a call has. A kernel that goes another way for many rows, with other bits, does not support
// such a call.
inline constexpr std::string_view kRowInvariant = "row_invariant";

}  // namespace musaic
