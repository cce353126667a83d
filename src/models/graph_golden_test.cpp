#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

#include "backends/cpu/cpu_backend.h"
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
ModelGraphs graphs_of(const std::string& model_name, const std::string& after) {
  OpRegistry registry;
  define_ops(registry);
  add_cpu_kernels(registry);
  CpuBackend backend({.num_threads = 1, .isa = CpuIsa::kAvx2});
  const Target target{registry, backend.device(), backend.capabilities()};
  const ModelFiles files = open_model(kData + std::string("/tiny/") + model_name);
  const auto model = make_model(files.config, files.weights.get(), {});
  return trace_model_graphs(*model, target, {}, after);
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

INSTANTIATE_TEST_SUITE_P(TinyModels, GraphGoldenTest, testing::Values("llama", "qwen2", "qwen3"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace musaic
