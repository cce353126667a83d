#include <fmt/format.h>

#include <algorithm>

#include "program/explain/summary.h"
#include "program/explain/svg_sections.h"
#include "program/explain/units.h"

namespace musaic {
namespace {

constexpr int kCardsARow = 5;
constexpr double kGap = 20.0;
constexpr double kCardWidth = (kInnerWidth - kGap * (kCardsARow - 1)) / kCardsARow;
constexpr double kPadding = 10.0;
constexpr double kHeadHeight = 44.0;  // coloured bar and the sums below it
constexpr double kBarHeight = 24.0;
constexpr double kNodeHeight = 38.0;
constexpr double kViewHeight = 17.0;
constexpr double kReasonHeight = 14.0;
constexpr double kFrame = 9.0;  // around repeated cards
constexpr double kFrameLabel = 18.0;

// Nodes of one segment that are drawn together; cards with the same repeat stand for `count` as many.
struct Card {
  int segment = 0;
  int begin = 0;
  int end = 0;
  int repeat = -1;  // index of what repeats; -1: nothing
  int count = 1;
  bool continues = false;  // begins inside its segment: no break lies before it
};

std::string node_or_views(const Explanation& e, int begin, int end) {
  if (end - begin == 1) return without_namespace(e.nodes[begin].op) + " (view)";
  return fmt::format("{} views", end - begin);
}

// The end of the views that begin at a node.
int end_of_views(const Explanation& e, int node, int end) {
  while (node < end && e.nodes[node].is_view) ++node;
  return node;
}

class ProgramDrawing {
 public:
  ProgramDrawing(SvgCanvas& canvas, const Explanation& e) : canvas_(canvas), e_(e) {
    for (const ExplainedNode& node : e_.nodes) longest_ = std::max(longest_, node.work.seconds);
    collect_cards();
  }

  double draw(double y) {
    for (size_t first = 0; first < cards_.size(); first += kCardsARow) {
      const size_t last = std::min(cards_.size(), first + kCardsARow);
      y = draw_row(first, last, y) + 8;
    }
    return y;
  }

 private:
  void collect_cards() {
    for (const Repeat& repeat : e_.folded_segments) {
      const bool repeats = repeat.count > 1;
      if (repeats) ++num_repeats_;
      for (int s = repeat.begin; s < repeat.begin + repeat.period; ++s) {
        if (repeats) {
          cards_.push_back({s, e_.segments[s].begin, e_.segments[s].end, num_repeats_, repeat.count});
        } else {
          collect_segment(s);
        }
      }
    }
  }

  // A segment of its own: what repeats inside it has cards of its own.
  void collect_segment(int index) {
    const ExplainedSegment& segment = e_.segments[index];
    std::vector<int> structures;
    for (int i = segment.begin; i < segment.end; ++i) structures.push_back(e_.nodes[i].structure);
    int begin = segment.begin;
    for (const Repeat& repeat : fold(structures)) {
      if (repeat.count == 1 || repeat.period == 1) continue;
      const int first = segment.begin + repeat.begin;
      if (begin < first) add_part(segment, index, begin, first, -1, 1);
      add_part(segment, index, first, first + repeat.period, ++num_repeats_, repeat.count);
      begin = segment.begin + repeat.end();
    }
    if (begin < segment.end) add_part(segment, index, begin, segment.end, -1, 1);
  }

  void add_part(const ExplainedSegment& segment, int index, int begin, int end, int repeat, int count) {
    cards_.push_back({index, begin, end, repeat, count, begin != segment.begin});
  }

  double height_of(const Card& card) const {
    double height = kHeadHeight + kPadding;
    height += kReasonHeight * static_cast<double>(reason_lines(card).size());
    for (int i = card.begin; i < card.end;) {
      height += e_.nodes[i].is_view ? kViewHeight : kNodeHeight;
      i = e_.nodes[i].is_view ? end_of_views(e_, i, card.end) : i + 1;
    }
    return height;
  }

  std::vector<std::string> reason_lines(const Card& card) const {
    const ExplainedSegment& segment = e_.segments[card.segment];
    if (!segment.is_break) return {};
    std::string sentence = break_sentence(segment);
    sentence[0] = static_cast<char>(std::toupper(sentence[0]));
    return wrapped(sentence, kCardWidth - 2 * kPadding, kSansSmall);
  }

  double draw_row(size_t first, size_t last, double y) {
    const double top = y + kFrameLabel;
    double bottom = top;
    for (size_t i = first; i < last; ++i) bottom = std::max(bottom, top + height_of(cards_[i]));
    for (size_t i = first; i < last;) {
      size_t end = i + 1;
      while (end < last && cards_[end].repeat == cards_[i].repeat) ++end;
      if (cards_[i].repeat >= 0) draw_frame(i - first, end - first, cards_[i], top, bottom);
      i = end;
    }
    for (size_t i = first; i < last; ++i) {
      const double x = column(i - first);
      if (i > first) canvas_.line(x - kGap, top + kBarHeight / 2, x, top + kBarHeight / 2, "flow");
      draw_card(cards_[i], x, top);
    }
    return bottom + kFrame;
  }

  static double column(size_t index) { return kMargin + static_cast<double>(index) * (kCardWidth + kGap); }

