#include "export/torch_module.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "backends/cpu/cpu_backend.h"
#include "base/status.h"
#include "export/torch_body.h"
#include "export/torch_ops.h"
#include "export/torch_weights.h"
#include "formats/safetensors.h"
#include "formats/test_files.h"
#include "ir/rename_device.h"
#include "ir/toy_ops_for_test.h"
#include "ops/add/add.h"
#include "ops/kernels_cpu.h"
#include "ops/linear/linear.h"
#include "ops/op_list.h"
#include "ops/quantize/quantize.h"
#include "ops/rms_norm/rms_norm.h"
#include "program/split.h"
#include "runner/model_graphs.h"
#include "tensor/dequantize.h"
#include "weights/model_files.h"

namespace musaic {
namespace {

using musaic::testing::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kData = MUSAIC_TEST_DATA;

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const LoadError& error) {
    return error.what();
  }
  return "";
}

class ExportTest : public ::testing::Test {
 protected:
  ExportTest() {
    define_ops(registry_);
    add_cpu_kernels(registry_);
  }

  ModelGraphs graphs_of(const ModelFiles& files, const std::string& after, bool exact) {
    CpuBackend backend({.num_threads = 1, .isa = CpuIsa::kAvx2});
    const Target target{registry_, backend.device(), backend.capabilities()};
    const auto model =
        make_model(files.config, files.weights.get(), {.kv_dtype = exact ? DType::kF32 : DType::kF16});
    return trace_model_graphs(*model, target, {.quantize_activations = !exact}, after);
  }

  std::string module_of(const Graph& graph) {
    const TorchPart part[] = {whole_part(graph)};
    return write_torch_module("A test.", part, registry_);
  }

  // Runs the checker on every module of the folder; its exit status. `weights`: a file; empty: there is none.
  int check(const TemporaryFolder& folder, const Device& device, const std::string& weights) {
    const std::string command = "python3 '" + std::string(kData) + "/../export/check_module.py' --device " +
                                to_string(device) + (weights.empty() ? "" : " --weights '" + weights + "'") +
                                " '" + folder.path().string() + "'/*.py";
    return std::system(command.c_str());
  }

  OpRegistry registry_;
};

bool has_python() {
  return std::system("python3 -c pass >/dev/null 2>&1") == 0;
}

class ExportedModelTest : public ExportTest, public ::testing::WithParamInterface<std::string> {
 protected:
  std::string folder() const { return kData + std::string("/tiny/") + GetParam(); }
};

TEST_P(ExportedModelTest, EveryModuleIsSoundPython) {
  if (!has_python()) GTEST_SKIP() << "python3 is not installed";
  const ModelFiles files = open_model(folder());
  const TemporaryFolder modules;
  for (const std::string after : {"trace", ""}) {
    for (bool exact : {true, false}) {
      const ModelGraphs graphs = graphs_of(files, after, exact);
      const Graph& extend = graphs.extend.graph;
      const std::string name = after + (exact ? "_exact" : "_auto");
      const TorchPart both[] = {whole_part(extend), whole_part(graphs.head.graph)};
      modules.write(name + ".py", write_torch_module("A \"test\"\\.", both, registry_));
      if (!exact) continue;
      modules.write(name + "_head.py", module_of(graphs.head.graph));
      const int pieces = static_cast<int>(split(extend, registry_, false).size());
      for (int i = 0; i < pieces; ++i) {
        const TorchPart piece[] = {piece_part(extend, registry_, i)};
        modules.write(name + "_" + std::to_string(i) + ".py",
                      write_torch_module("A piece.", piece, registry_));
      }
    }
  }
  EXPECT_EQ(check(modules, {}, folder() + "/model.safetensors"), 0);
}

TEST_P(ExportedModelTest, TheDeviceIsSpelledAndImportedAsItsTypeAsks) {
  if (!has_python()) GTEST_SKIP() << "python3 is not installed";
  const ModelFiles files = open_model(folder());
  const ModelGraphs graphs = graphs_of(files, "", true);
  for (const Device& device : {Device{"cuda", 1}, Device{"musa", 0}, Device{"tpu_v9", -1}}) {
    const TemporaryFolder modules;
    modules.write("head.py", module_of(rename_device(graphs.head.graph, device)));
    EXPECT_EQ(check(modules, device, folder() + "/model.safetensors"), 0) << to_string(device);
  }
}

