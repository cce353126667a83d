#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "backends/cpu/cpu_backend.h"
#include "ops/kernels_cpu.h"
#include "ops/op_list.h"
#include "runner/model_graphs.h"
#include "weights/model_files.h"

namespace musaic {
namespace {

constexpr const char* kData = MUSAIC_TEST_DATA;

// The extend graph of tests/data/tiny/<model> on the CPU, as `musaic graph` prints it.
std::string extend_graph(const std::string& model_name, const std::string& after) {
  OpRegistry registry;
  define_ops(registry);
  add_cpu_kernels(registry);
  CpuBackend backend({.num_threads = 1});
  const Target target{registry, backend.device(), backend.capabilities()};
  const ModelFiles files = open_model(kData + std::string("/tiny/") + model_name);
  const auto model = make_model(files.config, files.weights.get(), {});
  return print(trace_model_graphs(*model, target, {}, after).extend.graph);
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void expect_golden(const std::string& model, const std::string& stage, const std::string& graph) {
  const std::string name = model + "_extend_" + stage + ".txt";
  const std::string golden = kData + std::string("/graphs/") + name;
  if (text_of(golden) == graph) return;
  const std::string actual = testing::TempDir() + name;
  std::ofstream(actual) << graph;
  ADD_FAILURE() << "another graph than written down: diff " << golden << " " << actual
                << "; if the new one is right, run tests/data/graphs/make.sh";
}

class GraphGoldenTest : public testing::TestWithParam<std::string> {};

TEST_P(GraphGoldenTest, TheExtendGraphIsTracedAsWrittenDown) {
  expect_golden(GetParam(), "trace", extend_graph(GetParam(), "trace"));
}

TEST_P(GraphGoldenTest, ThePassesLeaveTheExtendGraphAsWrittenDown) {
  expect_golden(GetParam(), "passes", extend_graph(GetParam(), ""));
}

INSTANTIATE_TEST_SUITE_P(TinyModels, GraphGoldenTest, testing::Values("llama", "qwen2", "qwen3"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace musaic
