#pragma once

#include <cstdint>

// Places in the ring of stages through which copies come, and the parity of the round.
namespace musaic {

template <int kStages>
struct RingPlace {
  int stage = 0;
  uint32_t parity = 0;

  __device__ void advance(int stages = 1) {
    stage += stages;
    if (stage >= kStages) {
      stage -= kStages;
      parity ^= 1;
    }
  }
};

// In a ring of as many stages as the call has room for.
struct StagePlace {
  int stage = 0;
  uint32_t parity = 0;

  __device__ void advance(int stages) {
    if (++stage == stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

}  // namespace musaic
