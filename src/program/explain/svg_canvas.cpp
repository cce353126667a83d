#include "program/explain/svg_canvas.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace musaic {
namespace {

constexpr int kPalette = 8;

// Length of the UTF-8 sequence that begins here, 0 when it is none.
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = byte(0) < 0x80   ? 1
                        : byte(0) < 0xc2 ? 0
                        : byte(0) < 0xe0 ? 2
                        : byte(0) < 0xf0 ? 3
                        : byte(0) < 0xf5 ? 4
                                         : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (length == 3 && byte(0) == 0xe0 && byte(1) < 0xa0) return 0;                      // overlong
  if (length == 3 && byte(0) == 0xed && byte(1) >= 0xa0) return 0;                     // surrogate
  if (length == 3 && byte(0) == 0xef && byte(1) == 0xbf && byte(2) >= 0xbe) return 0;  // noncharacter
  if (length == 4 && byte(0) == 0xf0 && byte(1) < 0x90) return 0;                      // overlong
  if (length == 4 && byte(0) == 0xf4 && byte(1) >= 0x90) return 0;                     // above U+10FFFF
  return length;
}

size_t count_characters(std::string_view text) {
  size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

// A coordinate with at most one decimal.
std::string number(double value) {
  const double rounded = std::round(value * 10.0) / 10.0;
  return rounded == std::floor(rounded) ? fmt::format("{:.0f}", rounded) : fmt::format("{:.1f}", rounded);
}

const char* anchor_name(SvgCanvas::Anchor anchor) {
  return anchor == SvgCanvas::Anchor::kMiddle ? " text-anchor=\"middle\""
         : anchor == SvgCanvas::Anchor::kEnd  ? " text-anchor=\"end\""
                                              : "";
}

}  // namespace

std::string xml_escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = sequence_length(text);
    const unsigned char first = static_cast<unsigned char>(text[0]);
    if (length == 0 || first < 0x20) {
      out += length == 0 ? '?' : ' ';
    } else if (text[0] == '&') {
      out += "&amp;";
    } else if (text[0] == '<') {
      out += "&lt;";
    } else if (text[0] == '>') {
      out += "&gt;";
    } else if (text[0] == '"') {
      out += "&quot;";
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

void SvgCanvas::rect(const Box& box, std::string_view classes, std::string_view title, double radius) {
  fmt::format_to(std::back_inserter(body_), "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"{}\"",
                 number(box.x), number(box.y), number(box.width), number(box.height), classes);
  if (radius > 0.0) fmt::format_to(std::back_inserter(body_), " rx=\"{}\"", number(radius));
  body_ += title.empty() ? "/>\n" : "><title>" + xml_escaped(title) + "</title></rect>\n";
}

void SvgCanvas::text(double x, double y, std::string_view classes, std::string_view text, Anchor anchor) {
  fmt::format_to(std::back_inserter(body_), "<text x=\"{}\" y=\"{}\" class=\"{}\"{}>{}</text>\n", number(x),
                 number(y), classes, anchor_name(anchor), xml_escaped(text));
}

void SvgCanvas::slanted_text(double x, double y, std::string_view classes, std::string_view text) {
  fmt::format_to(
      std::back_inserter(body_),
      "<text transform=\"translate({} {}) rotate(-40)\" class=\"{}\" text-anchor=\"end\">{}</text>\n",
      number(x), number(y), classes, xml_escaped(text));
}

void SvgCanvas::line(double x1, double y1, double x2, double y2, std::string_view classes) {
  fmt::format_to(std::back_inserter(body_), "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" class=\"{}\"/>\n",
                 number(x1), number(y1), number(x2), number(y2), classes);
}

void SvgCanvas::polyline(std::string_view points, std::string_view classes) {
  fmt::format_to(std::back_inserter(body_), "<polyline points=\"{}\" class=\"{}\"/>\n", points, classes);
}

std::string SvgCanvas::finish(double width, double height, std::string_view title) const {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "role=\"img\">\n<title>{2}</title>\n<style>\n{3}</style>\n"
      "<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
      "patternTransform=\"rotate(45)\"><rect width=\"2.5\" height=\"6\" class=\"stripe\"/></pattern></defs>\n"
      "<rect width=\"{0}\" height=\"{1}\" class=\"page\"/>\n{4}</svg>\n",
      number(width), number(height), xml_escaped(title), svg_style(), body_);
}

std::string fitted(std::string_view text, double width, double advance) {
  const auto room = static_cast<size_t>(std::max(0.0, width / advance));
  if (count_characters(text) <= room) return std::string(text);
  if (room < 2) return "";
  std::string out;
  size_t kept = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80 && kept++ == room - 1) break;
    out += c;
  }
  return out + "…";
}

std::vector<std::string> wrapped(std::string_view text, double width, double advance) {
  const auto room = static_cast<size_t>(width / advance);
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    if (!lines.empty() && count_characters(lines.back()) + 1 + count_characters(word) <= room) {
      lines.back() += " " + std::string(word);
    } else {
      lines.push_back(fitted(word, width, advance));
    }
  }
  return lines;
}

std::string piece_class(int structure) {
  return fmt::format("p{}", structure % kPalette);
}

}  // namespace musaic
