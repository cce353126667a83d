#include <gmock/gmock.h>

#include <functional>

#include "base/status.h"
#include "ir/toy_ops_for_test.h"

namespace musaic {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class VerifyTest : public testing::Test {
 protected:
  VerifyTest() { define_toy_ops(registry_); }

  Value x(const char* name = "x") { return builder_.input(name, DType::kF32, {Dim::symbol("tokens"), 8}); }
  Value copy(Value value) { return builder_.call("toy::copy", {value})[0]; }
  Value columns(Value value, int64_t begin, int64_t count) {
    return builder_.call("toy::columns", {value}, {{"begin", begin}, {"count", count}})[0];
  }
  Value write(Value into, Value from) { return builder_.call("toy::write_", {into, from})[0]; }

  std::vector<std::string> problems() { return verify(builder_.graph(), registry_); }

  // What verify says of copy, columns, write and scale in a row, broken by `damage`.
  std::vector<std::string> problems_after(const std::function<void(Graph&)>& damage) {
    const Value in = x();
    const Value view = columns(copy(in), 2, 4);                                          // %1 and %2
    const Value written = write(view, in);                                               // %3
    builder_.output("y", builder_.call("toy::scale", {written}, {{"factor", 2.0}})[0]);  // %4
    Graph graph = builder_.take();
    EXPECT_THAT(verify(graph, registry_), IsEmpty()) << "whole before the damage";
    damage(graph);
    return verify(graph, registry_);
  }

  OpRegistry registry_;
  GraphBuilder builder_{registry_, "g", Device{}};
};

TEST_F(VerifyTest, AStaleVersionReadAfterAWriteIsRefused) {
  const Value old = copy(x());
  write(old, x("y"));
  copy(old);
  EXPECT_THAT(problems(),
              ElementsAre("node 2 toy::copy: x is version %1 of a storage that %3 has overwritten"));
}

TEST_F(VerifyTest, TheNewVersionMayBeReadAndWrittenAgain) {
  const Value source = x("y");
  builder_.output("z", copy(write(write(copy(x()), source), source)));
  EXPECT_THAT(problems(), IsEmpty());
}

TEST_F(VerifyTest, AStaleVersionMayNotBeWrittenEither) {
  const Value old = copy(x());
  const Value source = x("y");
  write(old, source);
  write(old, source);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("node 2 toy::write_: x is version %1")));
}

TEST_F(VerifyTest, AStaleGraphOutputIsRefused) {
  const Value old = copy(x());
  write(old, x("y"));
  builder_.output("z", old);
  EXPECT_THAT(problems(), ElementsAre("output z is version %1 of a storage that %3 has overwritten"));
}

TEST_F(VerifyTest, AViewOfOverwrittenColumnsIsStaleAndOneOfOtherColumnsIsNot) {
  const Value base = copy(x());
  const Value left = columns(base, 0, 4);
  const Value right = columns(base, 4, 4);
  const Value middle = columns(base, 3, 2);
  write(left, right);
  copy(right);
  EXPECT_THAT(problems(), IsEmpty());
  copy(middle);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("node 6 toy::copy: x is version %4")));
}

TEST_F(VerifyTest, TheBaseIsStaleAfterAViewWasWritten) {
  const Value base = copy(x());
  const Value left = columns(base, 0, 4);
  write(left, x("y"));
  copy(base);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("node 3 toy::copy: x is version %1")));
}

TEST_F(VerifyTest, WeightsAndConstantsAreNotWritten) {
  const Value state = builder_.state("s", DType::kF32, {4, 8});
  write(state, x());
  Graph graph = builder_.take();
  for (ValueKind kind : {ValueKind::kWeight, ValueKind::kConstant}) {
    graph.values[0].kind = kind;
    EXPECT_THAT(verify(graph, registry_), ElementsAre("node 0 toy::write_: x would write s"));
  }
}

TEST_F(VerifyTest, AWrittenArgumentThatAnotherOneSharesMemoryWithIsRefused) {
  const Value base = copy(x());
  const Value left = columns(base, 0, 4);
  const Value right = columns(base, 4, 4);
  write(left, right);
  Graph graph = builder_.take();
  graph.nodes[3].inputs[1] = left.id();
  EXPECT_THAT(verify(graph, registry_),
              ElementsAre("node 3 toy::write_: y shares memory with x, which is written and of another alias "
                          "set"));
}

TEST_F(VerifyTest, ARecordedMetaThatTheFakeDoesNotGiveIsRefused) {
  EXPECT_THAT(
      problems_after([](Graph& graph) { graph.values[1].meta.dtype = DType::kF16; }),
      testing::Contains("node 0 toy::copy: %1 is f16[tokens, 8] cpu, its fake says f32[tokens, 8] cpu"));
}

TEST_F(VerifyTest, AnAttributeChangedAfterTheTraceIsCaughtByTheFake) {
  const Value view = columns(x(), 2, 4);
  builder_.output("y", view);
  Graph graph = builder_.take();
  graph.nodes[0].attributes.set("count", int64_t{5});
  EXPECT_THAT(verify(graph, registry_), ElementsAre(HasSubstr("its fake says f32[tokens, 5]")));
}

