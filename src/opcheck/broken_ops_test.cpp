// Ops that break one rule each: every breach is caught, and named.
#include <gmock/gmock.h>

#include "backends/simulated/simulated_backend.h"
#include "base/status.h"
#include "ir/op_sample.h"
#include "opcheck/opcheck.h"

namespace musaic {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kSchema = "test::twice(Tensor x, Tensor table) -> Tensor";

// What a broken kernel gets at besides its call.
using BrokenKernel = std::function<void(const KernelCall& call, Backend& backend)>;

std::vector<FakeOutput> honest_fake(const FakeCall& call) {
  return {{Meta::contiguous(DType::kF32, call.input(0).shape, call.input(0).device)}};
}

int64_t live_of(const KernelCall& call) {
  const int64_t rows = call.inputs[0].shape[0];
  return call.live_rows == nullptr ? rows : std::min<int64_t>(*host_address(call.live_rows), rows);
}

struct Twice {
  Tensor x;
  Tensor table;
  Tensor out;
  const int32_t* live_rows;

  // As the simulated device's kernels do; the CPU's addresses stay as they are.
  explicit Twice(const KernelCall& call)
      : x(call.inputs[0]),
        table(call.inputs[1]),
        out(call.outputs[0]),
        live_rows(host_address(call.live_rows)) {
    for (Tensor* tensor : {&x, &table, &out}) tensor->data = host_address(tensor->data);
  }
  int64_t live() const {
    return live_rows == nullptr ? x.shape[0] : std::min<int64_t>(*live_rows, x.shape[0]);
  }
  void row(int64_t r) const {
    for (int64_t i = 0; i < x.shape[1]; ++i) out.row<float>(r)[i] = 2 * x.row<float>(r)[i];
  }
  void rows(int64_t begin, int64_t end) const {
    for (int64_t r = begin; r < end; ++r) row(r);
  }
};

// Launches work(Twice) on one worker.
template <class Work>
void launch(const KernelCall& call, const Work& work) {
  cpu_stream(call.stream).launch([twice = Twice(call), work](const Worker& worker) {
    if (worker.index == 0) work(twice);
  });
}

void honest_kernel(const KernelCall& call, Backend&) {
  launch(call, [](const Twice& twice) { twice.rows(0, twice.live()); });
}

std::vector<OpSample> twice_samples() {
  std::vector<OpSample> samples;
  for (int64_t rows : {0, 1, 4}) {
    samples.push_back({.name = std::to_string(rows) + " rows",
                       .inputs = {{.tensor = HostTensor::random(DType::kF32, {rows, 3}, 1), .has_rows = true},
                                  {.tensor = HostTensor::random(DType::kF32, {5}, 2)}},
                       .outputs = {{DType::kF32, {rows, 3}}}});
  }
  return samples;
}

// The first failure of a one-op registry on a device; empty: none.
template <class Device>
std::string failure_on(OpDef op, const BrokenKernel& run, const std::string& schema = kSchema) {
  Device device({.num_threads = 2, .isa = std::nullopt});
  Device one_thread({.num_threads = 1, .isa = std::nullopt});
  op.kernels = {{.name = "broken", .device_type = device.device().type, .run = [&](const KernelCall& call) {
                   run(call, device);
                 }}};
  if (!op.samples) op.samples = twice_samples;
  OpRegistry registry;
  registry.define(schema, std::move(op));
  OpChecks checks(registry, {"test::twice"});
  checks.run(device, &one_thread, "");
  for (const OpCheckResult& result : checks.results()) {
    if (!result.ok()) return result.failures.front();
  }
  return "";
}

// On the strict device; the CPU must see it too.
std::string failure_of_kernel(const BrokenKernel& run) {
  const OpDef op{.schema = {}, .fake = honest_fake};
  const std::string on_cpu = failure_on<CpuBackend>(op, run);
  const std::string strict = failure_on<SimulatedBackend>(op, run);
  EXPECT_EQ(on_cpu.empty(), strict.empty()) << on_cpu << " | " << strict;
  return strict;
}

std::string failure_of_fake(Fake fake, const std::string& schema = kSchema, bool is_view = false) {
  return failure_on<CpuBackend>({.schema = {}, .fake = std::move(fake), .is_view = is_view}, honest_kernel,
                                schema);
}

TEST(BrokenOps, AnHonestOpPasses) {
  EXPECT_THAT(failure_of_kernel(honest_kernel), IsEmpty());
  EXPECT_THAT(failure_of_fake(honest_fake), IsEmpty());
}

TEST(OpChecks, NamesEachCaseAsItBegins) {
  CpuBackend device({.num_threads = 1, .isa = std::nullopt});
  std::vector<std::string> heard;
  OpRegistry registry;
  OpDef op{.schema = {}, .fake = honest_fake, .samples = twice_samples};
  op.kernels = {{.name = "counting", .device_type = device.device().type, .run = [&](const KernelCall& call) {
                   EXPECT_THAT(heard, testing::Not(IsEmpty()));
                   honest_kernel(call, device);
                 }}};
  registry.define(kSchema, std::move(op));
  OpChecks checks(registry, {"test::twice"}, [&](const std::string& text) { heard.push_back(text); });
  checks.run(device, nullptr, "avx2");
  int cases = 0;
  for (const OpCheckResult& result : checks.results()) cases += result.cases;
  EXPECT_EQ(heard.size(), static_cast<size_t>(cases));
  EXPECT_EQ(heard.front(), "test::twice: 0 rows, counting (avx2)");
}

TEST(BrokenOps, AFakeThatLiesAboutTheShapeIsCaught) {
  EXPECT_EQ(failure_of_fake([](const FakeCall& call) {
              auto out = honest_fake(call);
              out[0].meta = Meta::contiguous(DType::kF32, {call.input(0).dim(0), 4}, out[0].meta.device);
              return out;
            }),
            "0 rows: the fake gives output 0 as f32[0, 4] cpu, it is f32[0, 3] cpu");
}

TEST(BrokenOps, AFakeThatLiesAboutDtypeStridesOrDeviceIsCaught) {
  EXPECT_THAT(failure_of_fake([](const FakeCall& call) {
                auto out = honest_fake(call);
                out[0].meta.dtype = DType::kI32;
                return out;
              }),
              HasSubstr("output 0 as i32[0, 3] cpu, it is f32[0, 3] cpu"));
  EXPECT_THAT(failure_of_fake([](const FakeCall& call) {
                auto out = honest_fake(call);
                out[0].meta.strides[0] = 4;
                return out;
              }),
              HasSubstr("the fake gives output 0 as"));
  EXPECT_THAT(failure_of_fake([](const FakeCall& call) {
                auto out = honest_fake(call);
                out[0].meta.device = Device{};
                return out;
              }),
              HasSubstr("cpu, it is f32[0, 3] made_up:7"));
}

TEST(BrokenOps, AFakeThatHidesThatItsOutputIsAViewIsCaught) {
  EXPECT_THAT(failure_of_fake(honest_fake, "test::twice(Tensor(a) x, Tensor table) -> Tensor(a)", true),
              HasSubstr("makes output 0 new memory, the schema a view of alias a"));
  EXPECT_THAT(failure_of_fake([](const FakeCall& call) {
                auto out = honest_fake(call);
                out[0].view_of = 0;
                return out;
              }),
              HasSubstr("makes output 0 a view of `x`, which has no alias, the schema new memory"));
}

TEST(BrokenOps, AFakeThatCountsOutputsOrRefusesSymbolsIsCaught) {
  EXPECT_THAT(failure_of_fake([](const FakeCall&) { return std::vector<FakeOutput>(); }),
              HasSubstr("the fake gives 0 outputs, the schema 1"));
  EXPECT_THAT(failure_of_fake([](const FakeCall& call) {
                if (!call.input(0).dim(0).is_constant()) fail_load("test::twice: rows are no number");
                return honest_fake(call);
              }),
              HasSubstr("the fake refuses the sample: test::twice: rows are no number"));
}

TEST(BrokenOps, AnUndeclaredMutationIsCaught) {
  EXPECT_THAT(failure_of_kernel([](const KernelCall& call, Backend&) {
                launch(call, [](const Twice& twice) {
                  twice.rows(0, twice.live());
                  twice.table.as<float>()[2] += 1;
                });
              }),
              HasSubstr("wrote input `table`, row 2, which it must leave alone"));
}

TEST(BrokenOps, AReadOfAPadRowIsCaught) {
  EXPECT_THAT(failure_of_kernel([](const KernelCall& call, Backend&) {
                launch(call, [](const Twice& twice) {
                  twice.rows(0, twice.live());
                  const int64_t last = twice.x.shape[0] - 1;  // looks harmless: only a sum
                  if (twice.live() > 0) twice.out.as<float>()[0] += 1e-30f * twice.x.row<float>(last)[0];
                });
              }),
              HasSubstr("output 0, row 0 depends on pad rows"));
}

TEST(BrokenOps, AWriteOfAPadRowIsCaught) {
  EXPECT_THAT(failure_of_kernel([](const KernelCall& call, Backend&) {
                launch(call, [](const Twice& twice) { twice.rows(0, twice.x.shape[0]); });
              }),
              HasSubstr("broken, 0 live: wrote output 0, pad row 0, which it must leave alone"));
}

TEST(BrokenOps, AWriteBehindAnOutputIsCaught) {
  EXPECT_THAT(failure_of_kernel([](const KernelCall& call, Backend&) {
                launch(call, [](const Twice& twice) {
                  twice.rows(0, twice.live());
                  twice.out.as<float>()[twice.out.elements()] = 0;
                });
              }),
              HasSubstr("wrote the memory behind output 0"));
}

TEST(BrokenOps, AnOutputThatIsLeftUnwrittenIsCaught) {
  EXPECT_THAT(failure_of_kernel([](const KernelCall& call, Backend&) {
                launch(call, [](const Twice& twice) { twice.rows(0, twice.live() - 1); });
              }),
              HasSubstr("left output 0, row 0 unwritten"));
}

TEST(BrokenOps, AnAllocationInsideACaptureIsCaught) {
  EXPECT_THAT(failure_of_kernel([](const KernelCall& call, Backend& backend) {
                backend.allocate(16, "scratch");
                honest_kernel(call, backend);
              }),
              HasSubstr("cannot be captured: simulated: test::twice: an allocation of 16 bytes"));
}

TEST(BrokenOps, ASynchronizationInsideACaptureIsCaught) {
  EXPECT_THAT(failure_of_kernel([](const KernelCall& call, Backend& backend) {
                honest_kernel(call, backend);
                call.stream.synchronize();
              }),
              HasSubstr("cannot be captured: simulated: test::twice: a synchronization inside a capture"));
}

// The CPU's copies are recorded like any work.
TEST(BrokenOps, ACopyToTheHostInsideACaptureIsCaughtOnTheStrictDevice) {
  const BrokenKernel peeking = [](const KernelCall& call, Backend& backend) {
    float seen = 0;
    if (call.inputs[0].elements() > 0)
      backend.copy_to_host(&seen, call.inputs[0].data, sizeof(seen), call.stream);
    honest_kernel(call, backend);
  };
  EXPECT_THAT(failure_on<SimulatedBackend>({.schema = {}, .fake = honest_fake}, peeking),
              HasSubstr("cannot be captured: simulated: test::twice: a copy to the host inside a capture"));
}

TEST(BrokenOps, AReadOfDataWhileItIsEnqueuedIsCaught) {
  EXPECT_THAT(failure_of_kernel([](const KernelCall& call, Backend&) {
                const int64_t live = live_of(call);  // of the day of the capture
                launch(call, [live](const Twice& twice) { twice.rows(0, live); });
              }),
              HasSubstr("the first replay differs from the eager run: output 0, row 0"));
}

TEST(BrokenOps, WorkThatRunsWhileItIsCapturedIsCaught) {
  EXPECT_THAT(failure_of_kernel([](const KernelCall& call, Backend& backend) {
                const Twice twice(call);
                twice.rows(0, call.live_rows == nullptr ? twice.live() : 0);  // on the host, at once
                honest_kernel(call, backend);
              }),
              HasSubstr("ran while it was captured"));
}

TEST(BrokenOps, AnAddressOfTheHostIsCaughtOnTheStrictDevice) {
  const BrokenKernel leaving = [](const KernelCall& call, Backend& backend) {
    const float on_host = 0;
    simulated_stream(call.stream).use("x", &on_host, sizeof(on_host));
    honest_kernel(call, backend);
  };
  EXPECT_THAT(failure_on<SimulatedBackend>({.schema = {}, .fake = honest_fake}, leaving),
              HasSubstr("not inside a live allocation"));
}

TEST(BrokenOps, AResultThatDependsOnTheNumberOfThreadsIsCaught) {
  EXPECT_THAT(failure_of_kernel([](const KernelCall& call, Backend&) {
                cpu_stream(call.stream).launch([twice = Twice(call)](const Worker& worker) {
                  if (worker.index > 0) return;
                  twice.rows(0, twice.live());
                  if (twice.live() > 0) twice.out.as<float>()[0] += static_cast<float>(worker.count);
                });
              }),
              HasSubstr("one thread differs from the eager run: output 0, row 0"));
}

TEST(BrokenOps, AnOpWithoutSamplesIsAFailure) {
  const OpDef op{.schema = {}, .fake = honest_fake, .samples = [] { return std::vector<OpSample>(); }};
  EXPECT_EQ(failure_on<CpuBackend>(op, honest_kernel), "it has no samples to be checked with");
}

TEST(BrokenOps, SamplesThatCannotBeMadeAreAFailure) {
  const OpDef op{.schema = {}, .fake = honest_fake, .samples = []() -> std::vector<OpSample> {
                   fail_load("test::twice: there is no dtype 77");
                 }};
  EXPECT_EQ(failure_on<CpuBackend>(op, honest_kernel), "test::twice: there is no dtype 77");
}

TEST(BrokenOps, AKernelThatNoSampleReachesIsNamed) {
  OpRegistry registry;
  OpDef op{.schema = {}, .fake = honest_fake, .samples = twice_samples};
  op.kernels = {{.name = "proud",
                 .device_type = "cpu",
                 .supports = [](const KernelQuery&) { return false; },
                 .run = [](const KernelCall&) {}}};
  registry.define(kSchema, std::move(op));
  CpuBackend backend({.num_threads = 1, .isa = std::nullopt});
  OpChecks checks(registry, {"test::twice"});
  checks.run(backend, nullptr, "");
  EXPECT_THAT(checks.unreached_kernels(), testing::ElementsAre("test::twice: proud"));
  EXPECT_EQ(checks.results()[0].without_kernel, 3);
}

}  // namespace
}  // namespace musaic
