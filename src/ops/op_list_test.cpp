#include "ops/op_list.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "ir/builder.h"
#include "ops/kernels_cpu.h"

namespace musaic {
namespace {

namespace fs = std::filesystem;

class OpListTest : public testing::Test {
 protected:
  OpListTest() {
    define_ops(registry_);
    add_cpu_kernels(registry_);
  }
  OpRegistry registry_;
};

// The op tests' sources in one text.
std::string op_tests() {
  std::stringstream text;
  const fs::path folder = fs::path(MUSAIC_TEST_DATA) / ".." / ".." / "src" / "ops";
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const bool is_test = entry.path().filename().string().ends_with("_test.cpp");
    if (is_test && entry.path().filename() != "op_list_test.cpp") text << std::ifstream(entry.path()).rdbuf();
  }
  return text.str();
}

TEST_F(OpListTest, EveryOpHasAFakeAndIsAViewOrHasAKernelOnTheCpu) {
  ASSERT_GE(registry_.ops().size(), 15u);
  for (const auto& [name, op] : registry_.ops()) {
    EXPECT_TRUE(op.fake) << name;
    int cpu_kernels = 0;
    for (const Kernel& kernel : op.kernels) {
      EXPECT_TRUE(kernel.run) << name << ": " << kernel.name;
      cpu_kernels += kernel.device_type == "cpu";
    }
    EXPECT_EQ(cpu_kernels == 0, op.is_view) << name << " has " << cpu_kernels << " kernels on the cpu";
  }
}

TEST_F(OpListTest, KernelsOfOneOpHaveDifferentNames) {
  for (const auto& [name, op] : registry_.ops()) {
    std::set<std::string> names;
    for (const Kernel& kernel : op.kernels) EXPECT_TRUE(names.insert(kernel.name).second) << kernel.name;
  }
}

TEST_F(OpListTest, EveryPackingIsWholeAndRepacksATensorArgument) {
  for (const auto& [name, op] : registry_.ops()) {
    for (const Kernel& kernel : op.kernels) {
      if (!kernel.packing) continue;
      EXPECT_FALSE(kernel.packing->layout.empty()) << kernel.name;
      EXPECT_NE(kernel.packing->bytes, nullptr) << kernel.name;
      EXPECT_NE(kernel.packing->pack, nullptr) << kernel.name;
      EXPECT_GT(kernel.packing->row_alignment, 0) << kernel.name;
      EXPECT_LT(kernel.packing->input, op.schema.num_tensors()) << kernel.name;
    }
  }
}

TEST_F(OpListTest, EveryOpIsNamedInATest) {
  const std::string tests = op_tests();
  ASSERT_FALSE(tests.empty());
  for (const auto& [name, op] : registry_.ops())
    EXPECT_NE(tests.find('"' + name + '"'), std::string::npos) << name << " is in no test under src/ops";
}

TEST_F(OpListTest, AViewSaysSoInItsSchema) {
  for (const auto& [name, op] : registry_.ops()) {
    for (const SchemaReturn& result : op.schema.returns) EXPECT_EQ(!result.alias.empty(), op.is_view) << name;
  }
}

struct FusedCall {
  std::vector<Value> inputs;
  Attributes attributes;
};

// A call of each fused op that its fake accepts.
FusedCall fused_call(GraphBuilder& builder, const std::string& op) {
  const Dim tokens = Dim::symbol("tokens");
  const auto floats = [&](const char* name, DimShape shape) {
    return builder.input(name, DType::kF32, std::move(shape));
  };
  const auto cache = [&](const char* name) {
    return builder.state(name, DType::kF16, {Dim::symbol("pages"), 2, 16, 32});
  };
  if (op == "aten::_fused_swiglu_forward") return {{floats("x", {tokens, 128})}, {}};
  if (op == "sgl_kernel::fused_add_rmsnorm") {
    return {{floats("x", {tokens, 64}), floats("residual", {tokens, 64}), floats("weight", {64})},
            {{"eps", 1e-5}}};
  }
  if (op == "musaic::rms_norm_quantize_q8") {
    return {{floats("x", {tokens, 64}), floats("weight", {64})}, {{"eps", 1e-5}}};
  }
  if (op == "musaic::add_rms_norm_quantize_q8") {
    return {{floats("x", {tokens, 64}), floats("residual", {tokens, 64}), floats("weight", {64})},
            {{"eps", 1e-5}}};
  }
  if (op == "musaic::add_rms_norm_quant_fp8") {
    return {{floats("x", {tokens, 64}), floats("residual", {tokens, 64}), floats("weight", {64})},
            {{"eps", 1e-5}}};
  }
  if (op == "musaic::moe_gate_route") {
    return {{floats("logits", {tokens, 8})},
            {{"top_k", int64_t{2}},
             {"num_groups", int64_t{1}},
             {"top_groups", int64_t{1}},
             {"renormalize", false},
             {"scale", 1.0},
             {"layout", std::string("compact")},
             {"alignment", int64_t{128}}}};
  }
  if (op == "musaic::swiglu_quantize_q8") return {{floats("x", {tokens, 128})}, {}};
  if (op == "musaic::rope_kv_write") {
    return {{floats("query", {tokens, 128}), floats("key", {tokens, 64}), floats("value", {tokens, 64}),
             floats("cos_sin", {tokens, 32}), builder.input("slots", DType::kI32, {tokens}), cache("keys"),
             cache("values")},
            {{"head_dim", int64_t{32}}, {"interleaved", false}}};
  }
  return {};
}

TEST_F(OpListTest, EveryDecompositionGivesWhatItsFusedOpGives) {
  int fused_ops = 0;
  for (const auto& [name, op] : registry_.ops()) {
    if (op.decomposition == nullptr) continue;
    ++fused_ops;
    GraphBuilder fused_builder(registry_, "fused", {"musa", 0});
    const FusedCall fused = fused_call(fused_builder, name);
    ASSERT_FALSE(fused.inputs.empty()) << name << ": add a call of it to this test";
    const auto expected = fused_builder.call(name, fused.inputs, fused.attributes);

    GraphBuilder builder(registry_, "decomposed", {"musa", 0});
    const FusedCall same = fused_call(builder, name);
    const auto results = op.decomposition(builder, same.inputs, same.attributes);
    ASSERT_EQ(results.size(), expected.size()) << name;
    for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i].meta(), expected[i].meta()) << name;
    for (const Node& node : builder.graph().nodes) {
      EXPECT_EQ(registry_.get(node.op).decomposition, nullptr) << name << " is not made of simple ops";
    }
    EXPECT_TRUE(verify(builder.graph(), registry_).empty()) << name;
  }
  EXPECT_GE(fused_ops, 6);
}

}  // namespace
}  // namespace musaic
