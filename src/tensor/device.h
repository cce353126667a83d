#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace musaic {

// A device by type name and index: `cpu`, `cuda:0`, `musa:1`, or any made-up type. The cpu has no index.
struct Device {
  std::string type = "cpu";
  int index = -1;  // -1: none

  bool operator==(const Device&) const = default;
};

std::string to_string(const Device& device);  // "cpu", "musa:0"

// Reads `musa:0`, `device(type='musa', index=0)` and `torch.device('musa:0')`; `cpu:0` is the cpu.
std::optional<Device> parse_device(std::string_view text);

}  // namespace musaic
