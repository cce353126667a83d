#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "backends/cpu/cpu_backend.h"
#include "cli/bench.h"
#include "cli/model_session.h"
#include "ops/kernels_cpu.h"
#include "ops/op_list.h"

namespace musaic {
namespace {

class BenchSteps : public testing::Test {
 protected:
  BenchSteps() {
    define_ops(platform_.registry);
    add_cpu_kernels(platform_.registry);
    platform_.backends = {"cpu"};
    platform_.make_backend = [](const BackendRequest&) -> std::unique_ptr<Backend> {
      return std::make_unique<CpuBackend>(CpuBackendOptions{.num_threads = 1, .isa = std::nullopt});
    };
    SessionOptions options;
    options.model_path = std::string(MUSAIC_TEST_DATA) + "/tiny/llama";
    options.skip_tokenizer = true;
    options.show_progress = false;
    options.backend.device = "cpu";
    session_.emplace(platform_, options);
    session_->load();
    session_->capture_all();
  }

  StepChoice choice(StepKind kind, int tokens) { return session_->runner().choose(kind, tokens); }

  Platform platform_;
  std::optional<ModelSession> session_;
  BenchFlags flags_{.repetitions = 1, .tokens = {9}, .batch = {1, 3}, .context = 8, .steps = 2};
};

TEST_F(BenchSteps, EagerRunsStandBesideReplaysIfAskedFor) {
  flags_.eager = true;
  const Json decode = bench_decode(*session_, flags_, std::nullopt);
  const Json prefill = bench_prefill(*session_, flags_, std::nullopt);
  ASSERT_EQ(decode.size(), 2u);
  ASSERT_EQ(prefill.size(), 1u);
  EXPECT_EQ(decode[1]["batch"], 3);
  EXPECT_EQ(prefill[0]["tokens"], 9);
  for (const Json& row : {decode[0], decode[1], prefill[0]}) {
    EXPECT_GT(row["ms"].get<double>(), 0.0);
    EXPECT_GT(row["eager_ms"].get<double>(), 0.0);
  }
  EXPECT_TRUE(choice(StepKind::kDecode, 3).replay) << "the eager runs leave the runner as it was";
  EXPECT_TRUE(choice(StepKind::kExtend, 9).replay);
}

TEST_F(BenchSteps, OtherwiseOnlyTheChosenRunIsTimed) {
  for (const Json& row : {bench_decode(*session_, flags_, std::nullopt)[0],
                          bench_prefill(*session_, flags_, std::nullopt)[0]}) {
    EXPECT_GT(row["ms"].get<double>(), 0.0);
    EXPECT_FALSE(row.contains("eager_ms"));
  }
}

}  // namespace
}  // namespace musaic
