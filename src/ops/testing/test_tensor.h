#pragma once

#include "tensor/host_tensor.h"

namespace musaic::testing {

using TestTensor = HostTensor;

}  // namespace musaic::testing
