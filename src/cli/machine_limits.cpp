#include "cli/machine_limits.h"

#include <immintrin.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <thread>

#include "cli/median.h"

namespace musaic {
namespace {

using Clock = std::chrono::steady_clock;

// Work of one thread: does `rounds` rounds and returns the operations (or bytes) done.
using Work = double (*)(int64_t rounds, const std::byte* memory, size_t bytes);

constexpr int kChains = 12;  // independent accumulators: latency times throughput of the units
constexpr int64_t kInnerRounds = 64;

// Keeps a value from being hoisted out of the loop or dropped.
#define MUSAIC_OPAQUE(value) asm volatile("" : "+x"(value))

__attribute__((target("avx2,fma"))) double float_avx2(int64_t rounds, const std::byte*, size_t) {
  __m256 sums[kChains];
  for (__m256& sum : sums) sum = _mm256_set1_ps(0.5f);
  __m256 x = _mm256_set1_ps(0.999f);
  for (int64_t round = 0; round < rounds * kInnerRounds; ++round) {
    MUSAIC_OPAQUE(x);
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, x, x);
  }
  for (__m256& sum : sums) MUSAIC_OPAQUE(sum);
  return 2.0 * 8 * kChains * static_cast<double>(rounds * kInnerRounds);
}

__attribute__((target("avx512f"))) double float_avx512(int64_t rounds, const std::byte*, size_t) {
  __m512 sums[kChains];
  for (__m512& sum : sums) sum = _mm512_set1_ps(0.5f);
  __m512 x = _mm512_set1_ps(0.999f);
  for (int64_t round = 0; round < rounds * kInnerRounds; ++round) {
    MUSAIC_OPAQUE(x);
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, x, x);
  }
  for (__m512& sum : sums) MUSAIC_OPAQUE(sum);
  return 2.0 * 16 * kChains * static_cast<double>(rounds * kInnerRounds);
}

__attribute__((target("avx2"))) double int8_avx2(int64_t rounds, const std::byte*, size_t) {
  __m256i sums[kChains] = {};
  __m256i x = _mm256_set1_epi8(3);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t round = 0; round < rounds * kInnerRounds; ++round) {
    for (__m256i& sum : sums) {
      MUSAIC_OPAQUE(x);
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, x), ones));
    }
  }
  for (__m256i& sum : sums) MUSAIC_OPAQUE(sum);
  return 2.0 * 32 * kChains * static_cast<double>(rounds * kInnerRounds);
}

__attribute__((target("avx512f,avx512bw"))) double int8_avx512(int64_t rounds, const std::byte*, size_t) {
  __m512i sums[kChains] = {};
  __m512i x = _mm512_set1_epi8(3);
  const __m512i ones = _mm512_set1_epi16(1);
  for (int64_t round = 0; round < rounds * kInnerRounds; ++round) {
    for (__m512i& sum : sums) {
      MUSAIC_OPAQUE(x);
      sum = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(x, x), ones));
    }
  }
  for (__m512i& sum : sums) MUSAIC_OPAQUE(sum);
  return 2.0 * 64 * kChains * static_cast<double>(rounds * kInnerRounds);
}

__attribute__((target("avx512f,avx512vnni"))) double int8_vnni(int64_t rounds, const std::byte*, size_t) {
  __m512i sums[kChains] = {};
  __m512i x = _mm512_set1_epi8(3);
  for (int64_t round = 0; round < rounds * kInnerRounds; ++round) {
    MUSAIC_OPAQUE(x);
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, x, x);
  }
  for (__m512i& sum : sums) MUSAIC_OPAQUE(sum);
  return 2.0 * 64 * kChains * static_cast<double>(rounds * kInnerRounds);
}

// `rounds` passes over the thread's memory.
__attribute__((target("avx2"))) double read_memory(int64_t rounds, const std::byte* memory, size_t bytes) {
  constexpr size_t kUnroll = 8;
  __m256i sums[kUnroll] = {};
  for (int64_t round = 0; round < rounds; ++round) {
    for (size_t at = 0; at + sizeof(sums) <= bytes; at += sizeof(sums)) {
      const auto* from = reinterpret_cast<const __m256i*>(memory + at);
      for (size_t i = 0; i < kUnroll; ++i) sums[i] = _mm256_xor_si256(sums[i], _mm256_load_si256(from + i));
    }
  }
  for (__m256i& sum : sums) MUSAIC_OPAQUE(sum);
  return static_cast<double>(rounds) * static_cast<double>(bytes);
}

#undef MUSAIC_OPAQUE

struct FreeMemory {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, FreeMemory>;

Memory touched_memory(size_t bytes) {
  constexpr size_t kPage = 4096;
  if (bytes == 0) return nullptr;
  Memory memory(static_cast<std::byte*>(std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage)));
  if (memory != nullptr) std::memset(memory.get(), 1, bytes);
  return memory;
}

// Operations a second of all threads together, each repetition begun by all at once: their median.
double measure(Work work, const MachineLimitOptions& options, size_t bytes_a_thread) {
  const auto repetitions = static_cast<size_t>(options.repetitions);
  const auto num_threads = static_cast<size_t>(options.num_threads);
  std::vector<double> rates(repetitions * num_threads);
  std::barrier sync(options.num_threads);
  const auto run = [&](size_t thread) {
    const Memory memory = touched_memory(bytes_a_thread);
    work(1, memory.get(), bytes_a_thread);
    for (size_t repetition = 0; repetition < repetitions; ++repetition) {
      sync.arrive_and_wait();
      const auto start = Clock::now();
      double operations = 0.0;
      double seconds = 0.0;
      while (seconds < options.seconds_a_measurement) {
        operations += work(1, memory.get(), bytes_a_thread);
        seconds = std::chrono::duration<double>(Clock::now() - start).count();
      }
      rates[repetition * num_threads + thread] = operations / seconds;
    }
  };
  std::vector<std::thread> threads;
  for (size_t thread = 1; thread < num_threads; ++thread) threads.emplace_back(run, thread);
  run(0);
  for (std::thread& thread : threads) thread.join();

  std::vector<double> sums;
  for (size_t repetition = 0; repetition < repetitions; ++repetition) {
    const auto first = rates.begin() + static_cast<std::ptrdiff_t>(repetition * num_threads);
    sums.push_back(std::accumulate(first, first + options.num_threads, 0.0));
  }
  return median(sums);
}

}  // namespace

double MachineLimits::best_int8_ops_per_second() const {
  double best = 0.0;
  for (const auto& [name, rate] : int8_ops_per_second) best = std::max(best, rate);
  return best;
}

MachineLimits measure_machine_limits(const Capabilities& capabilities, const MachineLimitOptions& options) {
  MachineLimits limits{.num_threads = options.num_threads};
  const bool avx512 = capabilities.has("avx512");
  limits.read_bytes_per_second =
      measure(read_memory, options, options.read_bytes / static_cast<size_t>(options.num_threads));
  limits.float_ops_per_second = measure(avx512 ? float_avx512 : float_avx2, options, 0);
  limits.int8_ops_per_second.emplace_back("avx2", measure(int8_avx2, options, 0));
  if (avx512) limits.int8_ops_per_second.emplace_back("avx512", measure(int8_avx512, options, 0));
  if (capabilities.has("avx512_vnni"))
    limits.int8_ops_per_second.emplace_back("avx512_vnni", measure(int8_vnni, options, 0));
  return limits;
}

}  // namespace musaic
