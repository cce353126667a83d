#include "cli/graph_table.h"

#include <gmock/gmock.h>

#include <sstream>

#include "cli/options.h"

namespace musaic {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> list;
  for (std::string word; stream >> word;) list.push_back(word);
  return list;
}

ResolvedGraphs resolve(const std::string& line, const GraphFacts& facts = {}) {
  const auto options = parse_serve_options(words(line));
  EXPECT_TRUE(options.ok()) << line << ": " << options.status().message();
  return resolve_graphs(options.ok() ? options.value().graphs : GraphRequest{}, facts);
}

std::string refused(const std::string& line) {
  const auto options = parse_serve_options(words(line));
  EXPECT_FALSE(options.ok()) << line;
  return options.ok() ? "" : options.status().message();
}

const GraphSetting& setting(const ResolvedGraphs& graphs, const std::string& name) {
  for (const GraphSetting& one : graphs.table) {
    if (one.name == name) return one;
  }
  throw std::out_of_range(name);
}

struct ModeCase {
  const char* flags;
  GraphMode prefill;
  GraphMode decode;
};

constexpr GraphMode kFull = GraphMode::kFull;
constexpr GraphMode kPiecewise = GraphMode::kPiecewise;
constexpr GraphMode kBreakable = GraphMode::kBreakable;
constexpr GraphMode kDisabled = GraphMode::kDisabled;

constexpr ModeCase kModeCases[] = {
    {"", kPiecewise, kFull},
    // One flag.
    {"--cuda-graph-backend-prefill piecewise", kPiecewise, kFull},
    {"--cuda-graph-backend-prefill tc_piecewise", kPiecewise, kFull},
    {"--cuda-graph-backend-prefill breakable", kBreakable, kFull},
    {"--cuda-graph-backend-prefill full", kFull, kFull},
    {"--cuda-graph-backend-prefill disabled", kDisabled, kFull},
    {"--cuda-graph-backend-decode full", kPiecewise, kFull},
    {"--cuda-graph-backend-decode piecewise", kPiecewise, kPiecewise},
    {"--cuda-graph-backend-decode tc_piecewise", kPiecewise, kPiecewise},
    {"--cuda-graph-backend-decode breakable", kPiecewise, kBreakable},
    {"--cuda-graph-backend-decode disabled", kPiecewise, kDisabled},
    {"--enable-piecewise-cuda-graph", kPiecewise, kFull},
    {"--enforce-piecewise-cuda-graph", kPiecewise, kFull},
    {"--disable-piecewise-cuda-graph", kDisabled, kFull},
    {"--disable-prefill-cuda-graph", kDisabled, kFull},
    {"--disable-decode-cuda-graph", kPiecewise, kDisabled},
    {"--disable-cuda-graph", kDisabled, kDisabled},
    {R"(--cuda-graph-config {"prefill":{"backend":"full"},"decode":{"backend":"breakable"}})", kFull,
     kBreakable},
    // A flag for all, and one of a phase above it.
    {"--disable-cuda-graph --enable-piecewise-cuda-graph", kPiecewise, kDisabled},
    {"--disable-cuda-graph --enforce-piecewise-cuda-graph", kPiecewise, kDisabled},
    {"--disable-cuda-graph --disable-piecewise-cuda-graph", kDisabled, kDisabled},
    {"--disable-cuda-graph --cuda-graph-backend-decode breakable", kDisabled, kBreakable},
    {"--disable-cuda-graph --cuda-graph-backend-prefill full", kFull, kDisabled},
    // Both generations: the newer above the older.
    {"--disable-piecewise-cuda-graph --cuda-graph-backend-prefill full", kFull, kFull},
    {"--disable-piecewise-cuda-graph --cuda-graph-backend-prefill breakable", kBreakable, kFull},
    {"--disable-piecewise-cuda-graph --cuda-graph-backend-prefill disabled", kDisabled, kFull},
    {"--enforce-piecewise-cuda-graph --cuda-graph-backend-prefill breakable", kBreakable, kFull},
    {"--disable-prefill-cuda-graph --cuda-graph-backend-prefill disabled", kDisabled, kFull},
    {"--disable-decode-cuda-graph --cuda-graph-backend-decode disabled", kPiecewise, kDisabled},
    // JSON above all.
    {R"(--cuda-graph-backend-decode full --cuda-graph-config {"decode":{"backend":"disabled"}})", kPiecewise,
     kDisabled},
    {R"(--disable-cuda-graph --cuda-graph-config {"prefill":{"backend":"tc_piecewise"}})", kPiecewise,
     kDisabled},
};

