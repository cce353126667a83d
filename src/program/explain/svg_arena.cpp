#include <fmt/format.h>

#include <algorithm>

#include "program/explain/svg_sections.h"
#include "program/explain/units.h"

namespace musaic {
namespace {

constexpr double kAxisRoom = 66.0;  // for the sizes left of the chart
constexpr double kStrip = 7.0;      // the segments' colours under the chart
constexpr int kFewNodes = 48;       // drawn once, with labels

// A stretch of nodes drawn as a chart: nodes to the right, offsets upwards.
class ArenaChart {
 public:
  ArenaChart(SvgCanvas& canvas, const Explanation& e, int begin, int end, const Box& area)
      : canvas_(canvas), e_(e), begin_(begin), end_(end), area_(area) {}

  void draw(bool labels) {
    draw_grid();
    for (const Placement& placement : e_.memory.placements) {
      if (is_inside(placement)) draw_placement(placement);
    }
    draw_live();
    draw_segments();
    draw_peak();
    if (!labels) return;
    for (const Placement& placement : e_.memory.placements) {
      if (is_inside(placement)) draw_label(placement);
    }
    draw_node_labels();
  }

 private:
  double x_of(int node) const { return area_.x + area_.width * (node - begin_) / (end_ - begin_); }
  double height_of(size_t bytes) const {
    return area_.height * static_cast<double>(bytes) / static_cast<double>(e_.memory.arena_bytes);
  }
  double y_of(size_t offset) const { return area_.y + area_.height - height_of(offset); }

  void draw_grid() {
    constexpr int kLines = 4;
    for (int i = 0; i <= kLines; ++i) {
      const size_t bytes = e_.memory.arena_bytes * static_cast<size_t>(i) / kLines;
      canvas_.line(area_.x, y_of(bytes), area_.x + area_.width, y_of(bytes), "grid");
      canvas_.text(area_.x - 8, y_of(bytes) + 4, "soft small", format_bytes(static_cast<double>(bytes)),
                   SvgCanvas::Anchor::kEnd);
    }
  }

  bool is_inside(const Placement& placement) const {
    return placement.last >= begin_ && placement.first < end_;
  }

  Box box_of(const Placement& placement) const {
    const double left = x_of(std::max(placement.first, begin_));
    const double right = x_of(std::min(placement.last + 1, end_));
    return {left, y_of(placement.offset + placement.bytes), right - left,
            std::max(0.6, height_of(placement.bytes))};
  }

  void draw_placement(const Placement& placement) {
    const Box box = box_of(placement);
    const std::string title = fmt::format(
        "{} of {}: {} at offset {}, nodes {} to {}; {} others use these bytes at other times", placement.name,
        without_namespace(e_.nodes[placement.node].op), format_bytes(static_cast<double>(placement.bytes)),
        placement.offset, placement.first, placement.last, placement.shares_with);
    canvas_.rect(box, class_of_node(e_, placement.node) + " cell", title);
    if (placement.is_workspace) canvas_.rect(box, "hatch", title);
  }

  // What made it and, where there is room, its size.
  void draw_label(const Placement& placement) {
    constexpr double kLine = 13.0;
    constexpr double kAdvance = kSansSmall + 0.5;
    const Box box = box_of(placement);
    const double width = box.width - 6;
    if (box.height < kLine || width < 5 * kAdvance) return;
    const std::string size = format_bytes(static_cast<double>(placement.bytes));
    const bool two_lines = box.height >= 2 * kLine + 2 && fitted(size, width, kAdvance) == size;
    const double x = box.x + box.width / 2;
    const double y = box.y + box.height / 2 + (two_lines ? -2.0 : 4.0);
    const std::string what =
        placement.is_workspace ? "workspace" : without_namespace(e_.nodes[placement.node].op);
    canvas_.text(x, y, "on small", fitted(what, width, kAdvance), SvgCanvas::Anchor::kMiddle);
    if (two_lines) canvas_.text(x, y + kLine, "on small", size, SvgCanvas::Anchor::kMiddle);
  }

  // How much is alive, as if it lay at the bottom.
  void draw_live() {
    std::string points;
    for (int i = begin_; i < end_; ++i) {
      const double y = y_of(e_.memory.live_bytes[i]);
      points += fmt::format("{:.1f},{:.1f} {:.1f},{:.1f} ", x_of(i), y, x_of(i + 1), y);
    }
    canvas_.polyline(points, "live");
  }

