#include "cli/explain_model.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "backends/cpu/cpu_backend.h"
#include "base/status.h"
#include "ops/kernels_cpu.h"
#include "ops/op_list.h"
#include "program/explain/printers.h"
#include "program/explain/well_formed_for_test.h"

namespace musaic {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path kData = MUSAIC_TEST_DATA;

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// On AVX2, which every machine here has, so that the same kernels are chosen everywhere.
class ExplainModelTest : public testing::Test {
 protected:
  ExplainModelTest() {
    define_ops(platform_.registry);
    add_cpu_kernels(platform_.registry);
    platform_.backends = {"cpu"};
    platform_.make_backend = [](const BackendRequest&) -> std::unique_ptr<Backend> {
      return std::make_unique<CpuBackend>(CpuBackendOptions{.num_threads = 1, .isa = CpuIsa::kAvx2});
    };
  }

  static ExplainRequest request(const std::string& kind, int bucket, const std::string& device = "cpu") {
    ExplainRequest request;
    request.kind = kind;
    request.bucket = bucket;
    request.device = device;
    request.roof = parse_roof("zen4-2core");
    return request;
  }

  Explanation explained(const ExplainRequest& request, const std::string& model = "tiny/llama") const {
    return explain_model(platform_, open_model((kData / model).string()), request);
  }

  std::string refused(const ExplainRequest& request) const {
    try {
      explained(request);
    } catch (const LoadError& error) {
      return error.what();
    }
    ADD_FAILURE() << "was not refused";
    return "";
  }

  // A folder with nothing but the configuration of a tiny model.
  std::filesystem::path bare_config() const {
    const auto folder = std::filesystem::path(testing::TempDir()) / "musaic_bare_config";
    std::filesystem::create_directories(folder);
    std::filesystem::copy_file(kData / "tiny/qwen3/config.json", folder / "config.json",
                               std::filesystem::copy_options::overwrite_existing);
    return folder;
  }

