#pragma once

#include <optional>

#include "musaic/plugin.h"
#include "tensor/dtype.h"

namespace musaic {

// The element types of the interface, whose numbers never change, and ours.
MusaicDType to_abi(DType dtype);
// nullopt: no element type of the interface.
std::optional<DType> from_abi(MusaicDType dtype);

}  // namespace musaic