TEST_P(ExportedModelTest, EveryPieceReadsOnlyWhatEarlierOnesGive) {
  const ModelFiles files = open_model(folder());
  const ModelGraphs graphs = graphs_of(files, "", true);
  const Graph& extend = graphs.extend.graph;
  std::vector<std::string> known = {"input_ids", "positions"};
  const int pieces = static_cast<int>(split(extend, registry_, false).size());
  ASSERT_GT(pieces, 3);
  for (int i = 0; i < pieces; ++i) {
    TorchShared shared;
    const TorchPart piece = piece_part(extend, registry_, i);
    for (const std::string& argument : write_torch_body(piece, registry_, shared).arguments)
      EXPECT_THAT(known, ::testing::Contains(argument)) << "piece " << i;
    for (const auto& [name, id] : piece.results) known.push_back(name);
  }
  EXPECT_EQ(known.back(), "hidden");
  EXPECT_THAT(error_of([&] { piece_part(extend, registry_, pieces); }), HasSubstr("has pieces 0 to"));
}

TEST_P(ExportedModelTest, WrittenWeightsAreTheModelsInFloat32) {
  const TemporaryFolder written;
  const ModelFiles files = open_model(folder());
  const ModelGraphs graphs = graphs_of(files, "trace", true);
  const Graph* const both[] = {&graphs.extend.graph, &graphs.head.graph};
  const auto path = written.path() / "weights.safetensors";
  write_torch_weights(path, both, *files.weights);
  const auto file = SafetensorsFile::open(path);
  EXPECT_EQ(file->tensors().size(), files.weights->names().size());
  for (const SafetensorsTensor& tensor : file->tensors()) {
    const WeightTensor& source = require_weight(*files.weights, tensor.name, tensor.shape);
    std::vector<float> expected(static_cast<size_t>(tensor.shape.elements()));
    dequantize_row(source.dtype, source.data, expected.data(), tensor.shape.elements());
    ASSERT_EQ(tensor.bytes, expected.size() * sizeof(float)) << tensor.name;
    EXPECT_EQ(std::memcmp(file->data(tensor), expected.data(), tensor.bytes), 0) << tensor.name;
  }
}

INSTANTIATE_TEST_SUITE_P(TinyModels, ExportedModelTest,
                         ::testing::Values("llama", "qwen2", "qwen3", "deepseek_v2", "deepseek_v2_fp8"),
                         [](const auto& info) { return info.param; });

TEST_F(ExportTest, TheFullSizeConfigurationInFp8IsSoundPython) {
  if (!has_python()) GTEST_SKIP() << "python3 is not installed";
  const TemporaryFolder modules;
  const ModelFiles files = open_model(kData + std::string("/deepseek_v2_lite_fp8_config.json"));
  for (const std::string after : {"trace", ""}) {
    const ModelGraphs graphs = graphs_of(files, after, false);
    const TorchPart both[] = {whole_part(graphs.extend.graph), whole_part(graphs.head.graph)};
    modules.write("full" + after + ".py", write_torch_module("DeepSeek-V2-Lite.", both, registry_));
  }
  EXPECT_EQ(check(modules, {}, ""), 0);
}

TEST_F(ExportTest, TheCheckerSeesWhatIsWrong) {
  if (!has_python()) GTEST_SKIP() << "python3 is not installed";
  const std::string tiny = kData + std::string("/tiny/llama");
  const ModelFiles files = open_model(tiny);
  const ModelGraphs graphs = graphs_of(files, "", true);
  const std::string module = module_of(graphs.extend.graph);
  const std::pair<const char*, const char*> kEdits[] = {
      {"torch.nn.functional.linear", "torch.nn.functional.lineal"},
      {"o_proj.weight\"", "p_proj.weight\""},
      {"torch.device(\"cpu\")", "torch.device(\"cuda\")"},
      {"(x, residual, weight, eps", "(x, residual, eps, weight"},
      {"return v", "return u"},
      {"(512, 256)", "(512, 255)"},
      {"import json\n", "import json, os\n"},
      {"        v", "       v"}};
  for (const auto& [from, to] : kEdits) {
    std::string broken = module;
    const size_t at = broken.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    broken.replace(at, std::string(from).size(), to);
    const TemporaryFolder modules;
    modules.write("broken.py", broken);
    ::testing::internal::CaptureStderr();
    EXPECT_NE(check(modules, {}, tiny + "/model.safetensors"), 0) << from;
    ::testing::internal::GetCapturedStderr();
  }
}

TEST_F(ExportTest, FusedOpsAreCalledByTheirNameAndDefinedWhereTheyAreMissing) {
  GraphBuilder builder(registry_, "g", {"musa", 0});
  const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 8});
  const Value residual = builder.input("v1", DType::kF32, {Dim::symbol("tokens"), 8});
  const auto [normed, sum] =
      fused_add_rms_norm(x, residual, builder.weight({"norm"}, DType::kF32, {8}), 1e-6);
  builder.output("normed", normed);
  builder.output("sum", sum);
  const std::string module = module_of(builder.graph());
  EXPECT_THAT(module, HasSubstr("    def forward(self, x, v1_):\n"
                                "        torch.ops.sgl_kernel.fused_add_rmsnorm(x, v1_, self.w_norm, 1e-06"));
  EXPECT_THAT(module, HasSubstr("        return (x, v1_)\n"));
  EXPECT_THAT(module, HasSubstr("if not hasattr(getattr(torch.ops, namespace), op):"));
  EXPECT_THAT(module,
              HasSubstr("    \"sgl_kernel::fused_add_rmsnorm\",\n    \"(Tensor(a!) x, Tensor(b!) residual,"));
  EXPECT_THAT(module, HasSubstr("import torch_musa"));
  EXPECT_THAT(module, HasSubstr("return torch.device(\"musa:0\")"));
  EXPECT_THAT(module, Not(HasSubstr("_causal_attention"))) << "only what is called is defined";
}