  void draw_frame(size_t begin, size_t end, const Card& card, double top, double bottom) {
    const double x = column(begin) - kFrame;
    const double width = column(end - 1) + kCardWidth + kFrame - x;
    canvas_.rect({x, top - kFrameLabel, width, bottom + kFrame - top + kFrameLabel}, "frame", "", 10);
    canvas_.text(x + width / 2, top - 5, "small", fmt::format("{} times", card.count),
                 SvgCanvas::Anchor::kMiddle);
  }

  void draw_card(const Card& card, double x, double y) {
    const ExplainedSegment& segment = e_.segments[card.segment];
    const std::string fill = segment.is_break ? "brk" : piece_class(segment.structure);
    canvas_.rect({x, y, kCardWidth, height_of(card)}, "card", "", 6);
    canvas_.rect({x, y, kCardWidth, kBarHeight}, fill, "", 6);
    if (segment.is_break) canvas_.rect({x, y, kCardWidth, kBarHeight}, "hatch", "", 6);
    const std::string name = segment.is_break ? "break" : "piece " + structure_letter(segment.structure);
    Work work;
    int launches = 0;
    for (int i = card.begin; i < card.end; ++i) {
      work += e_.nodes[i].work;
      launches += e_.nodes[i].is_launch();
    }
    canvas_.text(x + kPadding, y + 16, "on", card.continues ? name + ", continued" : name);
    canvas_.text(x + kCardWidth - kPadding, y + 16, "on", format_seconds(work.seconds),
                 SvgCanvas::Anchor::kEnd);
    canvas_.text(x + kPadding, y + 38, "soft small",
                 fmt::format("{} launch{} · {} · {}", launches, launches == 1 ? "" : "es",
                             format_bytes(work.bytes()), format_ops(work.ops())));
    draw_nodes(card, fill, x, y + kHeadHeight);
  }

  void draw_nodes(const Card& card, const std::string& fill, double x, double y) {
    for (const std::string& line : reason_lines(card)) {
      canvas_.text(x + kPadding, y + 11, "soft small", line);
      y += kReasonHeight;
    }
    for (int i = card.begin; i < card.end;) {
      if (e_.nodes[i].is_view) {
        const int end = end_of_views(e_, i, card.end);
        canvas_.text(x + kPadding, y + 12, "soft mono", node_or_views(e_, i, end));
        y += kViewHeight;
        i = end;
      } else {
        draw_node(i, fill, x, y);
        y += kNodeHeight;
        ++i;
      }
    }
  }

  void draw_node(int index, const std::string& fill, double x, double y) {
    const ExplainedNode& node = e_.nodes[index];
    const double width = kCardWidth - 2 * kPadding;
    constexpr double kTimeRoom = 60.0;
    canvas_.text(x + kPadding, y + 12, "small",
                 fitted(without_namespace(node.op), width - kTimeRoom, kSansSmall + 0.4));
    canvas_.text(x + kPadding + width, y + 12, "small", format_seconds(node.work.seconds),
                 SvgCanvas::Anchor::kEnd);
    const double shape_width = static_cast<double>(node.shape.size()) * kMonoSmall;
    canvas_.text(x + kPadding, y + 24, node.has_kernel ? "soft mono" : "warn mono",
                 fitted(node.has_kernel ? node.kernel : "no kernel", width - shape_width - 8, kMonoSmall));
    canvas_.text(x + kPadding + width, y + 24, "soft mono", node.shape, SvgCanvas::Anchor::kEnd);
    canvas_.rect({x + kPadding, y + 29.5, width, 2.5}, "track", "", 1);
    const double share = longest_ > 0.0 ? node.work.seconds / longest_ : 0.0;
    canvas_.rect({x + kPadding, y + 29.5, std::max(1.0, width * share), 2.5}, fill, "", 1);
    canvas_.rect({x, y, kCardWidth, kNodeHeight - 1}, "hit", node_title(e_, index));
  }

  SvgCanvas& canvas_;
  const Explanation& e_;
  std::vector<Card> cards_;
  int num_repeats_ = -1;
  double longest_ = 0.0;
};

}  // namespace

std::string class_of_node(const Explanation& e, int node) {
  const auto segment = std::find_if(e.segments.begin(), e.segments.end(),
                                    [node](const ExplainedSegment& s) { return node < s.end; });
  return segment->is_break ? "brk" : piece_class(segment->structure);
}

std::string node_title(const Explanation& e, int index) {
  const ExplainedNode& node = e.nodes[index];
  std::string title = fmt::format("node {}: {}", index, node.op);
  if (node.has_kernel) title += fmt::format(" by {}", node.kernel);
  for (const std::string& argument : node.arguments) title += " · " + argument;
  title += " →";
  for (const std::string& result : node.results) title += " " + result;
  return title + fmt::format(" · {} · {} · {}", format_bytes(node.work.bytes()), format_ops(node.work.ops()),
                             format_seconds(node.work.seconds));
}

double draw_program(SvgCanvas& canvas, const Explanation& e, double y) {
  draw_heading(canvas, y + 14, "The program",
               "op, time at best, kernel and result of every node; what repeats is drawn once; point at a "
               "node for more");
  return ProgramDrawing(canvas, e).draw(y + 24);
}

}  // namespace musaic
