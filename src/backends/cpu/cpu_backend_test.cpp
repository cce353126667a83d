#include "backends/cpu/cpu_backend.h"

#include <gmock/gmock.h>

#include <cstring>
#include <vector>

#include "base/status.h"
#include "hwy/targets.h"

namespace musaic {
namespace {

size_t resident_bytes() {
  FILE* file = std::fopen("/proc/self/statm", "r");
  long size = 0, resident = 0;
  EXPECT_EQ(std::fscanf(file, "%ld %ld", &size, &resident), 2);
  std::fclose(file);
  return static_cast<size_t>(resident) * 4096;
}

TEST(CpuIsa, NamesParseBack) {
  for (CpuIsa isa : {CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAvx512Vnni, CpuIsa::kAvx512Bf16})
    EXPECT_EQ(parse_cpu_isa(name(isa)), isa);
  EXPECT_EQ(parse_cpu_isa("sse2"), std::nullopt);
}

TEST(CpuIsa, ALevelHasTheFeaturesOfThoseBelowAndNoneAbove) {
  for (CpuIsa isa : {CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAvx512Vnni, CpuIsa::kAvx512Bf16}) {
    if (isa > detect_cpu_isa()) {
      EXPECT_THROW(use_cpu_isa(isa), LoadError);
      continue;
    }
    const Capabilities capabilities = use_cpu_isa(isa);
    for (CpuIsa other : {CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAvx512Vnni, CpuIsa::kAvx512Bf16})
      EXPECT_EQ(capabilities.has(name(other)), other <= isa) << name(other) << " at " << name(isa);
  }
}

TEST(CpuIsa, KeepsHighwayBelowTheLevelAndReleasesItAgain) {
  use_cpu_isa(CpuIsa::kAvx2);
  EXPECT_EQ(hwy::SupportedTargets() & (HWY_AVX3 | HWY_AVX3_DL), 0);
  if (detect_cpu_isa() == CpuIsa::kAvx2) return;
  use_cpu_isa(detect_cpu_isa());
  EXPECT_NE(hwy::SupportedTargets() & HWY_AVX3, 0);
}

TEST(CpuBackend, MemoryIsZeroedAndAligned) {
  CpuBackend backend({.num_threads = 1});
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{5000}, (size_t{3} << 20) + 1}) {
    const auto memory = backend.allocate(bytes, "test");
    ASSERT_NE(memory->data(), nullptr);
    EXPECT_EQ(memory->bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<size_t>(memory->data()) % 4096, 0u);
    const auto* data = static_cast<const char*>(memory->data());
    EXPECT_TRUE(std::all_of(data, data + bytes, [](char byte) { return byte == 0; }));
  }
}

TEST(CpuBackend, TouchesPagesOnDemand) {
  CpuBackend backend({.num_threads = 1});
  const size_t before = resident_bytes();
  const auto memory = backend.allocate(size_t{256} << 20, "kv");
  std::memset(memory->data(), 1, 1 << 20);
  EXPECT_LT(resident_bytes() - before, size_t{64} << 20);
}

TEST(CpuBackend, TooLargeABlockSaysWhatItWasFor) {
  CpuBackend backend({.num_threads = 1});
  try {
    backend.allocate(size_t{1} << 60, "the KV pool");
    FAIL() << "an exabyte was given";
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("the KV pool"));
  }
}

TEST(CpuBackend, AllocatingOrSynchronizingInsideACaptureIsAnErrorThatNamesTheOp) {
  CpuBackend backend({.num_threads = 1});
  backend.begin_capture(backend.stream());
  backend.name_next("test::greedy");
  const auto message = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const LoadError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([&] { backend.allocate(64, "scratch"); }),
            "cpu: test::greedy: an allocation inside a capture, 64 bytes for scratch");
  EXPECT_EQ(message([&] { backend.stream().synchronize(); }),
            "cpu: test::greedy: a synchronization inside a capture");
}

TEST(CpuBackend, ReplaysWhatWasCapturedWithTheDataOfTheDay) {
  CpuBackend backend({.num_threads = 2});
  std::vector<float> x = {1, 2, 3, 4};
  std::vector<float> doubled(4, -1), copied(4, -1);
  backend.begin_capture(backend.stream());
  cpu_stream(backend.stream()).launch([in = x.data(), out = doubled.data()](const Worker& worker) {
    for (int i = worker.index; i < 4; i += worker.count) out[i] = 2 * in[i];
  });
  backend.copy_to_host(copied.data(), doubled.data(), 16, backend.stream());
  backend.zero(x.data(), 4, backend.stream());
  const auto graph = backend.end_capture(backend.stream());
  EXPECT_EQ(graph->num_launches(), 3);
  EXPECT_GT(graph->bytes(), 0u);
  EXPECT_THAT(copied, testing::Each(-1));  // recorded, not run
  EXPECT_EQ(x[0], 1);

  graph->replay(backend.stream());
  EXPECT_THAT(copied, testing::ElementsAre(2, 4, 6, 8));
  EXPECT_EQ(x[0], 0);
  x = {5, 6, 7, 8};
  graph->replay(backend.stream());
  EXPECT_THAT(copied, testing::ElementsAre(10, 12, 14, 16));
}

TEST(CpuBackend, EagerLaunchesRunAtOnce) {
  CpuBackend backend({.num_threads = 3});
  std::vector<int> calls(3, 0);
  cpu_stream(backend.stream()).launch([calls = calls.data()](const Worker& worker) {
    ++calls[worker.index];
  });
  EXPECT_THAT(calls, testing::Each(1));
}

}  // namespace
}  // namespace musaic
