#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include "backends/cpu/cpu_backend.h"
#include "base/status.h"
#include "ir/compare.h"
#include "ir/parse.h"
#include "ir/rename_device.h"
#include "ops/kernels_cpu.h"
#include "ops/op_list.h"
#include "runner/model_graphs.h"
#include "weights/model_files.h"

namespace musaic {
namespace {

using testing::IsEmpty;

constexpr const char* kData = MUSAIC_TEST_DATA;

// The graphs of tests/data/tiny/<model> as `musaic graph --device cpu --cpu-isa avx2` prints them: not after
// what this machine can do.
ModelGraphs graphs_of_model(const std::string& path, const std::string& after) {
  OpRegistry registry;
  define_ops(registry);
  add_cpu_kernels(registry);
  CpuBackend backend({.num_threads = 1, .isa = CpuIsa::kAvx2});
  const Target target{registry, backend.device(), backend.capabilities()};
  const ModelFiles files = open_model(path);
  const auto model = make_model(files.config, files.weights.get(), {});
  return trace_model_graphs(*model, target, {}, after);
}

ModelGraphs graphs_of(const std::string& tiny_model, const std::string& after) {
  return graphs_of_model(kData + std::string("/tiny/") + tiny_model, after);
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void expect_golden(const std::string& model, const std::string& stage, const Graph& graph) {
  const std::string name = model + "_" + graph.name + "_" + stage + ".txt";
  const std::string golden = kData + std::string("/graphs/") + name;
  const std::string text = text_of(golden);
  const std::string printed = print(graph);
  if (text == printed) {
    EXPECT_THAT(differences(parse(text, golden), graph), IsEmpty());
    return;
  }
  const std::string actual = testing::TempDir() + name;
  std::ofstream(actual) << printed;
  ADD_FAILURE() << "another graph than written down: diff " << golden << " " << actual
                << "; if the new one is right, run tests/data/graphs/make.sh";
}

class GraphGoldenTest : public testing::TestWithParam<std::string> {};

TEST_P(GraphGoldenTest, TheGraphsAreTracedAsWrittenDown) {
  const ModelGraphs graphs = graphs_of(GetParam(), "trace");
  expect_golden(GetParam(), "trace", graphs.extend.graph);
  expect_golden(GetParam(), "trace", graphs.decode.graph);
}

TEST_P(GraphGoldenTest, ThePassesLeaveTheGraphsAsWrittenDown) {
  const ModelGraphs graphs = graphs_of(GetParam(), "");
  expect_golden(GetParam(), "passes", graphs.extend.graph);
  expect_golden(GetParam(), "passes", graphs.decode.graph);
}

TEST_P(GraphGoldenTest, EveryGraphSurvivesPrintAndParseAfterEachPassOnAnyDevice) {
  std::vector<std::string> stages = pass_names();
  stages.insert(stages.begin(), "trace");
  for (const std::string& stage : stages) {
    const ModelGraphs graphs = graphs_of(GetParam(), stage);
    for (const ModelGraph* graph : {&graphs.extend, &graphs.decode, &graphs.head, &graphs.logprobs}) {
      for (const Device& device : {Device{}, Device{"cuda", 3}, Device{"musa", 0}, Device{"tpu_v9", -1}}) {
        const Graph there = rename_device(graph->graph, device);
        const std::string text = print(there);
        const Graph again = parse(text, stage);
        ASSERT_THAT(differences(again, there), IsEmpty()) << text;
        ASSERT_EQ(print(again), text);
      }
    }
  }
}

TEST_P(GraphGoldenTest, AMutilatedTextIsRefusedOrVerifiedWithoutACrash) {
  OpRegistry registry;
  define_ops(registry);
  const std::string name = kData + std::string("/graphs/") + GetParam() + "_extend_passes.txt";
  const std::string text = text_of(name);
  const std::string alphabet = "()[]%@!,=: 01239-";
  std::mt19937 random(7);
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string broken = text;
    for (int edits = 0; edits < 3; ++edits) {
      const size_t at = random() % broken.size();
      if (random() % 2 == 0) {
        broken.erase(at, 1 + random() % 12);
      } else {
        broken[at] = alphabet[random() % alphabet.size()];
      }
    }
    try {
      refused += !verify(parse(broken, name), registry).empty();
    } catch (const LoadError& error) {
      ++refused;
      EXPECT_THAT(error.what(), testing::MatchesRegex(".*_extend_passes.txt:[0-9]+:[0-9]+: .+"));
    }
  }
  EXPECT_GT(refused, 200) << "most edits must be noticed";
}

// Every tensor argument loses its shape in turn: no fake may trust that it has a dimension.
TEST_P(GraphGoldenTest, FakesRefuseScalarsInThePlaceOfTensors) {
  OpRegistry registry;
  define_ops(registry);
  for (const ModelGraph& traced : {graphs_of(GetParam(), "").extend, graphs_of(GetParam(), "").head,
                                   graphs_of(GetParam(), "").logprobs}) {
    for (size_t i = 0; i < traced.graph.values.size(); ++i) {
      Graph broken = traced.graph;
      broken.values[i].meta.shape.clear();
      broken.values[i].meta.strides.clear();
      const auto problems = verify(broken, registry);
      const auto reads = [&](const Node& node) {
        return std::count(node.inputs.begin(), node.inputs.end(), static_cast<ValueId>(i)) > 0;
      };
      const bool is_checked = broken.values[i].kind == ValueKind::kNode ||
                              std::any_of(broken.nodes.begin(), broken.nodes.end(), reads);
      EXPECT_EQ(problems.empty(), !is_checked) << broken.values[i].name;
    }
  }
}

TEST(DefaultModelGraph, SurvivesPrintAndParse) {
  const char* path = std::getenv("MUSAIC_DEFAULT_MODEL");
  if (path == nullptr) GTEST_SKIP() << "MUSAIC_DEFAULT_MODEL is not set";
  for (const std::string stage : {"trace", ""}) {
    const ModelGraphs graphs = graphs_of_model(path, stage);
    for (const ModelGraph* graph : {&graphs.extend, &graphs.decode, &graphs.head, &graphs.logprobs})
      EXPECT_THAT(differences(parse(print(graph->graph), "graph.txt"), graph->graph), IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(TinyModels, GraphGoldenTest,
                         testing::Values("llama", "qwen2", "qwen3", "deepseek_v2", "deepseek_v2_fp8"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace musaic
