#include <fmt/format.h>

#include "program/explain/summary.h"
#include "program/explain/svg_sections.h"
#include "program/explain/units.h"

namespace musaic {
namespace {

struct Tile {
  std::string label;
  std::string value;
  std::string note;
};

std::vector<Tile> tiles_of(const Explanation& e) {
  const Work work = e.total();
  const auto bytes = [](size_t count) { return format_bytes(static_cast<double>(count)); };
  return {
      {"time at best", format_seconds(work.seconds), "on " + e.roof.name},
      {"memory traffic", format_bytes(work.bytes()), format_bytes(work.weight_bytes) + " of weights"},
      {"arithmetic", format_ops(work.ops()), format_ops(work.int8_ops) + " of it in int8"},
      {"launches", fmt::format("{} → {}", e.num_launches(), e.submissions()), "eager → replayed"},
      {"pieces",
       fmt::format("{} of {} kind{}", e.num_pieces(), e.num_piece_structures(),
                   e.num_piece_structures() == 1 ? "" : "s"),
       fmt::format("{} break{}", e.num_breaks(), e.num_breaks() == 1 ? "" : "s")},
      {"arena", bytes(e.memory.arena_bytes), "instead of " + bytes(e.memory.separate_bytes)},
  };
}

double draw_tiles(SvgCanvas& canvas, const Explanation& e, double y) {
  constexpr double kGap = 12.0;
  constexpr double kHeight = 78.0;
  const auto tiles = tiles_of(e);
  const double count = static_cast<double>(tiles.size());
  const double width = (kInnerWidth - kGap * (count - 1)) / count;
  double x = kMargin;
  for (const Tile& tile : tiles) {
    canvas.rect({x, y, width, kHeight}, "tile", "", 8);
    canvas.text(x + 14, y + 21, "soft small", tile.label);
    canvas.text(x + 14, y + 46, "value", tile.value);
    canvas.text(x + 14, y + 65, "soft small", fitted(tile.note, width - 28, kSansSmall));
    x += width + kGap;
  }
  return y + kHeight;
}

double draw_missing(SvgCanvas& canvas, const Explanation& e, double y) {
  if (e.missing.empty()) return y;
  std::string text = fmt::format("No kernels on {} for: ", e.device);
  for (size_t i = 0; i < e.missing.size(); ++i) text += (i == 0 ? "" : ", ") + e.missing[i].op;
  y += 12;
  for (const std::string& line : wrapped(text, kInnerWidth, kSansSmall))
    canvas.text(kMargin, y += 16, "warn", line);
  return y;
}

}  // namespace

void draw_heading(SvgCanvas& canvas, double y, std::string_view heading, std::string_view remark) {
  constexpr double kHeadingAdvance = 9.8;
  const double end = kMargin + static_cast<double>(heading.size()) * kHeadingAdvance + 14;
  canvas.text(kMargin, y, "h2", heading);
  canvas.text(end, y, "soft", fitted(remark, kPageWidth - kMargin - end, kSansSmall));
}

double draw_header(SvgCanvas& canvas, const Explanation& e, double y) {
  constexpr double kTitleAdvance = 12.5;
  canvas.text(kMargin, y + 22, "h1", fitted(title_line(e), kInnerWidth, kTitleAdvance));
  canvas.text(kMargin, y + 45, "soft", fitted(subject_line(e), kInnerWidth, kSansSmall));
  y = draw_tiles(canvas, e, y + 62);
  return draw_missing(canvas, e, y);
}

}  // namespace musaic