TEST(GraphTable, EveryCombinationOfModeFlagsHasItsRule) {
  for (const ModeCase& one : kModeCases) {
    const ResolvedGraphs graphs = resolve(one.flags);
    EXPECT_EQ(graphs.prefill.mode, one.prefill) << one.flags;
    EXPECT_EQ(graphs.decode.mode, one.decode) << one.flags;
    EXPECT_EQ(setting(graphs, "prefill mode").in_force, name(one.prefill)) << one.flags;
    EXPECT_EQ(setting(graphs, "decode mode").in_force, name(one.decode)) << one.flags;
  }
}

constexpr const char* kRefused[][3] = {
    {"--enable-piecewise-cuda-graph --disable-piecewise-cuda-graph", "--enable-piecewise-cuda-graph",
     "--disable-piecewise-cuda-graph"},
    {"--enforce-piecewise-cuda-graph --disable-piecewise-cuda-graph", "--enforce-piecewise-cuda-graph",
     "--disable-piecewise-cuda-graph"},
    {"--enable-piecewise-cuda-graph --disable-prefill-cuda-graph", "--enable-piecewise-cuda-graph",
     "--disable-prefill-cuda-graph"},
    {"--enforce-piecewise-cuda-graph --cuda-graph-backend-prefill disabled", "--enforce-piecewise-cuda-graph",
     "--cuda-graph-backend-prefill disabled"},
    {"--disable-prefill-cuda-graph --cuda-graph-backend-prefill full", "--disable-prefill-cuda-graph",
     "--cuda-graph-backend-prefill full"},
    {"--disable-piecewise-cuda-graph --cuda-graph-backend-prefill tc_piecewise",
     "--disable-piecewise-cuda-graph", "--cuda-graph-backend-prefill tc_piecewise"},
    {"--disable-decode-cuda-graph --cuda-graph-backend-decode piecewise", "--disable-decode-cuda-graph",
     "--cuda-graph-backend-decode piecewise"},
};

TEST(GraphTable, FlagsThatDisableAndAskForTheSamePhaseAreRefused) {
  for (const auto& [flags, one, other] : kRefused)
    EXPECT_EQ(refused(flags), std::string(one) + " and " + other + " exclude each other");
}

TEST(GraphTable, SaysWhoAskedAndAboveWhom) {
  const ResolvedGraphs graphs = resolve(
      "--disable-cuda-graph --cuda-graph-bs 1 --cuda-graph-bs-decode 2 4 "
      "--cuda-graph-backend-decode breakable");
  EXPECT_EQ(setting(graphs, "decode mode").asked, "breakable");
  EXPECT_EQ(setting(graphs, "decode mode").flag, "--cuda-graph-backend-decode");
  EXPECT_THAT(setting(graphs, "decode mode").why, HasSubstr("above --disable-cuda-graph"));
  EXPECT_EQ(setting(graphs, "prefill mode").flag, "--disable-cuda-graph");
  EXPECT_EQ(setting(graphs, "decode sizes").in_force, "2 4");
  EXPECT_THAT(setting(graphs, "decode sizes").why, HasSubstr("above --cuda-graph-bs"));
  EXPECT_EQ(setting(graphs, "prefill sizes").in_force, "none");
  EXPECT_EQ(setting(graphs, "prefill largest tokens").flag, "");
  EXPECT_EQ(setting(graphs, "capture").why, "default");
}

