#include "ir/schema.h"

#include <gtest/gtest.h>

#include <random>

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
      "ns::op.out(Tensor(a!) x, Tensor? bias, int n, int[] dims, str mode, Tensor(b) base, float eps=1e-05, "
      "bool on=True, int k=-3) -> (Tensor(b), Tensor sums)");
  EXPECT_EQ(schema.name, "ns::op.out");
  ASSERT_EQ(schema.arguments.size(), 9u);
  EXPECT_TRUE(schema.arguments[0].mutated);
  EXPECT_EQ(schema.arguments[0].alias, "a");
  EXPECT_TRUE(schema.arguments[1].optional);
  EXPECT_FALSE(schema.arguments[1].mutated);
  EXPECT_EQ(schema.arguments[2].type, SchemaType::kInt);
  EXPECT_EQ(schema.arguments[3].type, SchemaType::kIntList);
  EXPECT_EQ(schema.arguments[4].type, SchemaType::kString);
  EXPECT_EQ(schema.arguments[5].alias, "b");
  EXPECT_FALSE(schema.arguments[5].mutated);
  EXPECT_EQ(schema.arguments[6].default_value, Attribute(1e-5));
  EXPECT_EQ(schema.arguments[7].default_value, Attribute(true));
  EXPECT_EQ(schema.arguments[8].default_value, Attribute(int64_t{-3}));
  ASSERT_EQ(schema.returns.size(), 2u);
  EXPECT_EQ(schema.returns[0].alias, "b");
  EXPECT_EQ(schema.returns[1].alias, "");
  EXPECT_EQ(schema.returns[0].name, "");
  EXPECT_EQ(schema.returns[1].name, "sums");
}

