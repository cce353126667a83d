#include <fmt/format.h>

#include "program/explain/svg_sections.h"
#include "program/explain/units.h"

namespace musaic {
namespace {

constexpr double kStripHeight = 30.0;
constexpr double kLetterRoom = 14.0;
constexpr int kTicks = 8;

std::string segment_title(const ExplainedSegment& segment) {
  const std::string name =
      segment.is_break ? "break" : fmt::format("piece {}", structure_letter(segment.structure));
  return fmt::format("{}, nodes {}..{}: {}, {}, {} launches", name, segment.begin, segment.end - 1,
                     format_seconds(segment.work.seconds), format_bytes(segment.work.bytes()),
                     segment.launches);
}

}  // namespace

double draw_timeline(SvgCanvas& canvas, const Explanation& e, double y) {
  const double seconds = e.total().seconds;
  if (seconds <= 0.0) return y;
  draw_heading(canvas, y + 14, "One step",
               "pieces and breaks in order, as wide as the time they need at best; equal pieces have one "
               "colour, breaks are grey");
  y += 28;
  double x = kMargin;
  for (const ExplainedSegment& segment : e.segments) {
    const double width = kInnerWidth * segment.work.seconds / seconds;
    const std::string fill = segment.is_break ? "brk" : piece_class(segment.structure);
    canvas.rect({x, y, width, kStripHeight}, fill + " cell", segment_title(segment));
    if (segment.is_break) canvas.rect({x, y, width, kStripHeight}, "hatch", segment_title(segment));
    if (!segment.is_break && width >= kLetterRoom)
      canvas.text(x + width / 2, y + 19, "on small", structure_letter(segment.structure),
                  SvgCanvas::Anchor::kMiddle);
    x += width;
  }
  for (int tick = 0; tick <= kTicks; ++tick) {
    const double at = kMargin + kInnerWidth * tick / kTicks;
    canvas.line(at, y + kStripHeight, at, y + kStripHeight + 4, "axis");
    const auto anchor = tick == 0        ? SvgCanvas::Anchor::kStart
                        : tick == kTicks ? SvgCanvas::Anchor::kEnd
                                         : SvgCanvas::Anchor::kMiddle;
    canvas.text(at, y + kStripHeight + 16, "soft small", format_seconds(seconds * tick / kTicks), anchor);
  }
  return y + kStripHeight + 22;
}

}  // namespace musaic
