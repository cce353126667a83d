#include "program/explain/svg_canvas.h"

#include <gmock/gmock.h>

#include "program/explain/well_formed_for_test.h"

namespace musaic {
namespace {

using ::testing::ElementsAre;

TEST(SvgCanvas, EscapesWhatXmlMeansOtherwise) {
  EXPECT_EQ(xml_escaped("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
  EXPECT_EQ(xml_escaped("naïve → 模型"), "naïve → 模型");
}

TEST(SvgCanvas, ReplacesWhatNoDocumentMayHold) {
  EXPECT_EQ(xml_escaped(std::string("a\0b\nc", 5)), "a b c");
  EXPECT_EQ(xml_escaped("\xff\xc3"), "??") << "no UTF-8, cut UTF-8";
  EXPECT_EQ(xml_escaped("\xed\xa0\x80"), "???") << "a surrogate";
  EXPECT_EQ(xml_escaped("\xc0\xaf"), "??") << "overlong";
}

TEST(SvgCanvas, ADocumentIsWellFormedWhateverItsTexts) {
  SvgCanvas canvas;
  canvas.rect({1, 2, 3, 4}, "card", "</title><script>\"&", 3);
  canvas.text(0, 0, "h1", "<&>\x01\xfe", SvgCanvas::Anchor::kEnd);
  canvas.slanted_text(0, 0, "soft", "]]>");
  canvas.line(0, 0, 1, 1, "axis");
  canvas.polyline("0,0 1,1", "live");
  EXPECT_EQ(WellFormedness::problem(canvas.finish(10, 10, "<>")), "");
}

TEST(SvgCanvas, TheCheckerOfTheseTestsFindsMistakes) {
  for (const char* wrong : {"<a><b></a></b>", "<a x=1/>", "<a x=\"1\" x=\"2\"/>", "<a>&nbsp;</a>", "<a/><b/>",
                            "<a>", "x<a/>", ""}) {
    EXPECT_NE(WellFormedness::problem(wrong), "") << wrong;
  }
}

TEST(SvgCanvas, TextsAreShortenedByCharactersNotBytes) {
  EXPECT_EQ(fitted("abcdef", 60, 10), "abcdef");
  EXPECT_EQ(fitted("abcdefg", 60, 10), "abcde…");
  EXPECT_EQ(fitted("äöüäöü", 60, 10), "äöüäöü");
  EXPECT_EQ(fitted("abc", 10, 10), "") << "no room for more than the ellipsis";
}

TEST(SvgCanvas, WordsAreWrapped) {
  EXPECT_THAT(wrapped("one two three", 70, 10), ElementsAre("one two", "three"));
  EXPECT_THAT(wrapped("incomprehensible", 50, 10), ElementsAre("inco…"));
}

}  // namespace
}  // namespace musaic
