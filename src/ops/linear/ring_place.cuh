#pragma once

#include <cstdint>

#include "hopper.cuh"

// Places in the ring of stages through which copies come, and the parity of the round.
namespace musaic {

template <int kStages>
struct RingPlace {
  int stage = 0;
  uint32_t parity = 0;

  // By several: see wait_for_turn.
  __device__ void advance(int stages = 1) {
    stage += stages;
    if (stage >= kStages) {
      stage -= kStages;
      parity ^= 1;
    }
  }
};

// For warpgroups that take stages in turns, where a stage was another one's in the round before. While that
// round's copy is on its way, though those behind it are there, a wait for this round at `full` would take the
// one before that for it, which has the same parity. So the other warpgroup has to have read the stage first,
// as the copy waits for too.
template <int kStages>
__device__ void wait_for_turn(const Barrier (&empty)[kStages], const Barrier (&full)[kStages],
                              RingPlace<kStages> place) {
  empty[place.stage].wait(place.parity ^ 1);
  full[place.stage].wait(place.parity);
}

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