TEST(GraphTable, FullIsPiecewiseWhereAttentionCannotBeRecorded) {
  const GraphFacts facts{.device = "cuda:0", .whole_extend = false};
  const ResolvedGraphs graphs = resolve("--cuda-graph-backend-prefill full", facts);
  EXPECT_EQ(graphs.prefill.mode, kPiecewise);
  EXPECT_EQ(setting(graphs, "prefill mode").asked, "full");
  EXPECT_EQ(setting(graphs, "prefill mode").in_force, "piecewise");
  EXPECT_THAT(setting(graphs, "prefill mode").why, AllOf(HasSubstr("attention"), HasSubstr("cuda:0")));
  EXPECT_EQ(resolve(R"(--cuda-graph-config {"prefill":{"backend":"full"}})", facts).prefill.mode, kPiecewise);
  EXPECT_EQ(resolve("", {.whole_decode = false}).decode.mode, kPiecewise) << "the default too";
}

TEST(GraphTable, LatentAttentionCapturesUpToItsOwnDefaultUnlessAskedForMore) {
  const GraphFacts facts{.context_length = 8192, .max_step_tokens = 8192, .default_graph_tokens = 2048};
  const ResolvedGraphs graphs = resolve("", facts);
  EXPECT_EQ(graphs.prefill.max_size, 2048);
  EXPECT_EQ(graphs.prefill.sizes.back(), 2048);
  EXPECT_EQ(setting(graphs, "prefill largest tokens").why, "default");
  EXPECT_EQ(resolve("--piecewise-cuda-graph-max-tokens 4096", facts).prefill.max_size, 4096);
  EXPECT_THAT(resolve("--piecewise-cuda-graph-tokens 64 4096", facts).prefill.sizes, ElementsAre(64, 4096));
  EXPECT_EQ(resolve("", {.max_step_tokens = 512, .default_graph_tokens = 2048}).prefill.max_size, 512);
}

TEST(GraphTable, SizesAboveWhatAStepMayHoldAreLeftOutByName) {
  const ResolvedGraphs graphs = resolve(
      "--cuda-graph-bs 2 8 99 --piecewise-cuda-graph-tokens 64 512 5000 --piecewise-cuda-graph-max-tokens "
      "9000",
      {.context_length = 1000, .max_step_tokens = 512, .max_running_requests = 16});
  EXPECT_THAT(graphs.decode.sizes, ElementsAre(2, 8));
  EXPECT_EQ(setting(graphs, "decode sizes").why, "99 left out: --max-running-requests is 16");
  EXPECT_THAT(graphs.prefill.sizes, ElementsAre(64, 512));
  EXPECT_EQ(setting(graphs, "prefill sizes").why, "5000 left out: a step has at most 512 tokens");
  EXPECT_EQ(graphs.prefill.max_size, 512);
  EXPECT_EQ(setting(graphs, "prefill largest tokens").asked, "9000");
}

TEST(GraphTable, NoBucketGoesBeyondTheContext) {
  const ResolvedGraphs graphs =
      resolve("--piecewise-cuda-graph-max-tokens 4096 --cuda-graph-bs-prefill 128 2048",
              {.context_length = 256, .max_step_tokens = 256});
  EXPECT_THAT(graphs.prefill.sizes, ElementsAre(128));
  EXPECT_EQ(setting(graphs, "prefill sizes").why, "2048 left out: the context is 256");
  EXPECT_EQ(graphs.prefill.max_size, 256);
}

