#include "tensor/shape.h"

#include <fmt/ranges.h>

namespace musaic {

std::string to_string(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

}  // namespace musaic
