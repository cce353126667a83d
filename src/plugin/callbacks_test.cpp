#include "plugin/callbacks.h"

#include <gmock/gmock.h>

#include "backends/cpu/cpu_backend.h"
#include "base/status.h"
#include "ir/builder.h"
#include "ir/op_sample.h"
#include "plugin/abi_dtype.h"
#include "plugin/fixtures_for_test.h"

namespace musaic {
namespace {

using testing::Each;

class CallbacksTest : public testing::Test {
 protected:
  CallbacksTest() { load_fixture("probe", registry_); }

  Value x() { return builder_.input("x", DType::kF16, {Dim::symbol("tokens"), 24}); }

  std::string call_error(std::string_view op, Value input, Attributes attributes) {
    try {
      builder_.call(op, {input}, std::move(attributes));
    } catch (const LoadError& error) {
      return error.what();
    }
    return "";
  }

  OpRegistry registry_ = builtin_registry();
  GraphBuilder builder_{registry_, "g", {}};
};

TEST_F(CallbacksTest, AFakeComputesWithSymbolicDimensions) {
  const Value out = builder_.call("probe::dims", {x()})[0];
  const Dim tokens = Dim::symbol("tokens");
  EXPECT_EQ(out.meta(), Meta::contiguous(DType::kF16, {ceil_div(tokens * 2 + 3 - 1, 2), 32}, {}));
}

TEST_F(CallbacksTest, AFakeGivesViewsWithStridesAndOffset) {
  EXPECT_TRUE(registry_.get("probe::columns").is_view);
  const Value in = x();
  const Value out = builder_.call("probe::columns", {in}, {{"begin", int64_t{8}}, {"count", int64_t{4}}})[0];
  EXPECT_EQ(to_string(out.meta()), "f16[tokens, 4] strides [24, 1] cpu");
  EXPECT_EQ(builder_.graph().values[out.id()].storage, in.id());
  EXPECT_EQ(builder_.graph().values[out.id()].offset, Dim(8));
}

TEST_F(CallbacksTest, AttributesOfEveryTypeArriveAndAbsentOnesAreAbsent) {
  const Value out = builder_.call("probe::attributes", {x()},
                                  {{"i", int64_t{-7}},
                                   {"f", 0.5},
                                   {"b", true},
                                   {"s", std::string("on, it's")},
                                   {"l", std::vector<int64_t>{1, -2}}})[0];
  EXPECT_EQ(to_string(out.meta()), "i32[] cpu");
  EXPECT_TRUE(registry_.get("probe::attributes").is_break);
}

struct WrongFake {
  const char* how;
  const char* message;
};

class WrongFakeTest : public CallbacksTest, public testing::WithParamInterface<WrongFake> {};

TEST_P(WrongFakeTest, IsOneSentence) {
  EXPECT_EQ(call_error("probe::wrong", x(), {{"how", std::string(GetParam().how)}}), GetParam().message);
  EXPECT_EQ(builder_.graph().nodes.empty(), *GetParam().message != '\0');
}

INSTANTIATE_TEST_SUITE_P(
    Each, WrongFakeTest,
    testing::Values(
        WrongFake{"nothing", ""},
        WrongFake{"says why", "probe::wrong: the plugin's fake kernel: x is not to my taste"},
        WrongFake{"silent", "probe::wrong: the plugin's fake kernel: it failed without saying why"},
        WrongFake{"dtype", "probe::wrong: the plugin's fake kernel: output 0: there is no dtype 99"},
        WrongFake{"rank", "probe::wrong: the plugin's fake kernel: output 0: its rank is 7, expected 0 to 6"},
        WrongFake{"dimension",
                  "probe::wrong: the plugin's fake kernel: output 0: dimension 0 of 1 is missing"},
        WrongFake{"view",
                  "probe::wrong: by the fake kernel output 0 is a view of x, by the schema memory of "
                  "its own"},
        WrongFake{"attribute",
                  "probe::wrong: the plugin's fake kernel: asks for the attribute hov, which "
                  "probe::wrong(Tensor x, str how) -> Tensor has not"},
        WrongFake{"attribute type",
                  "probe::wrong: the plugin's fake kernel: asks for the attribute how as "
                  "int, it is 'attribute type'"},
        WrongFake{"division",
                  "probe::wrong: the plugin's fake kernel: combine_dims: division by tokens, "
                  "expected a number above 0"},
        WrongFake{"launch",
                  "probe::wrong: the plugin's fake kernel: launch: only a kernel's run may call it"},
        WrongFake{"define",
                  "probe::wrong: the plugin's fake kernel: define_op: only the init function may call it"}),
    [](const auto& info) { return "Number" + std::to_string(info.index); });

TEST_F(CallbacksTest, AKernelIsAskedBeforeTheOnesThatTheOpHas) {
  const OpDef& add = registry_.get("aten::add");
  ASSERT_GE(add.kernels.size(), 2u);
  EXPECT_EQ(add.kernels[0].name, "probe_add");
  const Meta meta = Meta::contiguous(DType::kF32, {4, 4}, {});
  const Meta* inputs[] = {&meta, &meta};
  const Meta* outputs[] = {&meta};
  const auto chosen = [&](const Capabilities& capabilities) {
    return registry_.find_kernel(add, "cpu", {inputs, outputs, Attributes(), capabilities})->name;
  };
  EXPECT_EQ(chosen({.features = {"avx2"}}), "probe_add");
  EXPECT_NE(chosen({}), "probe_add") << "its predicate asks for avx2";
}

// Calls the kernel of probe::count_parts on so many counts.
std::vector<int32_t> count_parts(Stream& stream, const Kernel& kernel, int64_t parts,
                                 const std::string& how = "") {
  std::vector<int32_t> counts(16, 0);
  std::vector<int32_t> scratch(16, -5);
  const Tensor inputs[] = {Tensor::contiguous(counts.data(), DType::kI32, {16})};
  const Attributes attributes = {{"parts", parts}, {"how", how}};
  kernel.run({.inputs = inputs,
              .outputs = {},
              .workspace = Tensor::contiguous(scratch.data(), DType::kU8, {64}),
              .attributes = attributes,
              .stream = stream});
  return counts;
}

TEST_F(CallbacksTest, EveryPartOfALaunchRunsOnceWithItsArguments) {
  CpuBackend backend({.num_threads = 3});
  const Kernel& kernel = registry_.get("probe::count_parts").kernels[1];
  ASSERT_EQ(kernel.name, "probe_count_parts");
  EXPECT_THAT(count_parts(backend.stream(), kernel, 16), Each(1));
  const auto by_thread = count_parts(backend.stream(), kernel, 0);
  EXPECT_EQ(std::vector<int32_t>(by_thread.begin(), by_thread.begin() + 4),
            (std::vector<int32_t>{1, 1, 1, 0}))
      << "0 parts: one a thread";
}

TEST_F(CallbacksTest, AKernelStatesItsWorkspaceInSymbols) {
  const Kernel& kernel = registry_.get("probe::count_parts").kernels[1];
  const Meta meta = Meta::contiguous(DType::kI32, {Dim::symbol("tokens")}, {});
  const Meta* inputs[] = {&meta};
  EXPECT_EQ(kernel.workspace_bytes({inputs, {}, Attributes(), Capabilities()}), Dim::symbol("tokens") * 4);
}

TEST_F(CallbacksTest, AKernelThatFailsSaysSo) {
  CpuBackend backend({.num_threads = 1});
  const auto error = [&](const Kernel& kernel, const std::string& how) -> std::string {
    try {
      count_parts(backend.stream(), kernel, 4, how);
    } catch (const LoadError& error) {
      return error.what();
    }
    return "";
  };
  const auto& kernels = registry_.get("probe::count_parts").kernels;
  EXPECT_EQ(error(kernels[1], "says why"), "probe::count_parts: kernel probe_count_parts: no more");
  EXPECT_EQ(error(kernels[1], "too large"),
            "probe::count_parts: kernel probe_count_parts: launch: 385 bytes of arguments, at most 384 are "
            "possible");
  EXPECT_EQ(error(kernels[0], ""),
            "probe::count_parts: kernel probe_count_parts_musa: launch: kernels of this device do not run on "
            "host threads");
}

TEST_F(CallbacksTest, SamplesArriveWithTheirTensorsAndAttributes) {
  const auto samples = registry_.get("probe::attributes").samples();
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].name, "values");
  EXPECT_EQ(samples[0].inputs[0].tensor.to_floats(), (std::vector<float>{4, 5, 6, 7, 8, 9}));
  EXPECT_FALSE(samples[0].inputs[0].has_rows);
  EXPECT_FALSE(samples[0].inputs[1].tensor.defined());
  EXPECT_EQ(samples[0].attributes, (Attributes{{"i", int64_t{-7}},
                                               {"f", 0.5},
                                               {"b", true},
                                               {"s", std::string("on")},
                                               {"l", std::vector<int64_t>{1, -2}}}));
  EXPECT_EQ(samples[0].outputs[0].dtype, DType::kI32);
  EXPECT_EQ(samples[0].outputs[0].shape, Shape());

