#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "program/explain/printers.h"
#include "program/explain/summary.h"
#include "program/explain/units.h"

namespace musaic {
namespace {

class TextPrinter {
 public:
  explicit TextPrinter(const Explanation& explanation) : e_(explanation) {}

  std::string run() {
    line("{}", title_line(e_));
    line("{}", subject_line(e_));
    line("");
    for (const auto& [name, value] : totals(e_)) line("{:11} {}", name, value);
    print_missing();
    print_program();
    print_shares();
    print_memory();
    print_passes();
    print_buckets();
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... arguments) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(arguments)...);
    out_ += '\n';
  }

  void print_missing() {
    if (e_.missing.empty()) return;
    line("");
    for (const MissingKernels& missing : e_.missing) line("{}", missing_line(e_, missing));
  }

  void print_program() {
    line("\nprogram");
    for (const Repeat& repeat : e_.folded_segments) {
      if (repeat.count > 1) line("  {} times:", repeat.count);
      for (int s = repeat.begin; s < repeat.begin + repeat.period; ++s) print_segment(e_.segments[s]);
      if (repeat.count > 1) {
        const int end = e_.segments[repeat.end() - 1].end;
        line("  so on up to node {}", end - 1);
      }
    }
  }

  void print_segment(const ExplainedSegment& segment) {
    const std::string name = segment.is_break ? "break" : "piece " + structure_letter(segment.structure);
    line("  {:80}{:>10}{:>12}{:>10}", fmt::format("{}, nodes {}..{}", name, segment.begin, segment.end - 1),
         format_bytes(segment.work.bytes()), format_ops(segment.work.ops()),
         format_seconds(segment.work.seconds));
    if (segment.is_break) line("    {}", break_sentence(segment));
    std::vector<int> structures;
    for (int i = segment.begin; i < segment.end; ++i) structures.push_back(e_.nodes[i].structure);
    for (const Repeat& repeat : fold(structures)) {
      if (repeat.count > 1) line("    {} times:", repeat.count);
      for (int i = 0; i < repeat.period; ++i) print_node(segment.begin + repeat.begin + i);
      if (repeat.count > 1) line("    so on up to node {}", segment.begin + repeat.end() - 1);
    }
  }

  void print_node(int index) {
    shown_.insert(index);
    const ExplainedNode& node = e_.nodes[index];
    if (node.is_view)
      return line("  {:5} {:28} {:24} {}", index, without_namespace(node.op), "(view)", node.shape);
    line("  {:5} {:28} {:24} {:20}{:>10}{:>12}{:>10}", index, without_namespace(node.op),
         node.has_kernel ? node.kernel : "(no kernel)", node.shape, format_bytes(node.work.bytes()),
         format_ops(node.work.ops()), format_seconds(node.work.seconds));
  }

  void print_shares() {
    line("\ntime by op");
    const double seconds = e_.total().seconds;
    for (const OpShare& share : shares_by_op(e_)) {
      line("  {:40} {:5} nodes {:5.1f} %{:>12}{:>12}{:>10}", share.op, share.nodes,
           seconds > 0.0 ? 100.0 * share.work.seconds / seconds : 0.0, format_bytes(share.work.bytes()),
           format_ops(share.work.ops()), format_seconds(share.work.seconds));
    }
  }

  // The temporaries of the nodes shown above; those of their repetitions lie alike.
  void print_memory() {
    line("\nmemory map: temporaries of the nodes above in the arena of {} bytes", e_.memory.arena_bytes);
    line("  {:>10} {:>10}  {:12} {:11} {:28} {}", "offset", "bytes", "value", "nodes", "of",
         "others at other times");
    for (const Placement& placement : e_.memory.placements) {
      if (!shown_.contains(placement.node)) continue;
      line("  {:10} {:10}  {:12} {:11} {:28} {}", placement.offset, placement.bytes, placement.name,
           fmt::format("{}..{}", placement.first, placement.last),
           without_namespace(e_.nodes[placement.node].op), placement.shares_with);
    }
  }

  void print_passes() {
    line("\npasses");
    for (const PassReport& pass : e_.passes) {
      line("  {:24} {}", pass.name, pass_result(pass));
      for (const std::string& note : remarks(pass)) line("    {}", note);
    }
    if (e_.passes.empty()) line("  none were run");
  }

  void print_buckets() {
    line("\nbuckets of {} ({})", e_.graph, e_.dimension);
    std::string row;
    for (const int bucket : e_.buckets) {
      const std::string next = fmt::format(" {}", bucket);
      if (row.size() + next.size() > 100) {
        line(" {}", row);
        row.clear();
      }
      row += next;
    }
    line(" {}", row);
  }

  const Explanation& e_;
  std::set<int> shown_;
  std::string out_;
};

}  // namespace

std::string explanation_text(const Explanation& explanation) {
  return TextPrinter(explanation).run();
}

}  // namespace musaic
