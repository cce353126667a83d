#pragma once

#include <array>
#include <cstdint>

namespace musaic {

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers, as easy as 1, 2, 3; SC 2011): a
// counter-based generator, so that the n-th number of a stream needs no state.
inline std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// The `draw`-th number of the stream `seed`, uniform in [0, 1) in steps of 2^-53.
inline double uniform_draw(int64_t seed, int32_t draw) {
  const auto key = static_cast<uint64_t>(seed);
  const auto bits = philox4x32({static_cast<uint32_t>(draw), 0, 0, 0},
                               {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)});
  const uint64_t joined = uint64_t{bits[0]} << 32 | bits[1];
  return static_cast<double>(joined >> 11) * 0x1p-53;
}

}  // namespace musaic
