#pragma once

#include <set>
#include <string>
#include <string_view>

namespace musaic {

// What a device can do, by feature name: "avx2", "avx512", "avx512_vnni", "avx512_bf16"; kernels' predicates
// ask.
struct Capabilities {
  std::set<std::string, std::less<>> features;

  bool has(std::string_view feature) const { return features.find(feature) != features.end(); }
};

}  // namespace musaic
