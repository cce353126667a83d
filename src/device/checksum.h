#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace musaic {

// The sum of words of 8 bytes, word i times 2i + 1, modulo 2^64: parts may be added in any order, and a
// change of one word, or an exchange of two, shows.
struct Checksum {
  uint64_t value = 0;
  uint64_t words = 0;

  void add(const void* data, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      uint64_t word;
      std::memcpy(&word, static_cast<const char*>(data) + i * sizeof(word), sizeof(word));
      value += word * (2 * words++ + 1);
    }
  }
};

inline uint64_t checksum_of(const void* data, size_t words) {
  Checksum sum;
  sum.add(data, words);
  return sum.value;
}

}  // namespace musaic