std::vector<Value> decompose_twice(GraphBuilder&, std::span<const Value> inputs, const Attributes&) {
  const Value doubled = add(inputs[0], inputs[0]);
  return {add(doubled, inputs[1])};
}

TEST_F(ExportTest, AnOpWithoutAPyTorchFormIsWrittenAsItsDecomposition) {
  registry_.define("toy::twice_plus(Tensor x, Tensor y) -> Tensor",
                   {.schema = {}, .fake = fake_like_first, .decomposition = decompose_twice});
  GraphBuilder builder(registry_, "g", {});
  const Value x = builder.input("x", DType::kF32, {4, 8});
  const Value y = builder.input("y", DType::kF32, {4, 8});
  builder.output("z", builder.call("toy::twice_plus", {y, x})[0]);
  EXPECT_THAT(module_of(builder.graph()), HasSubstr("    def forward(self, x, y):\n"
                                                    "        v2_2 = torch.add(y, y)\n"
                                                    "        v2_3 = torch.add(v2_2, x)\n"
                                                    "        return v2_3\n"));
}

TEST_F(ExportTest, TheIntegerPathMeetsDequantizedWeights) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 64});
  builder.output("y", linear_q8(quantize_q8(x), builder.weight({"w"}, DType::kQ4_1, {32, 64})));
  const std::string module = module_of(builder.graph());
  EXPECT_THAT(module, HasSubstr("        v2, v3, v4 = _quantize_q8(x)\n"
                                "        v5 = _linear_q8(v2, v3, self.w_w, None)\n"));
}

// Decode steps and sampling are not exported.
TEST_F(ExportTest, EveryOpOfAPromptHasAPyTorchFormOrADecomposition) {
  define_gpu_ops(registry_);
  std::vector<std::string> without;
  for (const auto& [name, op] : registry_.ops()) {
    if (!find_torch_expression(name) && !find_torch_custom_op(name) && !op.decomposition)
      without.push_back(name);
  }
  EXPECT_THAT(without,
              ElementsAre("musaic::logprobs", "musaic::mla_absorb_query", "musaic::mla_absorbed_attention",
                          "musaic::mla_expand_values", "musaic::random_values", "musaic::sample"));
}

TEST_F(ExportTest, AnOpWithNeitherIsNamed) {
  define_toy_ops(registry_);
  GraphBuilder builder(registry_, "g", {});
  builder.output("y", builder.call("toy::copy", {builder.input("x", DType::kF32, {4})})[0]);
  EXPECT_EQ(error_of([&] { module_of(builder.graph()); }),
            "toy::copy cannot be exported: it has neither a PyTorch form nor a decomposition");
}

TEST_F(ExportTest, ACacheThatIsReadBeforeItIsWrittenIsNamed) {
  GraphBuilder builder(registry_, "g", {});
  const Value cache = builder.state("layers.0.cache", DType::kF32, {4, 8});
  builder.output("y", add(cache, cache));
  EXPECT_EQ(error_of([&] { module_of(builder.graph()); }),
            "the state layers.0.cache is read before it is written: it means nothing without a cache");
}

TEST_F(ExportTest, NamesBecomeIdentifiersThatStandForOneTensorEach) {
  GraphBuilder builder(registry_, "g", {});
  const Value x = builder.input("class", DType::kF32, {4, 8});
  const Value a = rms_norm(x, builder.weight({"a.b"}, DType::kF32, {8}), 0.5);
  const Value b = rms_norm(a, builder.weight({"a-b"}, DType::kF32, {8}), 0.5);
  builder.output("y", rms_norm(b, builder.weight({"a.b"}, DType::kF32, {8}), 0.5));
  const std::string module = module_of(builder.graph());
  EXPECT_THAT(module, HasSubstr("\"w_a_b\": ((\"a.b\",), (8,)),\n    \"w_a_b_2\": ((\"a-b\",), (8,)),"));
  EXPECT_THAT(module, HasSubstr("    def forward(self, class_):\n"
                                "        v2 = _rms_norm(class_, self.w_a_b, 0.5)\n"
                                "        v4 = _rms_norm(v2, self.w_a_b_2, 0.5)\n"
                                "        v5 = _rms_norm(v4, self.w_a_b, 0.5)\n"));
}

}  // namespace
}  // namespace musaic