TEST_F(VerifyTest, AFakeWhoseAliasIsNotItsSchemasIsCaught) {
  copy(x());
  OpRegistry lying;
  const auto view = [](const FakeCall& call) -> std::vector<FakeOutput> {
    return {{.meta = call.input(0), .view_of = 0}};
  };
  lying.define("toy::copy(Tensor x) -> Tensor", {.schema = {}, .fake = view});
  EXPECT_THAT(
      verify(builder_.graph(), lying),
      ElementsAre("node 0 toy::copy: by the fake kernel output 0 is a view of x, by the schema memory "
                  "of its own"));
}

TEST_F(VerifyTest, AnOpWithoutAFakeIsNamed) {
  copy(x());
  OpRegistry bare;
  bare.define("toy::copy(Tensor x) -> Tensor", {});
  EXPECT_THAT(verify(builder_.graph(), bare), ElementsAre("node 0 toy::copy: has no fake kernel"));
}

TEST_F(VerifyTest, AFakeThatRefusesItsArgumentsIsReported) {
  registry_.define("toy::square(Tensor x) -> Tensor",
                   {.schema = {}, .fake = [](const FakeCall& call) -> std::vector<FakeOutput> {
                      if (call.input(0).rank() != 2) fail_load("toy::square: x has one dimension");
                      return {{.meta = call.input(0)}};
                    }});
  builder_.call("toy::square", {x()});
  Graph graph = builder_.take();
  graph.values[0].meta.shape.pop_back();
  EXPECT_THAT(verify(graph, registry_), ElementsAre("node 0: toy::square: x has one dimension"));
}

struct Damage {
  const char* expected;
  void (*apply)(Graph&);
};

class VerifyDamageTest : public VerifyTest, public testing::WithParamInterface<Damage> {};

TEST_P(VerifyDamageTest, IsNamed) {
  EXPECT_THAT(problems_after(GetParam().apply), testing::Contains(HasSubstr(GetParam().expected)));
}

INSTANTIATE_TEST_SUITE_P(
    Each, VerifyDamageTest,
    testing::Values(
        Damage{"node 0: no such operator toy::gone", [](Graph& g) { g.nodes[0].op = "toy::gone"; }},
        Damage{"node 0 toy::copy: 2 tensors, the schema has 1",
               [](Graph& g) { g.nodes[0].inputs.push_back(0); }},
        Damage{"node 0 toy::copy: tensor x is missing", [](Graph& g) { g.nodes[0].inputs[0] = kNoValue; }},
        Damage{"node 0 toy::copy: x is used before it is computed",
               [](Graph& g) { g.nodes[0].inputs[0] = 4; }},
        Damage{"node 0 toy::copy: x is used before it is computed",
               [](Graph& g) { g.nodes[0].inputs[0] = 99; }},
        Damage{"node 1 toy::columns: argument count is missing",
               [](Graph& g) {
                 g.nodes[1].attributes = {{"begin", int64_t{2}}};
               }},
        Damage{"node 3 toy::scale: argument factor is True, expected float",
               [](Graph& g) { g.nodes[3].attributes.set("factor", true); }},
        Damage{"node 3 toy::scale: has no argument more",
               [](Graph& g) { g.nodes[3].attributes.set("more", true); }},
        Damage{"node 0 toy::copy: 0 outputs, its fake has 1", [](Graph& g) { g.nodes[0].outputs.clear(); }},
        Damage{"node 0 toy::copy: computes the unknown %99", [](Graph& g) { g.nodes[0].outputs[0] = 99; }},
        Damage{"node 1 toy::columns: %1 is computed already", [](Graph& g) { g.nodes[1].outputs[0] = 1; }},
        Damage{"node 0 toy::copy: %1 names node 3 as its own", [](Graph& g) { g.values[1].node = 3; }},
        Damage{"node 1 toy::columns: %2 lies in another storage", [](Graph& g) { g.values[2].storage = 2; }},
        Damage{"node 1 toy::columns: %2 lies at offset 3, its fake says 2",
               [](Graph& g) { g.values[2].offset = 3; }},
        Damage{"%2 lies in the unknown storage %99", [](Graph& g) { g.values[2].storage = 99; }},
        Damage{"node 2 toy::write_: mutates arguments [], by the schema [0]",
               [](Graph& g) { g.nodes[2].mutations.clear(); }},
        Damage{"node 2 toy::write_: mutates arguments [1], by the schema [0]",
               [](Graph& g) { g.nodes[2].mutations[0].input = 1; }},
        Damage{"node 2 toy::write_: computes the unknown %99",
               [](Graph& g) { g.nodes[2].mutations[0].version = 99; }},
        Damage{"node 2 toy::write_: %3 is no version of %2", [](Graph& g) { g.values[3].storage = 0; }},
        Damage{"node 2 toy::write_: %3 is no version of %2", [](Graph& g) { g.values[3].offset = 0; }},
        Damage{"node 2 toy::write_: %3 is no version of %2",
               [](Graph& g) { g.values[3].meta.dtype = DType::kI32; }},
        Damage{"output y is never computed", [](Graph& g) { g.outputs[0].second = 99; }},
        Damage{"output y is never computed", [](Graph& g) { g.nodes.pop_back(); }}));

}  // namespace
}  // namespace musaic
