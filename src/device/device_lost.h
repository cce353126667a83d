#pragma once

#include "base/status.h"

namespace musaic {

// The device has failed for good: every later call fails too. Thrown by calls of Backend, Stream and
// CapturedGraph.
class DeviceLost : public LoadError {
 public:
  using LoadError::LoadError;
};

}  // namespace musaic
