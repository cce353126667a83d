#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace musaic {

struct Box {
  double x = 0.0;
  double y = 0.0;
  double width = 0.0;
  double height = 0.0;
};

// Collects the elements of one SVG document. Looks are classes of its style sheet (svg_style.cpp): surfaces
// `card` `tile` `frame`, texts `h1` `h2` `value` `body` `soft` `small` `mono`, fills `p0`...`p7` of pieces,
// `brk` of breaks. Texts are escaped here.
class SvgCanvas {
 public:
  void rect(const Box& box, std::string_view classes, std::string_view title = "", double radius = 0.0);
  enum class Anchor { kStart, kMiddle, kEnd };
  void text(double x, double y, std::string_view classes, std::string_view text,
            Anchor anchor = Anchor::kStart);
  // Turned by 40 degrees around its end, for labels under an axis.
  void slanted_text(double x, double y, std::string_view classes, std::string_view text);
  void line(double x1, double y1, double x2, double y2, std::string_view classes);
  // Points as "x,y x,y".
  void polyline(std::string_view points, std::string_view classes);

  // The document.
  std::string finish(double width, double height, std::string_view title) const;

 private:
  std::string body_;
};

inline constexpr double kMonoSmall = 6.4;  // advance of `mono` and `small mono` characters, at least
inline constexpr double kSansSmall = 6.3;  // of `soft` and `small` characters, on average

// Shortened with an ellipsis to fit `width` with characters of `advance`.
std::string fitted(std::string_view text, double width, double advance);
// Words in lines of at most `width`.
std::vector<std::string> wrapped(std::string_view text, double width, double advance);
// For XML: & < > " escaped, what no document may hold replaced by a question mark.
std::string xml_escaped(std::string_view text);
std::string_view svg_style();
// The fill of a piece's structure; structures beyond the palette begin it anew.
std::string piece_class(int structure);

}  // namespace musaic