TEST(Schema, ReadsOptionalsListsAndArgumentsByName) {
  const Schema schema = parsed(
      "ns::op(Tensor(a!)? out, int? n, int[]? dims, int[2] stride=1, *, float? scale=None, str mode='a', "
      "int[] pads=[-1, 2], bool? on=True) -> ()");
  EXPECT_TRUE(schema.arguments[0].optional && schema.arguments[0].mutated);
  EXPECT_TRUE(schema.arguments[1].optional && schema.arguments[2].optional);
  EXPECT_EQ(schema.arguments[3].list_length, 2);
  EXPECT_EQ(schema.arguments[3].default_value, Attribute(std::vector<int64_t>{1, 1}));
  EXPECT_FALSE(schema.arguments[3].keyword_only);
  EXPECT_TRUE(schema.arguments[4].keyword_only && schema.arguments[4].default_none);
  EXPECT_EQ(schema.arguments[5].default_value, Attribute(std::string("a")));
  EXPECT_EQ(schema.arguments[6].default_value, Attribute(std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(schema.arguments[7].default_value, Attribute(true));
  EXPECT_TRUE(schema.arguments[7].keyword_only);
}

TEST(Schema, ReadsStringsInBothQuotesWithEscapes) {
  const auto value = [](std::string_view text) {
    return std::get<std::string>(*parsed(text).arguments[0].default_value);
  };
  EXPECT_EQ(value(R"x(ns::op(str s="it's, )") -> ())x"), "it's, )");
  EXPECT_EQ(value(R"x(ns::op(str s='a\'\"\\\n\r\t\x41\xff') -> ())x"), "a'\"\\\n\r\tA\xff");
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
        "ns::op(Tensor(a!) x, Tensor? y, Tensor? z=None) -> ()",
        "ns::op(Tensor(a) x, int n=3, float e=1e-05, float f=1.0, bool b=False) -> (Tensor(a), Tensor)",
        "ns::op(int[] dims, str mode) -> Tensor", "aten::add.Tensor(Tensor x) -> Tensor",
        "ns::op(Tensor x) -> (Tensor values, Tensor)", "ns::op(Tensor x) -> (Tensor values)",
        "ns::op(Tensor(a!)? x, int? n, int[2] d, int[]? e) -> ()",
        "ns::op(*, Tensor x, int n=1, float f) -> ()",
        "ns::op(Tensor x, int[2] d=[1, 2], int[] e=[], *, str s='fast', float? f=None, float g=inf) -> ()",
        "sgl_kernel::sgl_per_token_group_quant_8bit_v2(Tensor input, Tensor(a!) output_q, Tensor(b!) "
        "output_s, "
        "int group_size, float eps, float fp8_min, float fp8_max, bool scale_ue8m0, bool fuse_silu_and_mul, "
        "Tensor? masked_m) -> ()"}) {
    EXPECT_EQ(to_string(parsed(text)), text);
  }
}

TEST(Schema, SpacesDoNotMatter) {
  EXPECT_EQ(to_string(parsed(" ns::op( Tensor( a! ) ?  x ,\n\tint [ 2 ] n = [ 1,2 ] )->( Tensor ) ")),
            "ns::op(Tensor(a!)? x, int[2] n=[1, 2]) -> Tensor");
}

TEST(Schema, AWrongTextIsOneSentenceWithTheColumn) {
  EXPECT_EQ(problem("ns::op(Tensor x, flot eps) -> Tensor"),
            "schema 'ns::op(Tensor x, flot eps) -> Tensor': expected a type (Tensor, int, int[], int[N], "
            "float, bool, str) at column 18, got 'flot'");
  EXPECT_EQ(problem("ns::op(Tensor x"),
            "schema 'ns::op(Tensor x': expected ',' or ')' at column 16, got the end");
  EXPECT_EQ(problem("ns::op(Tensor(a -> b) x) -> ()"),
            "schema 'ns::op(Tensor(a -> b) x) -> ()': an alias set that changes ('->') at column 17 is not "
            "supported; an argument is of one set for good, like (a) or (a!)");
}

struct NoSchema {
  const char* text;
  const char* expected;
  int column;
};

class SchemaErrorTest : public testing::TestWithParam<NoSchema> {};

TEST_P(SchemaErrorTest, SaysWhatAndWhere) {
  const std::string message = problem(GetParam().text);
  EXPECT_NE(message.find(GetParam().expected), std::string::npos) << message;
  const std::string column = "at column " + std::to_string(GetParam().column);
  const size_t found = message.find(column);
  ASSERT_NE(found, std::string::npos) << message;
  EXPECT_FALSE(std::isdigit(message[found + column.size()])) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Each, SchemaErrorTest,
    testing::Values(
        NoSchema{"", "expected an operator name", 1},
        NoSchema{"op(Tensor x) -> Tensor", "an operator name", 1},
        NoSchema{"::op() -> ()", "an operator name", 1}, NoSchema{"ns::() -> ()", "an operator name", 1},
        NoSchema{" ns::op.() -> ()", "an operator name", 2},
        NoSchema{"ns::2op() -> ()", "an operator name", 1},
        NoSchema{"ns :: op() -> ()", "an operator name", 1}, NoSchema{"a::b::c() -> ()", "expected '('", 5},
        NoSchema{"ns::op", "expected '('", 7}, NoSchema{"ns::op(Tensor x", "',' or ')'", 16},
        NoSchema{"ns::op(Tensor x) Tensor", "expected '->'", 18},
        NoSchema{"ns::op(Tensor) -> ()", "an argument name", 14},
        NoSchema{"ns::op(Tensor 2x) -> ()", "an argument name", 15},
        NoSchema{"ns::op(Tensor x,) -> ()", "expected a type", 17},
        NoSchema{"ns::op(Scalar x) -> ()", "expected a type", 8},
        NoSchema{"ns::op(Tensor x, ...) -> ()", "expected a type", 18},
        NoSchema{"ns::op(Tensor(!) x) -> ()", "an alias", 15},
        NoSchema{"ns::op(Tensor(a x) -> ()", "')' to end the alias", 17},
        NoSchema{"ns::op(Tensor(a|b) x) -> ()", "a union of alias sets ('|')", 16},
        NoSchema{"ns::op(Tensor(a! -> b) x) -> ()", "an alias set that changes ('->')", 18},
        NoSchema{"ns::op(Tensor(*) x) -> ()", "a wildcard alias", 15},
        NoSchema{"ns::op(Tensor(a!) x, Tensor(a!) y) -> ()", "a second written argument of one alias set",
                 29},
        NoSchema{"ns::op(Tensor x, int x) -> ()", "a name that no other argument has", 22},
        NoSchema{"ns::op(Tensor[] x) -> ()", "a list of tensors", 14},
        NoSchema{"ns::op(float[] x) -> ()", "a list of this type", 13},
        NoSchema{"ns::op(int?[] x) -> ()", "a list of optionals", 12},
        NoSchema{"ns::op(int[0] x) -> ()", "']' or a length", 12},
        NoSchema{"ns::op(int[2 x) -> ()", "expected ']'", 14},
        NoSchema{"ns::op(Tensor x, *) -> ()", "the arguments that go by name only", 19},
        NoSchema{"ns::op(*, int n, *, int m) -> ()", "expected a type", 18},
        NoSchema{"ns::op(int n=1, int m) -> ()", "have one too", 22},
        NoSchema{"ns::op(Tensor x=None) -> ()", "no default: only a Tensor?", 17},
        NoSchema{"ns::op(Tensor? x=0) -> ()", "expected None", 18},
        NoSchema{"ns::op(int n=) -> ()", "a whole number", 14},
        NoSchema{"ns::op(int? n=x) -> ()", "a whole number or None", 15},
        NoSchema{"ns::op(int n=None) -> ()", "a whole number", 14},
        NoSchema{"ns::op(int n=1.5) -> ()", "a whole number", 14},
        NoSchema{"ns::op(int n=99999999999999999999) -> ()", "a whole number", 14},
        NoSchema{"ns::op(float f=) -> ()", "a number", 16},
        NoSchema{"ns::op(float f=x) -> ()", "a number", 16},
        NoSchema{"ns::op(float f=nan) -> ()", "a number", 16},
        NoSchema{"ns::op(bool b=true) -> ()", "True or False", 15},
        NoSchema{"ns::op(str s=x) -> ()", "a string in quotes", 14},
        NoSchema{"ns::op(str s='x) -> ()", "a string in quotes", 14},
        NoSchema{R"(ns::op(str s='\q') -> ())", "a string in quotes", 14},
        NoSchema{R"(ns::op(str s='\x4') -> ())", "a string in quotes", 14},
        NoSchema{"ns::op(int[] d=1) -> ()", "whole numbers like [1, 2]", 16},
        NoSchema{"ns::op(int[2] d=[1]) -> ()", "2 whole numbers", 17},
        NoSchema{"ns::op(Tensor x) -> int", "expected Tensor", 21},
        NoSchema{"ns::op(Tensor x) -> (Tensor", "',' or ')'", 28},
        NoSchema{"ns::op(Tensor x) -> Tensor[]", "a return that is a list or optional", 27},
        NoSchema{"ns::op(Tensor x) -> (Tensor y, Tensor y)", "a name that no other return has", 39},
        NoSchema{"ns::op(Tensor x) -> Tensor(a)", "the alias of an argument", 28},
        NoSchema{"ns::op(Tensor(a) x) -> Tensor(b)", "the alias of an argument", 31},
        NoSchema{"ns::op(Tensor(a!) x) -> Tensor(a!)", "a return of a written argument", 32},
        NoSchema{"ns::op(Tensor(a!) x) -> Tensor(a)", "a return of a written argument", 32},
        NoSchema{"ns::op(Tensor(a) x, Tensor(a!) y) -> Tensor(a)", "a return of a written argument", 45},
        NoSchema{"ns::op(Tensor(a) x) -> Tensor(a!)", "')' to end the alias", 32},
        NoSchema{"ns::op(Tensor x) -> Tensor y", "the end", 28}));

// Schemas of every kind, by the rules of the grammar.
class RandomSchemas {
 public:
  explicit RandomSchemas(uint32_t seed) : random_(seed) {}

  std::string next() {
    std::string arguments;
    const int count = below(7);
    const int by_name_from = below(2) == 0 ? below(7) : count;
    const int defaults_from = below(8);
    for (int i = 0; i < count; ++i) {
      if (i > 0) arguments += ", ";
      if (i == by_name_from) arguments += "*, ";
      const bool has_default = i >= by_name_from ? below(2) == 0 : i >= defaults_from;
      arguments += argument("x" + std::to_string(i), has_default);
    }
    return "ns::op" + std::string(below(3) == 0 ? ".over_2" : "") + "(" + arguments + ") -> " + returns();
  }

 private:
  int below(int end) { return static_cast<int>(random_() % static_cast<uint32_t>(end)); }

  std::string argument(const std::string& name, bool has_default) {
    static constexpr const char* kTypes[][2] = {
        {"int", "-7"},        {"float", "1e-05"},     {"bool", "True"},        {"str", "'a, (b) \\'c'"},
        {"int[]", "[1, -2]"}, {"int[]", "[]"},        {"int[3]", "[1, 2, 3]"}, {"float?", "0.5"},
        {"int?", "None"},     {"str?", "None"},       {"bool?", "False"},      {"int[2]?", "None"},
        {"Tensor?", "None"},  {"Tensor(r)?", "None"},
    };
    static constexpr const char* kTensors[] = {"Tensor", "Tensor(r)", "Tensor?"};
    if (!has_default && below(2) == 0) return kTensors[below(3)] + (" " + name);
    if (!has_default && below(4) == 0) return "Tensor(" + name + "!) " + name;  // a set of its own
    const auto& [type, value] = kTypes[below(std::size(kTypes))];
    return type + (" " + name) + (has_default ? "=" + std::string(value) : "");
  }

  std::string returns() {
    switch (below(4)) {
      case 0:
        return "()";
      case 1:
        return "Tensor";
      case 2:
        return "(Tensor, Tensor second)";
      default:
        return "(Tensor one, Tensor, Tensor three)";
    }
  }

  std::mt19937 random_;
};

TEST(Schema, EveryRandomSchemaIsPrintedAsItWasRead) {
  RandomSchemas schemas(7);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = schemas.next();
    ASSERT_EQ(problem(text), "");
    ASSERT_EQ(to_string(parsed(text)), text);
  }
}

