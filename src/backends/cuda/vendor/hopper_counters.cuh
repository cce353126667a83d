#pragma once

#include <cstdint>

// Counters in device memory by which the blocks of a launch follow one another. REQUIRES, where one waits:
// all of them run at once.
namespace musaic {

// What the thread, and those that it has met, wrote before is there for who sees the count; behind `last` it
// begins with 0 again.
__device__ inline void count_up(uint32_t* counter, uint32_t last) {
  asm volatile("red.release.gpu.global.inc.u32 [%0], %1;" ::"l"(counter), "r"(last) : "memory");
}
// Numbers from 0 to `last`, each to one caller.
__device__ inline uint32_t take_number(uint32_t* counter, uint32_t last) {
  uint32_t number;
  asm volatile("atom.relaxed.gpu.global.inc.u32 %0, [%1], %2;"
               : "=r"(number)
               : "l"(counter), "r"(last)
               : "memory");
  return number;
}
// The same; what the thread, and those that it has met, wrote before is there for who gets a later number.
__device__ inline uint32_t take_turn(uint32_t* counter, uint32_t last) {
  uint32_t number;
  asm volatile("atom.acq_rel.gpu.global.inc.u32 %0, [%1], %2;"
               : "=r"(number)
               : "l"(counter), "r"(last)
               : "memory");
  return number;
}
__device__ inline void wait_for_count(const uint32_t* counter, uint32_t count) {
  uint32_t seen;
  do {
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(counter) : "memory");
  } while (seen < count);
}

}  // namespace musaic
