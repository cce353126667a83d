#include "ir/parse.h"

#include <gmock/gmock.h>

#include <cmath>

#include "base/status.h"
#include "ir/compare.h"
#include "ir/random_graphs_for_test.h"

namespace musaic {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;

std::string error_of(const std::string& text) {
  try {
    parse(text, "graph.txt");
  } catch (const LoadError& error) {
    return error.what();
  }
  return "";
}

// A graph of one line.
std::string with_line(const std::string& line) {
  return "graph g on cpu {\n  input @x: f32[4] cpu\n  " + line + "\n}\n";
}

TEST(Parse, GivesEveryRandomGraphBack) {
  RandomGraphs graphs(23633);
  for (int i = 0; i < 10000; ++i) {
    const Graph graph = graphs.next();
    ASSERT_THAT(verify(graph, graphs.registry()), IsEmpty()) << print(graph);
    const std::string text = print(graph);
    const Graph again = parse(text, "graph.txt");
    ASSERT_THAT(differences(graph, again), IsEmpty()) << text;
    ASSERT_EQ(print(again), text);
    ASSERT_THAT(verify(again, graphs.registry()), IsEmpty()) << text;
  }
}

TEST(Parse, NeverCrashesOnAMutilatedText) {
  RandomGraphs graphs(1);
  std::mt19937 random(2);
  const std::string alphabet = "()[]{}'\\%@!:=,+-*>#\n 0123456789xoutinNe_\xFF";
  int refused = 0;
  for (int i = 0; i < 10000; ++i) {
    std::string text = print(graphs.next());
    for (uint32_t edits = 1 + random() % 3; edits > 0 && !text.empty(); --edits) {
      const size_t at = random() % text.size();
      const char c = alphabet[random() % alphabet.size()];
      switch (random() % 5) {
        case 0:
          text.erase(at, 1 + random() % 9);
          break;
        case 1:
          text.insert(at, 1, c);
          break;
        case 2:
          text[at] = c;
          break;
        case 3:
          text.insert(at, text.substr(random() % text.size(), random() % 60));
          break;
        default:
          text.resize(at);
      }
    }
    try {
      const Graph graph = parse(text, "graph.txt");
      verify(graph, graphs.registry());
      EXPECT_THAT(differences(graph, parse(print(graph), "again")), IsEmpty()) << text;
    } catch (const LoadError& error) {
      ++refused;
      ASSERT_THAT(error.what(), MatchesRegex("graph.txt:[0-9]+:[0-9]+: .+")) << text;
    }
  }
  EXPECT_GT(refused, 6000) << "most edits must be noticed";
}

TEST(Parse, ReadsEverySpellingOfADevice) {
  const char* const kSpellings[] = {"musa:0", "device(type='musa', index=0)", "torch.device('musa:0')",
                                    "torch.device(type='musa', index=0)", "torch.device(\"musa:0\")"};
  for (const std::string spelling : kSpellings) {
    const std::string text = "graph g on " + spelling + " {\n  input @x: f32[4] " + spelling +
                             "\n  %1: f32[2] " + spelling +
                             " in @x + 2 = toy::columns(@x, begin=2, count=2)\n  output y = %1\n}\n";
    const Graph graph = parse(text, "graph.txt");
    EXPECT_EQ(graph.device, (Device{"musa", 0}));
    EXPECT_EQ(graph.values[0].meta.device, (Device{"musa", 0}));
    EXPECT_EQ(print(graph),
              "graph g on musa:0 {\n  input @x: f32[4] musa:0\n  %1: f32[2] musa:0 in @x + 2 = "
              "toy::columns(@x, begin=2, count=2)\n  output y = %1\n}\n");
  }
}

TEST(Parse, ADeviceThatNobodyKnowsComesBackAsItWas) {
  const std::string text =
      "graph g on my_npu2:15 {\n  input @x: f32[4] my_npu2:15\n  %1: f32[2] my_npu2:15 in @x + 2 = "
      "toy::columns(@x, begin=2, count=2)\n  output y = %1\n}\n";
  const Graph graph = parse(text, "graph.txt");
  EXPECT_EQ(graph.device, (Device{"my_npu2", 15}));
  EXPECT_EQ(print(graph), text);
}

TEST(Parse, ReadsCommentsBlanksAndEmptyLines) {
  const Graph graph = parse(
      "# made by hand\n\n graph g on cpu{ # here\r\n\n\tinput @x :f32[ 4 , tokens*2 ]cpu\n"
      "  output   'y y'=@x# done\n}\n\n# end",
      "graph.txt");
  EXPECT_EQ(print(graph), "graph g on cpu {\n  input @x: f32[4, tokens * 2] cpu\n  output 'y y' = @x\n}\n");
}

TEST(Parse, NumbersThatLeaveGapsAreGivenAnew) {
  const Graph graph = parse(
      "graph g on cpu {\n  %70: f32[4] cpu = toy::copy(@x)\n  input @x: f32[4] cpu\n"
      "  %9: f32[4] cpu = toy::copy(%70)\n  output y = %9\n}\n",
      "graph.txt");
  EXPECT_EQ(print(graph),
            "graph g on cpu {\n  input @x: f32[4] cpu\n  %1: f32[4] cpu = toy::copy(@x)\n"
            "  %2: f32[4] cpu = toy::copy(%1)\n  output y = %2\n}\n");
}

TEST(Parse, KeepsWhatOnlyAGraphThatDoesNotVerifyHas) {
  Graph graph{.name = "odd", .device = {}, .values = {}, .nodes = {}, .outputs = {}};
  const Meta meta = Meta::contiguous(DType::kF32, {4}, {});
  const Meta other = Meta::contiguous(DType::kF16, {Dim::symbol("n"), 2}, {"cuda", 1});
  graph.values = {
      {.name = "c", .kind = ValueKind::kConstant, .meta = meta, .storage = 0},
      {.name = "w", .kind = ValueKind::kWeight, .meta = meta, .storage = 1, .weight_parts = {"w+v", ""}},
      {.name = "2", .meta = meta, .node = 0, .storage = 2, .offset = Dim::symbol("n")},
      {.name = "3", .meta = other, .node = 0, .storage = 0, .offset = 3},
      {.name = "s", .kind = ValueKind::kState, .meta = other, .storage = 2, .offset = 1},
      {.name = "5", .meta = meta, .node = 0, .storage = 0}};
  graph.nodes = {{.op = "no namespace",
                  .inputs = {0, kNoValue, 0},
                  .outputs = {2},
                  .mutations = {{2, 3}, {0, 5}},
                  .attributes = {{"None", int64_t{1}}, {"odd name", std::string("'")}}}};
  graph.outputs = {{"none", kNoValue}};
  EXPECT_THAT(differences(graph, parse(print(graph), "graph.txt")), IsEmpty()) << print(graph);
}

TEST(Parse, SaysWhereAndWhatWasExpected) {
  EXPECT_EQ(error_of(""), "graph.txt:1:1: expected 'graph', got the end of the text");
  EXPECT_EQ(error_of("graph g on musa:x {\n}\n"),
            "graph.txt:1:12: expected a device such as cpu, musa:0 or torch.device('musa:0'), got 'musa:x'");
  EXPECT_EQ(error_of("graph g on cpu {\n  input @x: f32[4] cpu\n"),
            "graph.txt:3:1: expected '}', got the end of the text");
  EXPECT_EQ(error_of("graph g on cpu {\n}\n}"), "graph.txt:3:1: expected the end of the text, got '}'");
  EXPECT_EQ(error_of(with_line("inputs @y: f32[4] cpu")),
            "graph.txt:3:3: expected input, weight, constant, state, output, %N or an operator (ns::op), got "
            "'inputs'");
  EXPECT_EQ(error_of(with_line("%1: f33[4] cpu = toy::copy(@x)")),
            "graph.txt:3:7: expected a dtype such as f32, got 'f33'");
  EXPECT_EQ(error_of(with_line("%1: f32[4, toks%] cpu = toy::copy(@x)")),
            "graph.txt:3:14: expected a dimension such as 16 or tokens * 2, got 'toks%'");
  EXPECT_EQ(error_of(with_line("%1: f32[4] cpu = toy::copy(@y)")), "graph.txt:3:30: there is no @y");
  EXPECT_EQ(error_of(with_line("%1: f32[4] cpu in %8 = toy::copy(@x)")), "graph.txt:3:21: there is no %8");
  EXPECT_EQ(error_of(with_line("%1: f32[4] cpu = toy::copy(@x")),
            "graph.txt:3:32: expected ',' or ')', got the end of the line");
  EXPECT_EQ(error_of(with_line("%1: f32[4] cpu = toy::copy(@x) more")),
            "graph.txt:3:34: expected the end of the line, got 'more'");
  EXPECT_EQ(error_of(with_line("%1: f32[4] strides [1, 2] cpu = toy::copy(@x)")),
            "graph.txt:3:22: expected 1 strides, got 2");
  EXPECT_EQ(error_of(with_line("input @x: f32[4] cpu")), "graph.txt:3:9: @x is there already");
  EXPECT_EQ(error_of(with_line("toy::seed(n=1, n=2)")), "graph.txt:3:18: n is given twice");
  EXPECT_EQ(error_of(with_line("toy::seed(n=1, @x)")),
            "graph.txt:3:18: tensors come before the other arguments");
  EXPECT_EQ(error_of(with_line("toy::seed(n=99999999999999999999)")),
            "graph.txt:3:15: 99999999999999999999 does not fit in 64 bits");
  EXPECT_EQ(
      error_of(with_line("toy::seed(n=1.5.2)")),
      "graph.txt:3:15: expected a number, True, False, a string or a list of whole numbers, got '1.5.2'");
  EXPECT_EQ(error_of(with_line("toy::seed(s='open)")),
            "graph.txt:3:21: expected a closing quote, got the end of the line");
  EXPECT_EQ(error_of(with_line("toy::seed(s='\\q')")),
            "graph.txt:3:17: expected one of \\, ', n, r, t or xNN after the backslash, got 'q'");
  EXPECT_EQ(error_of(with_line("constant @c: i32[1] cpu = bytes '0g'")),
            "graph.txt:3:35: expected pairs of hex digits, got '0g'");
  EXPECT_EQ(error_of(with_line("toy::write_(@x, @x) ! @x -> %1")),
            "graph.txt:3:25: @x is passed twice: say which with 'at NUMBER'");
  EXPECT_EQ(error_of(with_line("state @s: f32[4] cpu\n  toy::write_(@s, @x) ! @s at 1 -> %1")),
            "graph.txt:4:25: what is written is no argument of toy::write_");
}

TEST(Parse, RefusesNumbersThatDoNotFit) {
  EXPECT_THAT(error_of(with_line("input @y: f32[4294967296, 4294967296] cpu")),
              HasSubstr("more than 2^63 values"));
  EXPECT_THAT(error_of(with_line("input @y: f32[9223372036854775807 * 2] cpu")),
              HasSubstr("expected a dimension"));
  EXPECT_THAT(error_of(with_line("input @y: f32[-1] cpu")), HasSubstr("a dimension is negative"));
  EXPECT_THAT(error_of(with_line("input @y: f32[" + std::string(100000, '(') + "] cpu")),
              HasSubstr("expected a dimension"));
  std::string sum = "n";
  for (int i = 0; i < 100000; ++i) sum += " + n";
  EXPECT_THAT(error_of(with_line("input @y: f32[" + sum + "] cpu")), HasSubstr("expected a dimension"));
}

}  // namespace
}  // namespace musaic