  EXPECT_EQ(to_string(samples[1].inputs[0].tensor.meta()), "f16[2, 3] strides [8, 1] cpu");
  EXPECT_TRUE(samples[1].inputs[0].has_rows);
  EXPECT_THAT(samples[1].inputs[0].tensor.to_floats(), Each(testing::AllOf(testing::Ge(-2), testing::Le(2))));
  EXPECT_THAT(samples[1].inputs[1].tensor.to_floats(), Each(3));
  EXPECT_TRUE(samples[1].inputs[1].overwritten);
  EXPECT_TRUE(
      registry_.get("probe::attributes").samples()[1].inputs[0].tensor.same_bits(samples[1].inputs[0].tensor))
      << "the same at every call";
}

TEST_F(CallbacksTest, AWrongSampleIsOneSentence) {
  try {
    registry_.get("probe::dims").samples();
    FAIL() << "accepted";
  } catch (const LoadError& error) {
    EXPECT_STREQ(error.what(),
                 "probe::dims: the plugin's samples: sample 'no dtype': x: there is no dtype 77");
  }
  EXPECT_FALSE(registry_.get("probe::wrong").samples) << "it has none";
}

TEST(AbiDType, EveryTypeHasANumberAndBack) {
  for (int i = 0; i <= static_cast<int>(DType::kQ6_K); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(from_abi(to_abi(dtype)), dtype);
  }
  EXPECT_EQ(from_abi(MUSAIC_Q6_K + 1), std::nullopt);
  EXPECT_EQ(from_abi(-1), std::nullopt);
}

}  // namespace
}  // namespace musaic
