#include "cli/model_session.h"

#include <gmock/gmock.h>

#include <cstring>

#include "backends/simulated/simulated_backend.h"
#include "base/status.h"
#include "device/launch_ahead.h"
#include "ops/kernels_cpu.h"
#include "ops/kernels_simulated.h"
#include "ops/op_list.h"

namespace musaic {
namespace {

using ::testing::HasSubstr;

constexpr size_t kMiB = 1 << 20;
constexpr size_t kExecutableBytes = 5000;

// A device whose driver keeps captured pieces in the device's memory.
class DeviceWithExecutables : public SimulatedBackend, public LaunchAhead {
 public:
  DeviceWithExecutables() : SimulatedBackend({.num_threads = 1, .isa = std::nullopt}) {}
  std::unique_ptr<StreamClock> make_clock() override { return std::make_unique<HostStreamClock>(); }
  std::unique_ptr<HostReader> make_reader(size_t bytes) override {
    return std::make_unique<HostCopyReader>(*this, bytes);
  }
  void upload(void* destination, const void* source, std::span<const UploadRange> ranges,
              std::span<const DeviceCopy> parts, Stream& stream) override {
    copy_ranges(*this, destination, source, ranges, stream);
    for (const DeviceCopy& part : parts)
      std::memcpy(host_address(part.destination), host_address(part.source), part.bytes);
  }
  size_t executable_bytes(int) const override { return kExecutableBytes; }
  size_t executable_bytes() const override { return kExecutableBytes; }
  size_t free_bytes() const override { return 0; }
  DeviceCalls device_calls() const override { return {}; }
};

class ModelSessionTest : public testing::Test {
 protected:
  ModelSessionTest() {
    define_ops(platform_.registry);
    add_cpu_kernels(platform_.registry);
    add_simulated_kernels(platform_.registry);
    platform_.backends = {"cpu", "simulated"};
    platform_.make_backend = [](const BackendRequest& request) -> std::unique_ptr<Backend> {
      if (request.device == "simulated") return std::make_unique<DeviceWithExecutables>();
      return std::make_unique<CpuBackend>(CpuBackendOptions{.num_threads = 1, .isa = std::nullopt});
    };
    platform_.memory_size = [this](const Device& device) {
      return device.type == "simulated" ? memory_ : DeviceMemorySize{};
    };
  }

  static SessionOptions options(const std::string& model, const std::string& device) {
    SessionOptions options;
    options.model_path = std::string(MUSAIC_TEST_DATA) + "/tiny/" + model;
    options.skip_tokenizer = true;
    options.show_progress = false;
    options.backend.device = device;
    return options;
  }