TEST(GraphTable, AMaximumLeavesLargerSizesOut) {
  EXPECT_THAT(resolve("--cuda-graph-max-bs 4").decode.sizes, ElementsAre(1, 2, 4));
  EXPECT_THAT(resolve("--cuda-graph-max-bs 9 --cuda-graph-max-bs-decode 6").decode.sizes,
              ElementsAre(1, 2, 4, 6));
  EXPECT_THAT(resolve("--cuda-graph-bs 4 32 --cuda-graph-max-bs 8").decode.sizes, ElementsAre(4));
  EXPECT_EQ(resolve("--cuda-graph-max-bs-prefill 32").prefill.sizes.size(), 8u);
  EXPECT_THAT(resolve(R"(--cuda-graph-max-bs 32 --cuda-graph-config {"decode":{"bs":[3,2],"max_bs":2}})")
                  .decode.sizes,
              ElementsAre(2));
}

TEST(GraphTable, APhaseWithoutAnySizeLeftIsDisabled) {
  const ResolvedGraphs graphs = resolve("--cuda-graph-bs 128", {.max_running_requests = 64});
  EXPECT_EQ(graphs.decode.mode, kDisabled);
  EXPECT_EQ(setting(graphs, "decode mode").why, "none of the asked sizes can be captured");
}

TEST(GraphTable, DefaultsFollowTheLimits) {
  const ResolvedGraphs graphs = resolve("", {.max_step_tokens = 100, .max_running_requests = 20});
  EXPECT_EQ(graphs.prefill.sizes.back(), 100);
  EXPECT_THAT(graphs.decode.sizes, ElementsAre(1, 2, 4, 8, 12, 16, 20));
  EXPECT_EQ(graphs.memory_budget, SIZE_MAX);
  EXPECT_EQ(graphs.verify_share, 0.0);
  EXPECT_EQ(graphs.capture, CaptureTime::kLazy);
  EXPECT_TRUE(graphs.pad_decode);
}

TEST(GraphTable, TakesCaptureBudgetShareAndPadding) {
  const ResolvedGraphs graphs =
      resolve("--capture eager --graph-memory-budget 64M --graph-verify 0.25 --disable-cuda-graph-padding");
  EXPECT_EQ(graphs.capture, CaptureTime::kEager);
  EXPECT_EQ(graphs.memory_budget, size_t{64} << 20);
  EXPECT_EQ(graphs.verify_share, 0.25);
  EXPECT_FALSE(graphs.pad_decode);
  EXPECT_EQ(setting(graphs, "graph memory").in_force, "64.0 MiB");
  EXPECT_EQ(setting(graphs, "graph executables").in_force, "all");
  EXPECT_EQ(resolve("--debug-cuda-graph").verify_share, 1.0);
  EXPECT_EQ(resolve("--debug-cuda-graph --graph-verify 0.5").verify_share, 0.5);
  const ResolvedGraphs nothing = resolve("--disable-cuda-graph --graph-verify 1");
  EXPECT_EQ(nothing.verify_share, 0.0);
  EXPECT_EQ(setting(nothing, "verified share").why, "nothing is replayed");
}

TEST(GraphTable, ReadsSizesInBytes) {
  EXPECT_EQ(parse_bytes("0"), 0u);
  EXPECT_EQ(parse_bytes("4096"), 4096u);
  EXPECT_EQ(parse_bytes("8B"), 8u);
  EXPECT_EQ(parse_bytes("1.5K"), 1536u);
  EXPECT_EQ(parse_bytes("64M"), size_t{64} << 20);
  EXPECT_EQ(parse_bytes("2GiB"), size_t{2} << 30);
  for (const char* text : {"", "M", "-1M", "64X", "1e3", "0x10", "nan", "inf", "1.5", "64 M", "99999999999G"})
    EXPECT_EQ(parse_bytes(text), std::nullopt) << text;
}

