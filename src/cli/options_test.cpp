#include "cli/options.h"

#include <gmock/gmock.h>

#include <sstream>

namespace musaic {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The words of a command line without quoting.
std::vector<std::string> words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> list;
  for (std::string word; stream >> word;) list.push_back(word);
  return list;
}

ServeOptions parse(const std::string& line) {
  auto options = parse_serve_options(words(line));
  EXPECT_TRUE(options.ok()) << options.status().message();
  return options.ok() ? std::move(*options) : ServeOptions{};
}

std::string refused(const std::string& line) {
  const auto options = parse_serve_options(words(line));
  EXPECT_FALSE(options.ok()) << line;
  return options.ok() ? "" : options.status().message();
}

TEST(ServeOptions, HaveDefaultsWithoutFlags) {
  const ServeOptions options = parse("");
  EXPECT_EQ(options.host, "127.0.0.1");
  EXPECT_EQ(options.port, 30000);
  EXPECT_EQ(options.chunked_prefill_size, 0);
  EXPECT_EQ(options.schedule_policy, "fcfs");
  EXPECT_TRUE(options.enable_metrics);
  EXPECT_FALSE(options.graphs.prefill.mode);
  EXPECT_TRUE(options.notes.empty());
  EXPECT_FALSE(options.show_help);
}

TEST(ServeOptions, EveryPluginIsKept) {
  EXPECT_THAT(parse("--plugin a.so --port 1 --plugin=b.so").plugins, ElementsAre("a.so", "b.so"));
  EXPECT_EQ(to_json(parse("--plugin a.so"))["plugin"], Json({"a.so"}));
}

TEST(ServeOptions, TakeThePullRequestsOwnCommand) {
  const ServeOptions options = parse(
      "--model-path m.gguf --served-model-name deepseek --mem-fraction-static 0.5 --disable-overlap-schedule "
      "--attention-backend fa3 --cuda-graph-bs 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 --chunked-prefill-size "
      "-1 "
      "--disable-radix-cache --piecewise-cuda-graph-max-tokens 2048 --piecewise-cuda-graph-compiler "
      "inductor");
  EXPECT_EQ(options.model_path, "m.gguf");
  EXPECT_EQ(options.served_model_name, "deepseek");
  EXPECT_EQ(options.mem_fraction_static, 0.5);
  EXPECT_TRUE(options.disable_overlap_schedule);
  EXPECT_TRUE(options.disable_radix_cache);
  EXPECT_EQ(options.graphs.decode.sizes->value.size(), 16u);
  EXPECT_EQ(options.chunked_prefill_size, -1);
  EXPECT_EQ(options.graphs.prefill.max_size->value, 2048);
  EXPECT_THAT(options.notes, ElementsAre(HasSubstr("--attention-backend fa3"),
                                         HasSubstr("--piecewise-cuda-graph-compiler inductor")));
}

TEST(ServeOptions, TakeAValueAfterAnEqualsSign) {
  const ServeOptions options = parse("--port=8080 --chunked-prefill-size=-1 --model-path=a=b");
  EXPECT_EQ(options.port, 8080);
  EXPECT_EQ(options.chunked_prefill_size, -1);
  EXPECT_EQ(options.model_path, "a=b");
}

TEST(ServeOptions, TakeTheLastOfARepeatedFlag) {
  EXPECT_EQ(parse("--port 1 --port 2").port, 2);
  EXPECT_THAT(parse("--cuda-graph-bs 1 2 --cuda-graph-bs 4 8").graphs.decode.sizes->value,
              testing::IsSupersetOf({4, 8}));
}

TEST(ServeOptions, TakeEveryFlagOfOurOwn) {
  const ServeOptions options = parse(
      "--cpu-isa avx2 --threads 3 --disable-pass fuse_swiglu fuse_add_rms_norm "
      "--enable-deterministic-inference --api-key k "
      "--admin-api-key a --allowed-origins http://x http://y --max-queued-requests 7 --random-seed -5 "
      "--disable-metrics");
  EXPECT_EQ(options.cpu_isa, "avx2");
  EXPECT_EQ(options.threads, 3);
  EXPECT_THAT(options.disabled_passes, ElementsAre("fuse_swiglu", "fuse_add_rms_norm"));
  EXPECT_TRUE(options.enable_deterministic_inference);
  EXPECT_EQ(options.api_key, "k");
  EXPECT_EQ(options.admin_api_key, "a");
  EXPECT_THAT(options.allowed_origins, ElementsAre("http://x", "http://y"));
  EXPECT_EQ(options.max_queued_requests, 7);
  EXPECT_EQ(options.random_seed, -5);
  EXPECT_FALSE(options.enable_metrics);
}

