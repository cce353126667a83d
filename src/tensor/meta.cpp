#include "tensor/meta.h"

namespace musaic {

std::string to_string(const Meta& meta) {
  std::string out = std::string(name(meta.dtype)) + to_string(meta.shape);
  if (!meta.is_contiguous()) out += " strides " + to_string(meta.strides);
  return out + " " + to_string(meta.device);
}

}  // namespace musaic