TEST(GraphTable, WrongValuesAreNamed) {
  EXPECT_THAT(refused("--cuda-graph-backend-decode fast"),
              AllOf(HasSubstr("--cuda-graph-backend-decode: expected one of full"), HasSubstr("got fast")));
  EXPECT_THAT(refused("--graph-memory-budget lots"), HasSubstr("expected a size such as 64M"));
  EXPECT_THAT(refused("--graph-verify 1.5"), HasSubstr("--graph-verify"));
  EXPECT_THAT(refused("--capture now"), HasSubstr("--capture"));
  EXPECT_THAT(refused("--cuda-graph-config {"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(refused(R"(--cuda-graph-config {"verify":{}})"), HasSubstr("expected decode or prefill"));
  EXPECT_THAT(refused(R"(--cuda-graph-config {"decode":{"bs":[0]}})"), HasSubstr("decode.bs"));
  EXPECT_THAT(refused(R"(--cuda-graph-config {"decode":{"backend":"fast"}})"), HasSubstr("decode.backend"));
}

TEST(GraphTable, WarnsWhereOnlyOnePhaseQuantizesActivations) {
  const char* flags = "--cuda-graph-backend-prefill breakable";
  EXPECT_THAT(setting(resolve(flags), "prefill mode").why, HasSubstr("--dtype float32"));
  EXPECT_EQ(setting(resolve(flags, {.quantizes_activations = false}), "prefill mode").why, "as asked");
  EXPECT_EQ(setting(resolve("--cuda-graph-backend-prefill breakable --cuda-graph-backend-decode breakable"),
                    "prefill mode")
                .why,
            "as asked");
}

TEST(GraphTable, IsPrintedInColumnsAndAsJson) {
  const ResolvedGraphs graphs = resolve("--cuda-graph-backend-prefill full --cuda-graph-bs 1 2");
  const auto lines = table_lines(graphs.table);
  ASSERT_EQ(lines.size(), graphs.table.size() + 1);
  EXPECT_THAT(lines[0], AllOf(HasSubstr("asked"), HasSubstr("in force"), HasSubstr("why")));
  EXPECT_THAT(lines[1], AllOf(HasSubstr("prefill mode"), HasSubstr("full (--cuda-graph-backend-prefill)")));
  EXPECT_EQ(lines[1].find("as asked"), lines[0].find("why"));
  const Json rows = to_json(graphs.table);
  EXPECT_EQ(rows[0]["setting"], "prefill mode");
  EXPECT_EQ(rows[0]["flag"], "--cuda-graph-backend-prefill");
  EXPECT_TRUE(rows[1]["asked"].is_null());
  const Json config = graph_config_json(graphs);
  EXPECT_EQ(config["decode"]["bs"], Json::array({1, 2}));
  EXPECT_EQ(config["prefill"]["backend"], "full");
}

TEST(GraphTable, IsWhatTheRunnerDoes) {
  GraphRunnerOptions options;
  apply(resolve("--cuda-graph-backend-prefill breakable --cuda-graph-bs 1 2 --graph-memory-budget 1M "
                "--graph-verify 1"),
        options);
  EXPECT_EQ(options.extend_mode, kBreakable);
  EXPECT_EQ(options.decode_mode, kFull);
  EXPECT_THAT(options.decode_sizes, ElementsAre(1, 2));
  EXPECT_EQ(options.graph_memory_budget, size_t{1} << 20);
  EXPECT_EQ(options.verify_share, 1.0);
}

TEST(GraphTable, SaysHowManyExecutablesAreInForce) {
  const GraphFacts limited{.executable_budget = 64};
  EXPECT_EQ(setting(resolve("--graph-executable-budget 64", limited), "graph executables").in_force, "64");
  EXPECT_EQ(setting(resolve("", limited), "graph executables").why, "default");
  const GraphSetting ignored = setting(resolve("--graph-executable-budget 64"), "graph executables");
  EXPECT_EQ(ignored.in_force, "all");
  EXPECT_EQ(ignored.why, "captures of cpu are no executables");
  EXPECT_THAT(refused("--graph-executable-budget -3"), HasSubstr("--graph-executable-budget"));
}

}  // namespace
}  // namespace musaic