  Platform platform_;
  DeviceMemorySize memory_{.total_bytes = 1024 * kMiB, .free_bytes = 1000 * kMiB};
};

TEST_F(ModelSessionTest, ADeviceWithMemoryOfItsOwnHasAGpusDefaults) {
  ModelSession session(platform_, options("llama", "simulated"));
  const RunnerLimits& limits = session.runner().limits();
  EXPECT_EQ(limits.page_size, 64);
  EXPECT_EQ(limits.max_sequences, 256);
  EXPECT_EQ(limits.max_tokens_per_step, 2048) << "8192, but for the context";
  EXPECT_EQ(session.max_queued_requests(), 4096);
  EXPECT_EQ(session.kv_dtype(), DType::kBF16);
  EXPECT_EQ(session.runner().decode().bucket_sizes().back(), 256);
  EXPECT_TRUE(session.overlaps());
}

TEST_F(ModelSessionTest, TheHostHasItsOwnDefaults) {
  ModelSession session(platform_, options("llama", "cpu"));
  const RunnerLimits& limits = session.runner().limits();
  EXPECT_EQ(limits.page_size, 16);
  EXPECT_EQ(limits.max_sequences, 64);
  EXPECT_EQ(limits.max_tokens_per_step, 512);
  EXPECT_EQ(session.max_queued_requests(), 1024);
  EXPECT_EQ(session.kv_dtype(), DType::kF16);
  EXPECT_FALSE(session.overlaps());
}

TEST_F(ModelSessionTest, FlagsStandAboveTheDefaults) {
  SessionOptions asked = options("llama", "simulated");
  asked.page_size = 8;
  asked.max_running_requests = 3;
  asked.chunked_prefill_size = 40;
  asked.max_queued_requests = 0;
  asked.kv_cache_dtype = "float16";
  asked.overlap = false;
  ModelSession session(platform_, asked);
  const RunnerLimits& limits = session.runner().limits();
  EXPECT_EQ(limits.page_size, 8);
  EXPECT_EQ(limits.max_sequences, 3);
  EXPECT_EQ(limits.max_tokens_per_step, 40);
  EXPECT_EQ(session.max_queued_requests(), 0);
  EXPECT_EQ(session.kv_dtype(), DType::kF16);
  EXPECT_FALSE(session.overlaps());
  asked = options("llama", "simulated");
  asked.dtype = "float32";
  EXPECT_EQ(ModelSession(platform_, asked).kv_dtype(), DType::kF32);
}

TEST_F(ModelSessionTest, TheKvCacheTakesWhatTheShareLeavesBesideAllElse) {
  for (const char* model : {"llama", "deepseek_v2"}) {
    SessionOptions half = options(model, "simulated");
    half.mem_fraction_static = 0.5;
    ModelSession session(platform_, half);
    const GraphRunner::Memory planned = session.runner().planned_memory();
    session.load();
    session.capture_all();
    const GraphRunner::Memory memory = session.runner().memory();
    EXPECT_EQ(memory.weight_bytes, planned.weight_bytes);
    EXPECT_EQ(memory.arena_bytes, planned.arena_bytes);
    EXPECT_EQ(memory.io_bytes, planned.io_bytes);
    EXPECT_EQ(planned.graph_bytes, session.runner().captures().executables().size() * kExecutableBytes);
    const size_t used = 24 * kMiB + memory.weight_bytes + memory.arena_bytes + memory.io_bytes +
                        planned.graph_bytes + memory.kv_bytes;
    const size_t page_bytes = memory.kv_bytes / static_cast<size_t>(session.max_total_tokens()) *
                              session.runner().limits().page_size;
    EXPECT_LE(used, 512 * kMiB) << model;
    EXPECT_GT(used + 2 * page_bytes, 512 * kMiB) << model;
  }
}

TEST_F(ModelSessionTest, AStartWaitsForTheMemoryOfAProcessThatIsEnding) {
  memory_ = {.total_bytes = 4096 * kMiB, .free_bytes = 4000 * kMiB};
  const int64_t alone = ModelSession(platform_, options("llama", "simulated")).max_total_tokens();
  int measurements = 0;
  platform_.memory_size = [&](const Device&) {
    return DeviceMemorySize{.total_bytes = memory_.total_bytes,
                            .free_bytes = ++measurements < 3 ? 10 * kMiB : memory_.free_bytes};
  };
  EXPECT_EQ(ModelSession(platform_, options("llama", "simulated")).max_total_tokens(), alone);
}

TEST_F(ModelSessionTest, PlansDoNotDependOnTheSizeOfTheKvCache) {
  ModelSession session(platform_, options("llama", "simulated"));
  const GraphRunner& runner = session.runner();
  for (const Program* program : {&runner.extend(), &runner.decode()}) {
    const Plan& plan = program->plan(program->bucket_sizes().back());
    EXPECT_EQ(plan.bindings.at("pages"), session.max_total_tokens() / 64);
    const Plan anew = plan_memory(program->graph(), session.target(), plan.bindings);
    EXPECT_EQ(anew.offsets, plan.offsets);
    EXPECT_EQ(anew.arena_bytes, plan.arena_bytes);
  }
}

TEST_F(ModelSessionTest, TooLittleMemoryIsOneSentence) {
  memory_ = {.total_bytes = 40 * kMiB, .free_bytes = 2 * kMiB};
  try {
    ModelSession session(platform_, options("llama", "simulated"));
    FAIL() << "no error";
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(), HasSubstr("simulated:0: too little memory: "));
    EXPECT_THAT(error.what(), HasSubstr("--mem-fraction-static 0.88"));
  }
}

}  // namespace
}  // namespace musaic