  void draw_segments() {
    for (const ExplainedSegment& segment : e_.segments) {
      const int begin = std::max(segment.begin, begin_);
      const int end = std::min(segment.end, end_);
      if (begin >= end) continue;
      const std::string fill = segment.is_break ? "brk" : piece_class(segment.structure);
      canvas_.rect({x_of(begin), area_.y + area_.height + 3, x_of(end) - x_of(begin), kStrip},
                   fill + " cell");
    }
  }

  void draw_node_labels() {
    const double y = area_.y + area_.height + kStrip + 17;
    for (int i = begin_; i < end_; ++i) {
      const ExplainedNode& node = e_.nodes[i];
      if (node.is_view) continue;
      canvas_.slanted_text((x_of(i) + x_of(i + 1)) / 2 + 3, y, "soft small",
                           fitted(without_namespace(node.op), 118, kSansSmall));
    }
  }

  void draw_peak() {
    const int node = e_.memory.peak_node;
    if (node < begin_ || node >= end_) return;
    const double x = (x_of(node) + x_of(node + 1)) / 2;
    canvas_.line(x, area_.y - 6, x, area_.y + area_.height, "peak");
    const bool at_end = x > area_.x + area_.width * 0.7;
    canvas_.text(x + (at_end ? -5 : 5), area_.y - 6, "warn small",
                 fmt::format("most alive: {} at node {}, {}",
                             format_bytes(static_cast<double>(e_.memory.peak_bytes())), node,
                             without_namespace(e_.nodes[node].op)),
                 at_end ? SvgCanvas::Anchor::kEnd : SvgCanvas::Anchor::kStart);
  }

  SvgCanvas& canvas_;
  const Explanation& e_;
  int begin_;
  int end_;
  Box area_;
};

// Of stretches that repeat, the one that covers most items.
Repeat most_repeated(const std::vector<Repeat>& repeats) {
  Repeat most;
  for (const Repeat& repeat : repeats) {
    if (repeat.count > 1 && repeat.end() - repeat.begin > most.end() - most.begin) most = repeat;
  }
  return most;
}

// Nodes [first, second): one repetition in the middle, of segments or of nodes in a piece; {0, 0}: none.
std::pair<int, int> one_repetition(const Explanation& e) {
  const Repeat layers = most_repeated(e.folded_segments);
  if (layers.count > 1) {
    const int first = layers.begin + layers.period * (layers.count / 2);
    return {e.segments[first].begin, e.segments[first + layers.period - 1].end};
  }
  std::vector<int> structures;
  for (const ExplainedNode& node : e.nodes) structures.push_back(node.structure);
  const Repeat nodes = most_repeated(fold(structures));
  if (nodes.count == 1) return {0, 0};
  const int first = nodes.begin + nodes.period * (nodes.count / 2);
  return {first, first + nodes.period};
}

constexpr double kLabelRoom = 92.0;  // slanted op names below a chart

double draw_chart(SvgCanvas& canvas, const Explanation& e, int begin, int end, double y, double height,
                  bool labels) {
  ArenaChart(canvas, e, begin, end, {kMargin + kAxisRoom, y, kInnerWidth - kAxisRoom, height}).draw(labels);
  return y + height + kStrip + (labels ? kLabelRoom : 16.0);
}

}  // namespace

double draw_arena(SvgCanvas& canvas, const Explanation& e, double y) {
  if (e.memory.arena_bytes == 0) return y;
  const int num_nodes = static_cast<int>(e.nodes.size());
  draw_heading(
      canvas, y + 14, "The arena",
      fmt::format(
          "offset over nodes: {} temporaries of {} share {}; hatched: workspace; the line: how much is alive",
          e.memory.placements.size(), format_bytes(static_cast<double>(e.memory.separate_bytes)),
          format_bytes(static_cast<double>(e.memory.arena_bytes))));
  y += 44;
  if (num_nodes <= kFewNodes) return draw_chart(canvas, e, 0, num_nodes, y, 260, true);
  y = draw_chart(canvas, e, 0, num_nodes, y, 200, false);
  const auto [begin, end] = one_repetition(e);
  if (begin == end || end - begin > kFewNodes) return y;
  canvas.text(kMargin + kAxisRoom, y + 14, "soft",
              fmt::format("nodes {} to {}, one repetition, enlarged", begin, end - 1));
  return draw_chart(canvas, e, begin, end, y + 36, 260, true);
}

}  // namespace musaic
