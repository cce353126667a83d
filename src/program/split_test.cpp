#include "program/split.h"

#include <gtest/gtest.h>

#include "ir/builder.h"

namespace musaic {
namespace {

std::vector<FakeOutput> same_as_input(const FakeCall& call) {
  return {{call.input(0)}};
}

class SplitTest : public testing::Test {
 protected:
  SplitTest() {
    registry_.define("test::plain(Tensor x) -> Tensor", {.schema = {}, .fake = same_as_input});
    registry_.define("test::attention(Tensor x) -> Tensor",
                     {.schema = {}, .fake = same_as_input, .is_break = true});
  }

  // One letter a node: p plain, a attention.
  Graph graph(std::string_view nodes) {
    GraphBuilder builder(registry_, "g", {});
    Value x = builder.input("x", DType::kF32, {4});
    for (char node : nodes) x = builder.call(node == 'a' ? "test::attention" : "test::plain", {x})[0];
    builder.output("y", x);
    return builder.take();
  }

  std::string segments(std::string_view nodes, bool whole = false) {
    std::string text;
    for (const Segment& segment : split(graph(nodes), registry_, whole)) {
      text += (segment.is_break ? "|" : "[") +
              std::string(nodes.substr(segment.begin, segment.end - segment.begin)) +
              (segment.is_break ? "|" : "]");
    }
    return text;
  }

  std::string joined(std::string_view nodes) {
    std::string text;
    for (const Segment& piece : join_breaks(split(graph(nodes), registry_, false))) {
      EXPECT_FALSE(piece.is_break);
      text += "[" + std::string(nodes.substr(piece.begin, piece.end - piece.begin)) + "]";
    }
    return text;
  }

  OpRegistry registry_;
};

TEST_F(SplitTest, CutsBeforeAndAfterEachAttention) {
  EXPECT_EQ(segments("ppappap"), "[pp]|a|[pp]|a|[p]");
}
TEST_F(SplitTest, MakesNoEmptyPieces) {
  EXPECT_EQ(segments("aapa"), "|a||a|[p]|a|");
}
TEST_F(SplitTest, RecordedBreaksAreHeadsOfThePiecesBehindThem) {
  EXPECT_EQ(joined("ppappap"), "[pp][app][ap]");
  EXPECT_EQ(joined("aapa"), "[aap][a]");
  EXPECT_EQ(joined("pa"), "[p][a]");
  EXPECT_EQ(joined("pp"), "[pp]");
}
TEST_F(SplitTest, AWholeGraphIsOnePiece) {
  EXPECT_EQ(segments("pap", true), "[pap]");
}

}  // namespace
}  // namespace musaic
