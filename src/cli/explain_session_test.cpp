#include "cli/explain_session.h"

#include <gmock/gmock.h>

#include "backends/cpu/cpu_backend.h"
#include "ops/kernels_cpu.h"
#include "ops/op_list.h"
#include "program/explain/well_formed_for_test.h"

namespace musaic {
namespace {

using ::testing::HasSubstr;

// A server's session over the tiny llama.
class ExplainSessionTest : public testing::Test {
 protected:
  ExplainSessionTest() {
    define_ops(platform_.registry);
    add_cpu_kernels(platform_.registry);
    platform_.backends = {"cpu"};
    platform_.make_backend = [](const BackendRequest&) -> std::unique_ptr<Backend> {
      return std::make_unique<CpuBackend>(CpuBackendOptions{.num_threads = 1, .isa = CpuIsa::kAvx2});
    };
    SessionOptions options;
    options.model_path = std::string(MUSAIC_TEST_DATA) + "/tiny/llama";
    options.skip_tokenizer = true;
    options.show_progress = false;
    options.max_total_tokens = 256;
    options.max_running_requests = 4;
    session_ = std::make_unique<ModelSession>(platform_, options);
    session_->load();
  }

  Json explained(const ProgramQuery& query) const {
    auto text = explain_session(*session_, query);
    EXPECT_TRUE(text.ok()) << text.status().message();
    return text.ok() ? Json::parse(*text) : Json();
  }

  std::string refused(const ProgramQuery& query) const {
    auto text = explain_session(*session_, query);
    EXPECT_FALSE(text.ok());
    return text.ok() ? "" : text.status().message();
  }

  Platform platform_;
  std::unique_ptr<ModelSession> session_;
};

TEST_F(ExplainSessionTest, TellsTheServersOwnBucketsKernelsAndMemory) {
  const Json json = explained({.graph = "decode"});
  EXPECT_EQ(json["buckets"], session_->runner().decode().bucket_sizes());
  EXPECT_EQ(json["bucket"], 1);
  EXPECT_EQ(json["model"], "llama");
  EXPECT_EQ(json["mode"], "full");
  EXPECT_EQ(json["memory"]["arena_bytes"], session_->runner().decode().plan(1).arena_bytes);
  EXPECT_EQ(explained({.graph = "extend"})["mode"], "piecewise");
}

TEST_F(ExplainSessionTest, TellsWhatIsCapturedNow) {
  EXPECT_EQ(explained({.graph = "decode"})["captured"]["buckets"], Json::array());
  session_->capture_all();
  const Json captured = explained({.graph = "decode"})["captured"];
  EXPECT_EQ(captured["buckets"], session_->runner().decode().bucket_sizes());
  EXPECT_GT(captured["graph_bytes"].get<int64_t>(), 0);
  EXPECT_GT(captured["capture_seconds"].get<double>(), 0.0);
  auto text = explain_session(*session_, {.graph = "decode", .format = "text"});
  EXPECT_THAT(*text, HasSubstr("this bucket is captured"));
}

TEST_F(ExplainSessionTest, TheSummaryHasWhatTheMetricsReadAndTheKernels) {
  session_->capture_all();
  const Json info = session_->program_info();
  EXPECT_GT(info["graph_bytes"].get<int64_t>(), 0);
  EXPECT_GT(info["capture_seconds"].get<double>(), 0.0);
  EXPECT_EQ(info["programs"][0]["kernels"]["musaic::paged_attention"], Json::array({"paged_attention_cpu"}));
}

TEST_F(ExplainSessionTest, EveryProgramHasAPicture) {
  for (const char* graph : {"extend", "decode", "head"}) {
    auto svg = explain_session(*session_, {.graph = graph, .format = "svg"});
    ASSERT_TRUE(svg.ok());
    EXPECT_EQ(WellFormedness::problem(*svg), "") << graph;
  }
}

TEST_F(ExplainSessionTest, AnswersAWrongQueryWithWhatThereIs) {
  EXPECT_EQ(refused({.graph = "prefill"}), "graph: expected extend, decode or head, got prefill");
  EXPECT_THAT(refused({.graph = "decode", .bucket = 3}),
              HasSubstr("bucket 3: no bucket of decode; 3 sequences run in bucket 4; there are: 1 2 4"));
  EXPECT_THAT(refused({.roof = "abacus"}), HasSubstr("roof abacus: expected one of"));
  EXPECT_THAT(refused({.graph = "decode", .past = 1 << 30}),
              HasSubstr("past 1073741824: with the step's 1 token"));
}

}  // namespace
}  // namespace musaic
