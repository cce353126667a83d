#include "ir/schema.h"

#include <gtest/gtest.h>

namespace musaic {
namespace {

Schema parsed(std::string_view text) {
  auto schema = Schema::parse(text);
  return std::move(schema).value();
}

std::string problem(std::string_view text) {
  const auto schema = Schema::parse(text);
  return schema.ok() ? "" : schema.status().message();
}

TEST(Schema, ReadsEveryKindOfArgument) {
  const Schema schema = parsed(
      "ns::op.out(Tensor(a!) x, Tensor? bias=None, int n, int[] dims, float eps=1e-05, bool on=True, str "
      "mode, "
      "Tensor(b) base, int k=-3) -> (Tensor(b), Tensor sums)");
  EXPECT_EQ(schema.name, "ns::op.out");
  ASSERT_EQ(schema.arguments.size(), 9u);
  EXPECT_TRUE(schema.arguments[0].mutated);
  EXPECT_EQ(schema.arguments[0].alias, "a");
  EXPECT_TRUE(schema.arguments[1].optional);
  EXPECT_FALSE(schema.arguments[1].mutated);
  EXPECT_EQ(schema.arguments[2].type, SchemaType::kInt);
  EXPECT_EQ(schema.arguments[3].type, SchemaType::kIntList);
  EXPECT_EQ(schema.arguments[4].default_value, Attribute(1e-5));
  EXPECT_EQ(schema.arguments[5].default_value, Attribute(true));
  EXPECT_EQ(schema.arguments[6].type, SchemaType::kString);
  EXPECT_EQ(schema.arguments[7].alias, "b");
  EXPECT_FALSE(schema.arguments[7].mutated);
  EXPECT_EQ(schema.arguments[8].default_value, Attribute(int64_t{-3}));
  ASSERT_EQ(schema.returns.size(), 2u);
  EXPECT_EQ(schema.returns[0].alias, "b");
  EXPECT_EQ(schema.returns[1].alias, "");
}

TEST(Schema, TensorsAreTheTensorArgumentsInOrder) {
  const Schema schema = parsed("ns::op(Tensor x, int n, Tensor? y) -> ()");
  ASSERT_EQ(schema.num_tensors(), 2);
  EXPECT_EQ(schema.tensors()[0]->name, "x");
  EXPECT_EQ(schema.tensors()[1]->name, "y");
}

TEST(Schema, PrintsWhatItRead) {
  for (const char* text :
       {"ns::op() -> ()", "ns::op(Tensor x) -> Tensor",
        "ns::op(Tensor(a!) x, Tensor? y=None, Tensor? z) -> ()",
        "ns::op(Tensor(a) x, int n=3, float e=1e-05, float f=1.0, bool b=False) -> (Tensor(a), Tensor)",
        "ns::op(int[] dims, str mode) -> Tensor"}) {
    EXPECT_EQ(to_string(parsed(text)), text);
  }
}

TEST(Schema, SpacesDoNotMatter) {
  EXPECT_EQ(to_string(parsed(" ns::op( Tensor( a! )  x ,int n )->( Tensor ) ")),
            "ns::op(Tensor(a!) x, int n) -> Tensor");
}

TEST(Schema, AWrongTextIsOneSentenceWithTheColumn) {
  EXPECT_EQ(
      problem("ns::op(Tensor x, flot eps) -> Tensor"),
      "schema 'ns::op(Tensor x, flot eps) -> Tensor': expected a type (Tensor, int, int[], float, bool, str) "
      "at column 22");
}

TEST(Schema, TextsThatAreNoSchemasAreRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "an operator name"},
      {"op(Tensor x) -> Tensor", "an operator name"},
      {"::op() -> ()", "an operator name"},
      {"ns::() -> ()", "an operator name"},
      {"ns::op", "'('"},
      {"ns::op(Tensor x", "',' or ')'"},
      {"ns::op(Tensor x) Tensor", "'->'"},
      {"ns::op(Tensor) -> ()", "an argument name"},
      {"ns::op(Tensor x,) -> ()", "a type"},
      {"ns::op(Tensor(!) x) -> ()", "an alias"},
      {"ns::op(Tensor(a x) -> ()", "an alias"},
      {"ns::op(Tensor x, int x) -> ()", "another name than the taken x"},
      {"ns::op(Tensor x=None) -> ()", "no default but None of a Tensor?"},
      {"ns::op(Tensor? x=0) -> ()", "no default but None of a Tensor?"},
      {"ns::op(int n=) -> ()", "a whole number"},
      {"ns::op(int n=1.5) -> ()", "a whole number"},
      {"ns::op(int n=99999999999999999999) -> ()", "a whole number"},
      {"ns::op(float f=) -> ()", "a number"},
      {"ns::op(float f=x) -> ()", "a number"},
      {"ns::op(bool b=true) -> ()", "True or False"},
      {"ns::op(str s=x) -> ()", "no default for this type"},
      {"ns::op(Tensor x) -> int", "Tensor"},
      {"ns::op(Tensor x) -> (Tensor", "',' or ')'"},
      {"ns::op(Tensor x) -> Tensor(a)", "the alias of an argument"},
      {"ns::op(Tensor(a) x) -> Tensor(b)", "the alias of an argument"},
      {"ns::op(Tensor x) -> Tensor y z", "the end"},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_NE(problem(text).find(std::string("expected ") + expected), std::string::npos)
        << text << ": " << problem(text);
  }
}

TEST(Schema, AttributesMustBeThereAndOfTheirType) {
  const Schema schema = parsed("ns::op(Tensor x, int n, float eps, bool on, str mode, int[] dims) -> ()");
  const Attributes good = {{"n", int64_t{1}},
                           {"eps", 0.5},
                           {"on", true},
                           {"mode", std::string("fast")},
                           {"dims", std::vector<int64_t>{1}}};
  EXPECT_EQ(attribute_problem(schema, good), std::nullopt);
  for (const auto& [name, value] : good.entries()) {
    Attributes wrong = good;
    wrong.set(name, name == "n" ? Attribute(2.0) : Attribute(int64_t{2}));
    const auto problem = attribute_problem(schema, wrong);
    ASSERT_TRUE(problem.has_value()) << name;
    EXPECT_NE(problem->find("argument " + name + " is 2"), std::string::npos) << *problem;
  }
  EXPECT_EQ(attribute_problem(schema, {{"n", int64_t{1}}}), "argument eps is missing");
}

TEST(Schema, UnknownAttributesAreNamed) {
  const Schema schema = parsed("ns::op(Tensor x, int n) -> ()");
  EXPECT_EQ(attribute_problem(schema, {{"n", int64_t{1}}, {"m", int64_t{1}}}), "has no argument m");
  EXPECT_EQ(attribute_problem(schema, {{"n", int64_t{1}}, {"x", int64_t{1}}}), "has no argument x");
}

}  // namespace
}  // namespace musaic