TEST(Schema, NeverCrashesOnAMutilatedText) {
  RandomSchemas schemas(8);
  std::mt19937 random(9);
  int refused = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string text = schemas.next();
    for (int cuts = 0; cuts < 2; ++cuts) text.erase(random() % text.size(), 1 + random() % 3);
    const auto schema = Schema::parse(text);
    refused += !schema.ok();
    if (schema.ok()) {
      ASSERT_EQ(problem(to_string(*Schema::parse(text))), "") << text;
    }
  }
  EXPECT_GT(refused, 2500);
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

TEST(Schema, OptionalsMayBeLeftOutAndListsHaveTheirLength) {
  const Schema schema = parsed("ns::op(int[2] stride, float? scale=None) -> ()");
  const auto problem_of = [&](const Attributes& attributes) { return attribute_problem(schema, attributes); };
  const std::vector<int64_t> two = {1, 2};
  EXPECT_EQ(problem_of({{"stride", two}}), std::nullopt);
  EXPECT_EQ(problem_of({{"stride", two}, {"scale", 0.5}}), std::nullopt);
  EXPECT_EQ(problem_of({{"stride", two}, {"scale", int64_t{1}}}), "argument scale is 1, expected float?");
  EXPECT_EQ(problem_of({{"stride", std::vector<int64_t>{1}}}), "argument stride is [1], expected int[2]");
  EXPECT_EQ(problem_of({{"stride", two}, {"often", true}}), "has no argument often");
}

TEST(Schema, UnknownAttributesAreNamed) {
  const Schema schema = parsed("ns::op(Tensor x, int n) -> ()");
  EXPECT_EQ(attribute_problem(schema, {{"n", int64_t{1}}, {"m", int64_t{1}}}), "has no argument m");
  EXPECT_EQ(attribute_problem(schema, {{"n", int64_t{1}}, {"x", int64_t{1}}}), "has no argument x");
}

}  // namespace
}  // namespace musaic
