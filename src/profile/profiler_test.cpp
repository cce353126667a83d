#include "profile/profiler.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "formats/test_files.h"

namespace musaic {
namespace {

using ::testing::HasSubstr;

class ProfilerTest : public ::testing::Test {
 protected:
  Json trace() const {
    std::ifstream file(path_);
    return Json::parse(file);
  }
  std::vector<std::string> span_names() const {
    std::vector<std::string> names;
    const Json all = trace();
    for (const Json& event : all["traceEvents"]) {
      if (event["ph"] == "X") names.push_back(event["name"]);
    }
    return names;
  }
  void run_step(const std::string& name) {
    if (!profiler_.begin_step()) return;
    const double begin = steady_seconds();
    profiler_.add({TraceRow::kSteps, name, begin, begin + 1e-3});
    profiler_.end_step();
  }

  const testing::TemporaryFolder folder_;
  const std::string path_ = folder_.path() / "trace.json";
  Profiler profiler_;
};

TEST_F(ProfilerTest, WritesWhatChromeOpens) {
  ASSERT_TRUE(profiler_.start({.path = path_}).ok());
  EXPECT_TRUE(profiler_.begin_step());
  { const TraceScope scope(&profiler_, "schedule"); }
  const double begin = steady_seconds();
  profiler_.add({TraceRow::kPieces, "piece \"1\"", begin, begin + 2.5e-6, {{"launches", 7}}});
  profiler_.end_step();
  EXPECT_EQ(profiler_.stop().value(), path_);
  std::map<std::string, int> rows;
  const Json all = trace();
  for (const Json& event : all["traceEvents"]) {
    if (event["name"] == "thread_name") rows[event["args"]["name"]] = event["tid"];
  }
  EXPECT_EQ(rows, (std::map<std::string, int>{{"scheduler", 1}, {"steps", 2}, {"pieces", 3}, {"breaks", 4}}));
  const Json& span = all["traceEvents"].back();
  EXPECT_EQ(span["name"], "piece \"1\"");
  EXPECT_EQ(span["tid"], rows["pieces"]);
  EXPECT_NEAR(span["dur"].get<double>(), 2.5, 2e-3);
  EXPECT_EQ(span["args"]["launches"], 7);
  EXPECT_THAT(span_names(), ::testing::ElementsAre("schedule", "piece \"1\""));
}

TEST_F(ProfilerTest, RecordsNothingWhereItIsOff) {
  run_step("a");
  EXPECT_FALSE(profiler_.is_recording());
  EXPECT_FALSE(profiler_.stop().ok());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ProfilerTest, RecordsAsManyStepsAsAskedForFromTheOneThatWasAskedFor) {
  run_step("0");
  ASSERT_TRUE(profiler_.start({.path = path_, .start_step = 2, .num_steps = 2}).ok());
  for (const char* name : {"1", "2", "3", "4"}) run_step(name);
  EXPECT_FALSE(profiler_.is_recording());
  EXPECT_THAT(span_names(), ::testing::ElementsAre("2", "3")) << "complete before it is stopped";
  EXPECT_THAT(profiler_.start({.path = path_}).message(), HasSubstr("stop it first"));
  EXPECT_TRUE(profiler_.stop().ok());
}

TEST_F(ProfilerTest, NeverWritesOverAFile) {
  std::ofstream(path_) << "mine";
  EXPECT_THAT(profiler_.start({.path = path_}).message(), HasSubstr("cannot be written"));
  EXPECT_FALSE(profiler_.start({.path = "/nowhere/at/all.json"}).ok());
  EXPECT_FALSE(profiler_.stop().ok());
}

TEST_F(ProfilerTest, StartsAgainAfterAStop) {
  ASSERT_TRUE(profiler_.start({.path = path_}).ok());
  run_step("a");
  ASSERT_TRUE(profiler_.stop().ok());
  run_step("b");
  EXPECT_THAT(span_names(), ::testing::ElementsAre("a"));
  std::filesystem::remove(path_);
  ASSERT_TRUE(profiler_.start({.path = path_}).ok());
  run_step("c");
  ASSERT_TRUE(profiler_.stop().ok());
  EXPECT_THAT(span_names(), ::testing::ElementsAre("c"));
}

}  // namespace
}  // namespace musaic
