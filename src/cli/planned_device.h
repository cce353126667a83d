#pragma once

#include <string>

#include "cli/platform.h"
#include "program/target.h"

namespace musaic {

// A device that graphs are prepared for without running them: one of this binary's, or one that its kernels
// are still to be written for (cuda, musa), with an index or without.
class PlannedDevice {
 public:
  // `assume_kernels`: as if the device had a kernel for every op. REQUIRES: platform outlives this. Throws
  // LoadError for a device type that nobody knows, with those there are.
  PlannedDevice(const Platform& platform, const std::string& device, const std::string& cpu_isa,
                bool assume_kernels);

  const Target& target() const { return target_; }

 private:
  OpRegistry assumed_;  // when kernels are assumed
  Capabilities capabilities_;
  Target target_;
};

}  // namespace musaic