TEST(ServeOptions, SuggestTheNearestNameOfAnUnknownFlag) {
  EXPECT_EQ(refused("--chunked-prefil-size 5"),
            "unknown flag --chunked-prefil-size; did you mean --chunked-prefill-size?");
  EXPECT_EQ(refused("--ports=5"), "unknown flag --ports; did you mean --port?");
  EXPECT_EQ(refused("--xyzzyplughquux"), "unknown flag --xyzzyplughquux; --help lists them");
  EXPECT_EQ(refused("model.gguf"), "unexpected argument model.gguf");
}

TEST(ServeOptions, SayWhatWasExpectedForAWrongValue) {
  EXPECT_THAT(refused("--port 70000"), testing::AllOf(HasSubstr("--port"), HasSubstr("65535")));
  EXPECT_THAT(refused("--port abc"), testing::AllOf(HasSubstr("--port"), HasSubstr("abc")));
  EXPECT_THAT(refused("--port"), HasSubstr("--port"));
  EXPECT_THAT(refused("--schedule-policy best"),
              testing::AllOf(HasSubstr("--schedule-policy"), HasSubstr("lpm")));
  EXPECT_THAT(refused("--cuda-graph-bs 1 0"), HasSubstr("--cuda-graph-bs"));
  EXPECT_THAT(refused("--chunked-prefill-size -2"), HasSubstr("--chunked-prefill-size"));
}

TEST(ServeOptions, NameTheFeatureThatIsNotSupportedYet) {
  EXPECT_EQ(refused("--tp-size 2"), "--tp-size 2: tensor parallelism is not supported yet");
  EXPECT_EQ(refused("--enable-lora"), "--enable-lora: serving adapters is not supported yet");
  EXPECT_THAT(refused("--quantization awq"), HasSubstr("--quantization awq"));
  EXPECT_EQ(parse("--quantization fp8").quantization, "fp8");
  EXPECT_THAT(refused("--speculative-algorithm EAGLE"), HasSubstr("speculative decoding"));
  EXPECT_TRUE(parse("--tp-size 1 --dp 1 --ep-size=1 --disaggregation-mode null --moe-runner-backend auto")
                  .notes.empty());
}

TEST(ServeOptions, TakeCachesInSglangsSpelling) {
  for (const char* dtype : {"auto", "float16", "bf16", "bfloat16", "fp8_e4m3"})
    EXPECT_EQ(parse(std::string("--kv-cache-dtype ") + dtype).kv_cache_dtype, dtype);
  EXPECT_THAT(refused("--kv-cache-dtype fp8_e5m2"), HasSubstr("fp8_e4m3"));
}

TEST(ServeOptions, TakeEveryRunnerOfExperts) {
  for (const char* runner : {"auto", "triton", "cutlass", "deepgemm"}) {
    const ServeOptions options = parse(std::string("--moe-runner-backend ") + runner);
    EXPECT_EQ(options.moe_runner_backend, runner);
    EXPECT_EQ(to_json(options)["moe_runner_backend"], runner);
  }
  EXPECT_THAT(refused("--moe-runner-backend abacus"), HasSubstr("abacus"));
}

TEST(ServeOptions, NeverShowTheKeys) {
  const std::string text = to_json(parse("--api-key sesame --admin-api-key opensesame")).dump();
  EXPECT_THAT(text, testing::Not(HasSubstr("sesame")));
  EXPECT_THAT(text, testing::Not(HasSubstr("api_key")));
}

TEST(ServeOptions, ShowThemselvesUnderSglangsNames) {
  const Json json = to_json(parse("--chunked-prefill-size -1 --cuda-graph-bs 1 2 --page-size 32"));
  EXPECT_EQ(json["chunked_prefill_size"], -1);
  EXPECT_TRUE(json["itl_target_ms"].is_null());
  EXPECT_EQ(json["page_size"], 32);
  EXPECT_TRUE(json["max_total_tokens"].is_null());
  EXPECT_EQ(json["tp_size"], 1);
}

TEST(ServeOptions, ExplainThemselves) {
  EXPECT_TRUE(parse("--help").show_help);
  EXPECT_THAT(serve_help(), testing::AllOf(HasSubstr("--model-path"), HasSubstr("Captured programs"),
                                           HasSubstr("--cuda-graph-bs")));
}

}  // namespace
}  // namespace musaic
