#include "base/check.h"
#include "program/explain/printers.h"
#include "program/explain/summary.h"
#include "program/explain/svg_sections.h"

namespace musaic {

std::string explanation_svg(const Explanation& explanation) {
  constexpr double kSpace = 26.0;  // between sections
  SvgCanvas canvas;
  double y = kMargin - 8;
  y = draw_header(canvas, explanation, y) + kSpace;
  y = draw_timeline(canvas, explanation, y) + kSpace;
  y = draw_program(canvas, explanation, y) + kSpace;
  y = draw_arena(canvas, explanation, y) + kSpace;
  y = draw_tables(canvas, explanation, y) + kSpace;
  canvas.text(kMargin, y, "soft small",
              "Times are the least that the roof allows, calls one after another: " + roof_line(explanation));
  return canvas.finish(kPageWidth, y + kMargin, title_line(explanation));
}

std::string format_explanation(const Explanation& explanation, const std::string& format) {
  if (format == "json") return explanation_json(explanation).dump(1) + "\n";
  CHECK(format == "svg" || format == "text", "no format {}", format);
  return format == "svg" ? explanation_svg(explanation) : explanation_text(explanation);
}

}  // namespace musaic
