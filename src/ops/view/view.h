#pragma once

#include "ir/builder.h"

namespace musaic {

// aten::slice. Values [begin, end) along `axis`: an address inside x, no copy and no kernel.
Value slice(Value x, int axis, int64_t begin, int64_t end);

void define_view(OpRegistry& registry);

}  // namespace musaic
