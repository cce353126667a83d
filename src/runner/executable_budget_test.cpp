// A model of 30 layers has 31 pieces a bucket: more than a small budget of the driver's executables holds.
#include <gmock/gmock.h>

#include <chrono>

#include "device/launch_ahead.h"
#include "formats/test_files.h"
#include "ops/linked_gpu.h"
#include "runner/model_for_test.h"

namespace musaic {
namespace {

constexpr int kLayers = 30;
constexpr int kBudget = 64;
constexpr int kTokens = 4;

bool has_gpu() {
  const LinkedGpu gpu = linked_gpu();
  return !gpu.type.empty() && gpu.count() > 0;
}

// The tiny llama with more and narrower layers, as a configuration without weights.
std::string deep_model() {
  nlohmann::json config = read_test_json("tiny/llama/config.json");
  config["num_hidden_layers"] = kLayers;
  config["intermediate_size"] = 256;
  static const testing::TemporaryFolder folder;
  return folder.write("config.json", config.dump()).parent_path();
}

std::vector<TokenId> prompt_of(int count) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 37 + count * 101 + i * i * 7) % 512);
  return tokens;
}

const GraphRunnerOptions kOptions = {.max_tokens_per_step = 32,
                                     .extend_sizes = {4, 8, 16, 24, 32},
                                     .decode_sizes = {1, 2, 4},
                                     .max_sequences = 4};

TestModel deep_model_with(GraphRunnerOptions options, GpuOptions gpu) {
  return TestModel(deep_model(), std::move(options), /*exact=*/true, {.backend = linked_gpu().make(gpu)});
}

TestModel deep_model_with(GraphRunnerOptions options, int executable_budget) {
  return deep_model_with(std::move(options), GpuOptions{.executable_budget = executable_budget});
}

// Each piece is an executable, as where breaks are not recorded.
TestModel pieces_of_deep_model(GraphRunnerOptions options, GpuOptions gpu) {
  return TestModel(deep_model(), std::move(options), /*exact=*/true,
                   {.lacks = {"recorded_breaks"}, .backend = linked_gpu().make(gpu)});
}

size_t executable_bytes() {
  const auto backend = linked_gpu().make({});
  return launch_ahead(*backend)->executable_bytes();
}

std::vector<std::vector<TokenId>> answers(TestModel& model) {
  std::vector<std::vector<TokenId>> tokens;
  for (int length : {3, 30, 7, 22, 13, 31, 2, 17})
    tokens.push_back(model.generate(0, prompt_of(length), kTokens, 32));
  return tokens;
}

class ExecutableBudget : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_gpu()) GTEST_SKIP() << "no GPU here";
  }
};

TEST_F(ExecutableBudget, AllBucketsOfADeepModelServeAndEqualTheEagerRun) {
  GraphRunnerOptions eager_options = kOptions;
  eager_options.extend_mode = GraphMode::kDisabled;
  eager_options.decode_mode = GraphMode::kDisabled;
  TestModel eager = deep_model_with(eager_options, 0);
  const auto expected = answers(eager);

  TestModel model = pieces_of_deep_model(kOptions, {.executable_budget = kBudget});
  while (model.runner().capture_next()) {
  }
  const CaptureSchedule::Totals captures = model.runner().captures().totals();
  EXPECT_EQ(captures.captured, captures.buckets);
  GraphExecutables executables = model.backend().graph_executables();
  EXPECT_EQ(executables.budget, kBudget);
  EXPECT_GT(executables.graphs, 5 * (kLayers + 1));
  EXPECT_EQ(executables.live, kBudget);

  EXPECT_EQ(answers(model), expected);
  EXPECT_EQ(model.runner().choose(StepKind::kExtend, 20).reason, "bucket");
  executables = model.backend().graph_executables();
  EXPECT_EQ(executables.live, kBudget);
  EXPECT_GT(executables.rotations, 0u);
  const double mean = executables.rotation_seconds / static_cast<double>(executables.rotations);
  RecordProperty("rotations", static_cast<int>(executables.rotations));
  std::printf("%d graphs took turns in %d executables: %llu rotations, %.1f us each\n", executables.graphs,
              executables.live, static_cast<unsigned long long>(executables.rotations), mean * 1e6);
}

TEST_F(ExecutableBudget, AMemoryBudgetSharesExecutablesAndDropsNoBucket) {
  TestModel unlimited = deep_model_with(kOptions, 0);
  const auto expected = answers(unlimited);
  GraphRunnerOptions options = kOptions;
  options.graph_memory_budget = kBudget * executable_bytes();
  TestModel model = pieces_of_deep_model(options, {.graph_memory_budget = options.graph_memory_budget});
  while (model.runner().work_while_idle()) {
  }
  const CaptureSchedule::Totals captures = model.runner().captures().totals();
  EXPECT_EQ(captures.captured, captures.buckets);
  EXPECT_LE(model.runner().planned_memory().graph_bytes, options.graph_memory_budget);
  EXPECT_TRUE(model.runner().measured_graph_bytes());
  EXPECT_EQ(answers(model), expected);
  EXPECT_EQ(model.runner().choose(StepKind::kExtend, 20).reason, "bucket");
  EXPECT_EQ(model.backend().graph_executables().live, kBudget);
}

TEST_F(ExecutableBudget, AMemoryBudgetWithoutRoomForOneCapturesNothing) {
  GraphRunnerOptions options = kOptions;
  options.graph_memory_budget = executable_bytes() - 1;
  TestModel model = deep_model_with(options, {.graph_memory_budget = options.graph_memory_budget});
  while (model.runner().work_while_idle()) {
  }
  EXPECT_EQ(model.runner().captures().totals().captured, 0);
  EXPECT_EQ(model.runner().choose(StepKind::kExtend, 20).reason, "over_memory_budget");
}

TEST_F(ExecutableBudget, WhereItHoldsOneABucketPiecesAreLaunchedTogether) {
  TestModel pieces = pieces_of_deep_model(kOptions, {});
  const auto expected = answers(pieces);
  TestModel model = deep_model_with(kOptions, kBudget);
  while (model.runner().capture_next()) {
  }
  EXPECT_TRUE(model.runner().extend().launches_pieces_together());
  EXPECT_EQ(answers(model), expected);
  const GraphExecutables executables = model.backend().graph_executables();
  EXPECT_EQ(executables.graphs, model.runner().captures().totals().buckets);
  EXPECT_EQ(executables.rotations, 0u);
}

TEST_F(ExecutableBudget, WithoutOneEachPieceKeepsItsOwn) {
  TestModel model = deep_model_with(kOptions, 0);
  while (model.runner().capture_next()) {
  }
  answers(model);
  const GraphExecutables executables = model.backend().graph_executables();
  EXPECT_EQ(executables.live, executables.graphs);
  EXPECT_EQ(executables.rotations, 0u);
}

}  // namespace
}  // namespace musaic