  Platform platform_;
};

TEST_F(ExplainModelTest, TheTextIsAsWrittenDown) {
  for (const char* kind : {"extend", "decode", "head"}) {
    const std::string text =
        explanation_text(explained(request(kind, kind == std::string("extend") ? 64 : 4)));
    const auto golden = kData / "explain" / (std::string("llama_") + kind + ".txt");
    if (text_of(golden) == text) continue;
    const std::string actual = testing::TempDir() + golden.filename().string();
    std::ofstream(actual) << text;
    ADD_FAILURE() << "diff " << golden.string() << " " << actual
                  << "; if the new one is right, run tests/data/explain/make.sh";
  }
}

TEST_F(ExplainModelTest, TheFullSizeDeepseekIsAsWrittenDown) {
  for (const char* kind : {"extend", "decode"}) {
    const ExplainRequest asked = request(kind, kind == std::string("extend") ? 512 : 4);
    const std::string text = explanation_text(explained(asked, "deepseek_v2_lite_fp8_config.json"));
    const auto golden = kData / "explain" / (std::string("deepseek_v2_lite_") + kind + ".txt");
    EXPECT_EQ(text_of(golden), text) << "if the new one is right, run tests/data/explain/make.sh";
  }
}

TEST_F(ExplainModelTest, ABareConfigurationIsEnough) {
  const Explanation bare = explained(request("extend", 64), bare_config().string());
  const Explanation whole = explained(request("extend", 64), "tiny/qwen3");
  EXPECT_EQ(bare.nodes.size(), whole.nodes.size());
  EXPECT_EQ(bare.memory.arena_bytes, whole.memory.arena_bytes);
  EXPECT_EQ(bare.total().float_ops, whole.total().float_ops);
  EXPECT_EQ(bare.model, "musaic_bare_config");
  EXPECT_EQ(explained(request("extend", 64), (bare_config() / "config.json").string()).nodes.size(),
            bare.nodes.size());
}

TEST_F(ExplainModelTest, TheCacheIsReadAsFarAsTheSequencesReach) {
  ExplainRequest decode = request("decode", 4);
  decode.past = 99;
  const Explanation e = explained(decode);
  double cache_bytes = 0.0;
  for (const ExplainedNode& node : e.nodes)
    cache_bytes += node.op == "musaic::paged_attention" ? node.work.state_bytes : 0.0;
  const int layers = 2;
  const int heads = 2;
  const int head_dim = 32;
  const int f16_bytes = 2;
  EXPECT_EQ(cache_bytes, layers * 4 * 100 * 2 * heads * head_dim * f16_bytes) << "keys and values";
}

TEST_F(ExplainModelTest, BreakableIsTheGraphAsTraced) {
  ExplainRequest breakable = request("extend", 64);
  breakable.mode = "breakable";
  const Explanation e = explained(breakable);
  EXPECT_TRUE(e.passes.empty());
  EXPECT_GT(e.num_launches(), explained(request("extend", 64)).num_launches());
}

TEST_F(ExplainModelTest, ADeviceWithoutKernelsIsPlannedAndSaysWhatItLacks) {
  const Explanation e = explained(request("extend", 64, "device(type='musa', index=1)"));
  EXPECT_EQ(e.device, "musa:1");
  const std::string text = explanation_text(e);
  EXPECT_THAT(text, HasSubstr("no kernel for aten::linear on musa:1"));
  EXPECT_THAT(text, HasSubstr("musa has no aten::linear for the merged weight"));
  EXPECT_GT(e.memory.arena_bytes, 0u);
}

TEST_F(ExplainModelTest, AssumedKernelsLetThePassesFire) {
  ExplainRequest assumed = request("extend", 64, "musa:0");
  assumed.assume_kernels = true;
  const Explanation e = explained(assumed);
  EXPECT_TRUE(e.missing.empty());
  EXPECT_THAT(explanation_text(e), HasSubstr("_fused_swiglu_forward"));
}

TEST_F(ExplainModelTest, EveryKindAndDeviceHasAWellFormedPicture) {
  for (const char* kind : {"extend", "decode", "head", "logprobs"}) {
    for (const char* device : {"cpu", "cuda:0"}) {
      EXPECT_EQ(WellFormedness::problem(explanation_svg(explained(request(kind, -1, device)))), "")
          << kind << device;
    }
  }
}

TEST_F(ExplainModelTest, TheJsonHoldsWhatTheDocumentationSays) {
  const Json json = explanation_json(explained(request("extend", 64)));
  const std::map<std::string, Json::value_t> keys = {{"model", Json::value_t::string},
                                                     {"device", Json::value_t::string},
                                                     {"features", Json::value_t::array},
                                                     {"graph", Json::value_t::string},
                                                     {"mode", Json::value_t::string},
                                                     {"bucket", Json::value_t::number_integer},
                                                     {"buckets", Json::value_t::array},
                                                     {"past", Json::value_t::number_integer},
                                                     {"roof", Json::value_t::object},
                                                     {"total", Json::value_t::object},
                                                     {"launches", Json::value_t::object},
                                                     {"segments", Json::value_t::array},
                                                     {"nodes", Json::value_t::array},
                                                     {"memory", Json::value_t::object},
                                                     {"passes", Json::value_t::array},
                                                     {"missing_kernels", Json::value_t::array},
                                                     {"weight_bytes", Json::value_t::number_unsigned}};
  for (const auto& [key, type] : keys) {
    ASSERT_TRUE(json.contains(key)) << key;
    EXPECT_EQ(json[key].type(), type) << key;
  }
  double bytes = 0.0;
  for (const Json& node : json["nodes"]) {
    bytes += node.at("bytes").get<double>();
    EXPECT_EQ(node.at("kernel").is_null(), node.at("is_view").get<bool>()) << node;
  }
  EXPECT_DOUBLE_EQ(bytes, json["total"]["bytes"].get<double>());
  int covered = 0;
  for (const Json& segment : json["segments"]) {
    EXPECT_EQ(segment.at("begin"), covered) << "segments follow one another";
    EXPECT_EQ(segment.contains("reason"), segment.at("kind") == "break");
    covered = segment.at("end");
  }
  EXPECT_EQ(covered, static_cast<int>(json["nodes"].size()));
  for (const Json& one : json["memory"]["temporaries"])
    EXPECT_LE(one.at("offset").get<size_t>() + one.at("bytes").get<size_t>(),
              json["memory"]["arena_bytes"].get<size_t>());
}

TEST_F(ExplainModelTest, AnUnknownBucketIsAnsweredWithTheOneThatHoldsItAndAll) {
  EXPECT_THAT(refused(request("extend", 50)),
              HasSubstr("bucket 50: no bucket of extend; 50 tokens run in bucket 64; there are: 4 8 12 16"));
  EXPECT_THAT(refused(request("decode", 1000)), HasSubstr("bucket 1000: above the largest of decode, 64"));
}

TEST_F(ExplainModelTest, AnUnknownDeviceIsAnsweredWithThoseThereAre) {
  EXPECT_THAT(refused(request("extend", 64, "tpu:0")),
              HasSubstr("--device tpu:0: no such device; there are: cpu, cuda:N"));
}

TEST_F(ExplainModelTest, APastBeyondTheModelIsRefused) {
  ExplainRequest decode = request("decode", 1);
  decode.past = 1 << 30;
  EXPECT_THAT(refused(decode), HasSubstr("past 1073741824: with the step's 1 token above the context of"));
}

TEST_F(ExplainModelTest, ExecutablesAreCountedWhereTheDriverLimitsThem) {
  ExplainRequest limited = request("extend", 64, "musa:0");
  limited.assume_kernels = true;
  EXPECT_THAT(explanation_text(explained(limited)), testing::Not(HasSubstr("executables")));
  limited.roof = parse_roof("mtt-s5000");
  Explanation e = explained(limited);
  EXPECT_EQ(e.executables(), 3 * static_cast<int>(e.buckets.size()));
  EXPECT_THAT(explanation_text(e), HasSubstr("the driver holds 2000 of all programs ready\n"));
  e.executable_budget = 64;
  EXPECT_THAT(explanation_text(e), HasSubstr("the driver holds 64 of all programs ready: they take turns"));
}

}  // namespace
}  // namespace musaic
