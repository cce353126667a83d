// The example's ops in a graph: planned, run eagerly, captured and replayed as ours are.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "backends/cpu/cpu_backend.h"
#include "base/status.h"
#include "plugin/fixtures_for_test.h"
#include "program/program.h"

namespace musaic {
namespace {

using testing::ElementsAreArray;
using testing::IsEmpty;

constexpr int kRows = 6;
constexpr int kWidth = 5;

// y = clamp_(x + 0.5 * (x + x), low=-1, high=2), rows padded to 6.
class ExamplePluginTest : public testing::Test {
 protected:
  ExamplePluginTest() {
    load_fixture("example", registry_);
    GraphBuilder builder(registry_, "g", {});
    const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), kWidth});
    const Value twice = builder.call("example::scaled_add", {x, x})[0];
    const Value sum = builder.call("example::scaled_add", {x, twice}, {{"scale", 0.5}})[0];
    builder.output("y", builder.call("example::clamp_", {sum}, {{"low", -1.0}, {"high", 2.0}})[0]);
    graph_ = builder.take();
  }

  // The program over this fixture's buffers.
  std::unique_ptr<Program> program() {
    auto program = std::make_unique<Program>(graph_, target_, backend_, /*whole=*/true);
    const Plan& plan = program->add_bucket(kRows, {{"tokens", kRows}});
    arena_ = backend_.allocate(std::max<size_t>(plan.arena_bytes, 1), "arena");
    program->bind({{"x", x_.data()}, {"y", y_.data()}, {"num_tokens", &num_tokens_}}, weights_,
                  arena_->data());
    return program;
  }

  void fill(int live_rows, float step) {
    num_tokens_ = live_rows;
    for (size_t i = 0; i < x_.size(); ++i) {
      const bool live = static_cast<int>(i) / kWidth < live_rows;
      x_[i] = live ? step * static_cast<float>(static_cast<int>(i) % 11 - 5) : kPoison;
    }
    std::fill(y_.begin(), y_.end(), kPoison);
  }

  void expect_result(int live_rows) const {
    for (size_t i = 0; i < y_.size(); ++i) {
      if (static_cast<int>(i) / kWidth >= live_rows) {
        EXPECT_TRUE(std::isnan(y_[i])) << "pad row written at " << i;
      } else {
        EXPECT_EQ(y_[i], std::clamp(x_[i] + 0.5f * (x_[i] + x_[i]), -1.0f, 2.0f)) << "at " << i;
      }
    }
  }

  static constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();

  OpRegistry registry_ = builtin_registry();
  CpuBackend backend_{CpuBackendOptions{.num_threads = 2}};
  Target target_{registry_, backend_.device(), backend_.capabilities()};
  WeightStore weights_{backend_};
  std::unique_ptr<DeviceMemory> arena_;
  Graph graph_;
  std::vector<float> x_ = std::vector<float>(kRows * kWidth);
  std::vector<float> y_ = std::vector<float>(kRows * kWidth);
  int32_t num_tokens_ = 0;
};

TEST_F(ExamplePluginTest, ItsGraphIsWholeAndNamesItsOps) {
  EXPECT_THAT(verify(graph_, registry_), IsEmpty());
  const std::string text = print(graph_);
  EXPECT_NE(text.find("example::scaled_add(@x, %1, scale=0.5)"), std::string::npos) << text;
  EXPECT_NE(text.find("example::clamp_(%2, high=2.0, low=-1.0) ! %2 -> %3"), std::string::npos) << text;
}

TEST_F(ExamplePluginTest, ItRunsEagerlyAndLeavesPadRowsAlone) {
  const auto program_ = program();
  for (int live : {kRows, 3, 1, 0}) {
    fill(live, 0.5f);
    program_->run_eagerly(kRows);
    expect_result(live);
  }
}

TEST_F(ExamplePluginTest, ACapturedRunIsReplayedOnNewDataAndNewLiveRows) {
  const auto program_ = program();
  fill(2, 1.0f);
  program_->capture(kRows);
  EXPECT_TRUE(std::isnan(y_[0])) << "a capture runs nothing";
  for (const auto& [live, step] : {std::pair(2, 1.0f), std::pair(5, 0.25f), std::pair(kRows, -1.0f)}) {
    fill(live, step);
    program_->replay(kRows);
    expect_result(live);
  }
}

TEST_F(ExamplePluginTest, ReplayedAndEagerRunsAgreeBitForBit) {
  const auto program_ = program();
  fill(4, 0.3f);
  program_->run_eagerly(kRows);
  const std::vector<float> eager(y_.begin(), y_.begin() + 4 * kWidth);
  program_->capture(kRows);
  fill(4, 0.3f);
  program_->replay(kRows);
  EXPECT_THAT(std::vector<float>(y_.begin(), y_.begin() + 4 * kWidth), ElementsAreArray(eager));
}

TEST_F(ExamplePluginTest, AKernelThatRefusesItsCallLeavesTheDeviceUsable) {
  load_fixture("probe", registry_);
  GraphBuilder builder(registry_, "refused", {});
  const Value counts = builder.state("counts", DType::kI32, {8});
  builder.call("probe::count_parts", {counts}, {{"parts", int64_t{8}}, {"how", std::string("says why")}});
  Program refused(builder.take(), target_, backend_, /*whole=*/true);
  const Plan& plan = refused.add_bucket(1, {});
  const auto arena = backend_.allocate(plan.arena_bytes, "arena");
  std::vector<int32_t> memory(8);
  refused.bind({{"counts", memory.data()}}, weights_, arena->data());
  EXPECT_THROW(refused.run_eagerly(1), LoadError);
  EXPECT_THROW(refused.capture(1), LoadError);
  EXPECT_FALSE(refused.is_captured(1));

  const auto program_ = program();
  program_->capture(kRows);
  fill(4, 0.5f);
  program_->replay(kRows);
  expect_result(4);
}

TEST_F(ExamplePluginTest, ItsFakesRefuseWrongArguments) {
  GraphBuilder builder(registry_, "wrong", {});
  const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 4});
  const Value narrow = builder.input("narrow", DType::kF32, {Dim::symbol("tokens"), 3});
  const Value half = builder.input("half", DType::kF16, {Dim::symbol("tokens"), 4});
  const auto error = [&](std::string_view op, std::initializer_list<Value> inputs) -> std::string {
    try {
      builder.call(op, inputs);
    } catch (const LoadError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(error("example::scaled_add", {x, narrow}),
            "example::scaled_add: the plugin's fake kernel: x and y differ in shape");
  EXPECT_EQ(error("example::scaled_add", {x, half}),
            "example::scaled_add: the plugin's fake kernel: x and y differ in dtype");
  EXPECT_EQ(error("example::clamp_", {half}), "example::clamp_: the plugin's fake kernel: x is not f32");
}

TEST_F(ExamplePluginTest, ACallThatNoKernelOfItTakesIsNamedWhenItIsPlanned) {
  GraphBuilder builder(registry_, "half", {});
  const Value x = builder.input("x", DType::kF16, {Dim::symbol("tokens"), 4});
  builder.output("y", builder.call("example::scaled_add", {x, x})[0]);
  Program program(builder.take(), target_, backend_, /*whole=*/true);
  EXPECT_THROW(program.add_bucket(1, {{"tokens", 1}}), LoadError);
}

}  // namespace
}  // namespace musaic
