#include "ir/builder.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "ir/toy_ops_for_test.h"

namespace musaic {
namespace {

class BuilderTest : public testing::Test {
 protected:
  BuilderTest() { define_toy_ops(registry_); }

  Value x() { return builder_.input("x", DType::kF32, {Dim::symbol("tokens"), 8}); }

  std::string call_error(std::string_view op, std::initializer_list<Value> inputs,
                         Attributes attributes = {}) {
    try {
      builder_.call(op, inputs, std::move(attributes));
    } catch (const LoadError& error) {
      return error.what();
    }
    return "";
  }

  OpRegistry registry_;
  GraphBuilder builder_{registry_, "g", Device{"musa", 1}};
};

TEST_F(BuilderTest, LeavesLieOnTheGraphsDeviceInTheirOwnStorage) {
  const Value leaves[] = {x(), builder_.weight({"w"}, DType::kQ4_1, {4, 32}),
                          builder_.state("s", DType::kF16, {4}),
                          builder_.constant("c", DType::kU8, {2}, std::vector<std::byte>(2))};
  for (const Value& leaf : leaves) {
    const GraphValue& value = builder_.graph().values[leaf.id()];
    EXPECT_EQ(value.meta.device, (Device{"musa", 1}));
    EXPECT_EQ(value.storage, leaf.id());
    EXPECT_TRUE(value.meta.is_contiguous());
    EXPECT_EQ(builder_.graph().find(value.name), leaf.id());
  }
}

TEST_F(BuilderTest, AWeightAskedForAgainIsTheSameValue) {
  const Value merged = builder_.weight({"a", "b"}, DType::kF32, {8, 4});
  EXPECT_EQ(builder_.weight({"a", "b"}, DType::kF32, {8, 4}).id(), merged.id());
  EXPECT_NE(builder_.weight({"b", "a"}, DType::kF32, {8, 4}).id(), merged.id());
  EXPECT_NE(builder_.weight({"a"}, DType::kF32, {4, 4}).id(), merged.id());
  EXPECT_EQ(builder_.graph().values[merged.id()].weight_parts, (std::vector<std::string>{"a", "b"}));
}

TEST_F(BuilderTest, AConstantAskedForAgainIsTheSameValue) {
  const std::vector<std::byte> bytes = {std::byte{1}, std::byte{2}};
  const Value constant = builder_.constant("c", DType::kU8, {2}, bytes);
  EXPECT_EQ(builder_.constant("c", DType::kU8, {2}, bytes).id(), constant.id());
  EXPECT_EQ(*builder_.graph().values[constant.id()].constant, bytes);
}

TEST_F(BuilderTest, OutputsGetTheFakesMetaAndNewStorage) {
  const Value in = x();
  const Value out = builder_.call("toy::copy", {in})[0];
  EXPECT_EQ(out.meta(), in.meta());
  EXPECT_EQ(builder_.graph().values[out.id()].storage, out.id());
  EXPECT_EQ(builder_.graph().values[out.id()].node, 0);
}

TEST_F(BuilderTest, AViewLiesInItsBasesStorageAndAViewOfAViewAddsItsOffset) {
  const Value in = x();
  const Value view = builder_.call("toy::columns", {in}, {{"begin", int64_t{2}}, {"count", int64_t{4}}})[0];
  const Value inner =
      builder_.call("toy::columns", {view}, {{"begin", int64_t{1}}, {"count", int64_t{2}}})[0];
  EXPECT_EQ(builder_.graph().values[inner.id()].storage, in.id());
  EXPECT_EQ(builder_.graph().values[inner.id()].offset, Dim(3));
  EXPECT_EQ(to_string(inner.meta()), "f32[tokens, 2] strides [8, 1] musa:1");
}

TEST_F(BuilderTest, MutationMakesANewVersionOfTheSameStorage) {
  const Value state = builder_.state("s", DType::kF32, {Dim::symbol("tokens"), 8});
  const auto results = builder_.call("toy::write_", {state, x()});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_NE(results[0].id(), state.id());
  EXPECT_EQ(builder_.graph().values[results[0].id()].storage, state.id());
  EXPECT_EQ(results[0].meta(), state.meta());
  ASSERT_EQ(builder_.graph().nodes[0].mutations.size(), 1u);
  EXPECT_EQ(builder_.graph().nodes[0].mutations[0].input, 0);
}

TEST_F(BuilderTest, OptionalTensorsMayBeLeftOutOrAbsent) {
  const Value in = x();
  builder_.call("toy::add", {in});
  builder_.call("toy::add", {in, Value()});
  for (const Node& node : builder_.graph().nodes)
    EXPECT_EQ(node.inputs, (std::vector<ValueId>{in.id(), kNoValue}));
}

TEST_F(BuilderTest, DefaultsAreFilledIn) {
  builder_.call("toy::scale", {x()}, {{"factor", 2.0}});
  EXPECT_EQ(builder_.graph().nodes[0].attributes, (Attributes{{"factor", 2.0}, {"twice", false}}));
}

TEST_F(BuilderTest, AWrongCallIsOneSentence) {
  const Value in = x();
  EXPECT_EQ(call_error("toy::none", {in}), "toy::none: no such operator");
  EXPECT_EQ(call_error("toy::copy", {in, in}), "toy::copy: 2 tensors given, expected 1");
  EXPECT_EQ(call_error("toy::write_", {in}), "toy::write_: tensor y is missing");
  EXPECT_EQ(call_error("toy::write_", {in, Value()}), "toy::write_: tensor y is missing");
  EXPECT_EQ(call_error("toy::scale", {in}), "toy::scale: argument factor is missing");
  EXPECT_EQ(call_error("toy::scale", {in}, {{"factor", int64_t{2}}}),
            "toy::scale: argument factor is 2, expected float");
  EXPECT_EQ(call_error("toy::scale", {in}, {{"factor", 2.0}, {"often", true}}),
            "toy::scale: has no argument often");
  registry_.define("toy::late(Tensor x) -> Tensor", {});
  EXPECT_EQ(call_error("toy::late", {in}), "toy::late: has no fake kernel, so it cannot be traced");
  EXPECT_TRUE(builder_.graph().nodes.empty()) << "a refused call leaves no node";
}

TEST_F(BuilderTest, AWriteThatTheSchemaOrTheGraphDoesNotAllowIsRefused) {
  registry_.define("toy::write_two_(Tensor(a!) x, Tensor(b!) y) -> ()", {.schema = {}, .fake = fake_nothing});
  registry_.define("toy::write_same_(Tensor(a!) x, Tensor(a) y) -> ()", {.schema = {}, .fake = fake_nothing});
  const Value in = x();
  const Value weight = builder_.weight({"w"}, DType::kF32, {4, 8});
  const Value rows =
      builder_.call("toy::columns", {weight}, {{"begin", int64_t{2}}, {"count", int64_t{4}}})[0];
  const Value state = builder_.state("s", DType::kF32, {4, 8});
  EXPECT_EQ(call_error("toy::write_", {weight, in}), "toy::write_: x would write w");
  EXPECT_EQ(call_error("toy::write_", {rows, in}), "toy::write_: x would write w");
  EXPECT_EQ(call_error("toy::write_", {state, state}),
            "toy::write_: y shares memory with x, which is written and of another alias set");
  EXPECT_EQ(call_error("toy::write_two_", {state, state}),
            "toy::write_two_: x and y share memory, and both are written");
  EXPECT_EQ(call_error("toy::write_same_", {state, state}), "") << "one alias set: y may be x";
}

TEST_F(BuilderTest, ColumnsOfOneStorageThatAreDisjointMayBeReadAndWrittenInOneCall) {
  const Value base = builder_.call("toy::copy", {x()})[0];
  const auto columns = [&](int64_t begin, int64_t count) {
    return builder_.call("toy::columns", {base}, {{"begin", begin}, {"count", count}})[0];
  };
  EXPECT_EQ(call_error("toy::write_", {columns(0, 4), columns(4, 4)}), "");
  EXPECT_NE(call_error("toy::write_", {columns(0, 4), columns(3, 4)}), "");
}

TEST_F(BuilderTest, AFakeThatLiesAboutItsAliasOrGivesNoTensorIsRefused) {
  const auto define = [&](std::string_view schema, Fake fake) {
    registry_.define(schema, {.schema = {}, .fake = std::move(fake)});
  };
  const auto view_of = [](int index) {
    return [index](const FakeCall& call) -> std::vector<FakeOutput> {
      return {{.meta = call.input(0), .view_of = index}};
    };
  };
  define("toy::secret_view(Tensor x) -> Tensor", view_of(0));
  define("toy::no_view(Tensor(a) x) -> Tensor(a)", fake_like_first);
  define("toy::wrong_view(Tensor(a) x, Tensor(b) y) -> (Tensor(b) z)", view_of(0));
  define("toy::far_view(Tensor(a) x) -> Tensor(a)", view_of(3));
  define("toy::absent_view(Tensor x, Tensor(a)? y) -> Tensor(a)", view_of(1));
  define("toy::no_tensor(Tensor x) -> Tensor", [](const FakeCall& call) -> std::vector<FakeOutput> {
    FakeOutput out{.meta = call.input(0)};
    out.meta.strides.pop_back();
    return {out};
  });
  define("toy::deep(Tensor x) -> Tensor", [](const FakeCall& call) -> std::vector<FakeOutput> {
    return {{.meta = Meta::contiguous(DType::kF32, DimShape(7, 1), call.input(0).device)}};
  });
  const Value in = x();
  EXPECT_EQ(call_error("toy::secret_view", {in}),
            "toy::secret_view: by the fake kernel output 0 is a view of x, by the schema memory of its own");
  EXPECT_EQ(
      call_error("toy::no_view", {in}),
      "toy::no_view: by the fake kernel output 0 is memory of its own, by the schema a view of the alias "
      "set (a)");
  EXPECT_EQ(
      call_error("toy::wrong_view", {in, in}),
      "toy::wrong_view: by the fake kernel z is a view of x, by the schema a view of the alias set (b)");
  EXPECT_EQ(call_error("toy::far_view", {in}),
            "toy::far_view: by the fake kernel output 0 is a view of tensor 3, of which there are 1");
  EXPECT_EQ(call_error("toy::absent_view", {in}),
            "toy::absent_view: by the fake kernel output 0 is a view of y, which is absent");
  EXPECT_EQ(call_error("toy::no_tensor", {in}),
            "toy::no_tensor: by the fake kernel output 0 has 1 strides for 2 dimensions");
  EXPECT_EQ(call_error("toy::deep", {in}),
            "toy::deep: by the fake kernel output 0 has 7 dimensions, at most 6 are possible");
  EXPECT_TRUE(builder_.graph().nodes.empty());
}

TEST_F(BuilderTest, AFakeWithAnotherNumberOfOutputsThanItsSchemaIsRefused) {
  registry_.define("toy::two(Tensor x) -> (Tensor, Tensor)", {.schema = {}, .fake = fake_like_first});
  EXPECT_EQ(call_error("toy::two", {x()}), "toy::two: the fake kernel gives 1 outputs, the schema 2");
}

TEST_F(BuilderTest, ABuilderContinuesAGraphThatItIsGiven) {
  const Value in = x();
  GraphBuilder next(registry_, builder_.take());
  const Value out = next.call("toy::copy", {Value(&next, in.id())})[0];
  next.output("y", out);
  EXPECT_EQ(next.graph().output("y"), out.id());
  EXPECT_TRUE(verify(next.graph(), registry_).empty());
}

TEST_F(BuilderTest, NamesAreTakenOnce) {
  x();
  EXPECT_DEATH(x(), "graph g: x is there already");
  EXPECT_DEATH(builder_.state("x", DType::kF32, {1}), "x is there already");
  EXPECT_DEATH(builder_.weight({"x"}, DType::kF32, {1}),
               "x is f32\\[tokens, 8\\] musa:1, asked for as f32\\[1\\]");
  builder_.weight({"w"}, DType::kF32, {4, 4});
  EXPECT_DEATH(builder_.weight({"w"}, DType::kF16, {4, 4}), "asked for as f16\\[4, 4\\]");
}

TEST_F(BuilderTest, AValueOfAnotherGraphIsRefused) {
  GraphBuilder other(registry_, "other", {});
  const Value foreign = other.input("x", DType::kF32, {4});
  EXPECT_DEATH(builder_.call("toy::copy", {foreign}), "%0 is a value of another graph");
}

}  // namespace
}  // namespace musaic
