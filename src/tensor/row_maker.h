#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace musaic {

// Writes rows [begin, end) of a matrix that lies nowhere one after the other, as they are stored. Any thread.
using RowMaker = std::function<void(int64_t begin, int64_t end, std::byte* rows)>;

}  // namespace musaic
