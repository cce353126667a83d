#include "cli/device_flag.h"

#include <algorithm>
#include <string_view>

#include "tensor/device.h"

namespace musaic {
namespace {

constexpr std::string_view kTypes[] = {"auto", "cpu", "simulated", "cuda", "musa"};

std::string problem(const std::string& text) {
  const auto device = parse_device(text);
  if (device && std::ranges::find(kTypes, device->type) != std::end(kTypes)) return "";
  return "expected auto, cpu, simulated, cuda, cuda:N, musa or musa:N, got " + text;
}

}  // namespace

CLI::Validator is_device() {
  return CLI::Validator(problem, "DEVICE");
}

}  // namespace musaic
