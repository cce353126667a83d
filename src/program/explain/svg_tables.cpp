#include <fmt/format.h>

#include <algorithm>

#include "program/explain/summary.h"
#include "program/explain/svg_sections.h"
#include "program/explain/units.h"

namespace musaic {
namespace {

constexpr double kGap = 40.0;
constexpr double kColumn = (kInnerWidth - kGap) / 2;
constexpr double kRow = 22.0;
constexpr size_t kMostOps = 12;

double draw_shares(SvgCanvas& canvas, const Explanation& e, double x, double y) {
  canvas.text(x, y + 14, "h2", "Where the time goes");
  y += 28;
  constexpr double kName = 190.0;
  constexpr double kBar = 250.0;
  const double seconds = e.total().seconds;
  const auto shares = shares_by_op(e);
  for (size_t i = 0; i < std::min(shares.size(), kMostOps); ++i) {
    const OpShare& share = shares[i];
    const double part = seconds > 0.0 ? share.work.seconds / seconds : 0.0;
    canvas.text(x, y + 12, "small", fitted(without_namespace(share.op), kName - 8, kSansSmall + 0.4));
    canvas.rect({x + kName, y + 3, kBar, 11}, "track", "", 2);
    canvas.rect(
        {x + kName, y + 3, std::max(1.0, kBar * part), 11}, "p0",
        fmt::format("{}: {} nodes, {}, {}, {}; {}", share.op, share.nodes, format_seconds(share.work.seconds),
                    format_bytes(share.work.bytes()), format_ops(share.work.ops()),
                    share.kernels.empty() ? "no kernel" : share.kernels),
        2);
    canvas.text(x + kName + kBar + 12, y + 12, "small",
                fmt::format("{:.1f} %  {}", 100.0 * part, format_seconds(share.work.seconds)));
    canvas.text(x + kColumn, y + 12, "soft small",
                fmt::format("{} ×, {}", share.nodes, format_bytes(share.work.bytes())),
                SvgCanvas::Anchor::kEnd);
    y += kRow;
  }
  return y;
}

double draw_passes(SvgCanvas& canvas, const Explanation& e, double x, double y) {
  canvas.text(x, y + 14, "h2", "What the passes did");
  y += 28;
  if (e.passes.empty()) {
    canvas.text(x, y + 12, "soft small", "None were run: the graph is as traced.");
    y += kRow;
  }
  for (const PassReport& pass : e.passes) {
    canvas.text(x, y + 12, "small", pass.name);
    canvas.text(x + kColumn, y + 12, pass.rewrites > 0 ? "small" : "soft small", pass_result(pass),
                SvgCanvas::Anchor::kEnd);
    y += kRow - 4;
    for (const std::string& note : remarks(pass)) {
      for (const std::string& line : wrapped(note, kColumn - 16, kSansSmall)) {
        canvas.text(x + 16, y + 10, "soft small", line);
        y += 15;
      }
    }
    y += 4;
  }
  return y;
}

double draw_buckets(SvgCanvas& canvas, const Explanation& e, double x, double y) {
  const bool running = e.captured.has_value();
  canvas.text(x, y + 14, "h2", "Buckets");
  canvas.text(x + 76, y + 14, "soft",
              e.dimension + (running ? "; filled: captured; framed: this one" : "; framed: this one"));
  y += 26;
  constexpr double kWidth = 40.0;
  double at = x;
  for (const int bucket : e.buckets) {
    if (at + kWidth > x + kColumn) {
      at = x;
      y += 24;
    }
    const bool captured = running && std::count(e.captured->captured_buckets.begin(),
                                                e.captured->captured_buckets.end(), bucket) > 0;
    if (bucket == e.bucket) canvas.rect({at - 2, y - 2, kWidth - 2, 22}, "chosen", "", 5);
    canvas.rect({at, y, kWidth - 6, 18}, captured ? "p0" : "track", "", 4);
    canvas.text(at + (kWidth - 6) / 2, y + 13, captured ? "on small" : "small", std::to_string(bucket),
                SvgCanvas::Anchor::kMiddle);
    at += kWidth;
  }
  return y + 30;
}

}  // namespace

double draw_tables(SvgCanvas& canvas, const Explanation& e, double y) {
  const double right = kMargin + kColumn + kGap;
  const double left_end = draw_buckets(canvas, e, kMargin, draw_shares(canvas, e, kMargin, y) + 14);
  return std::max(left_end, draw_passes(canvas, e, right, y));
}

}  // namespace musaic
