#include "engine/step_trace.h"

namespace musaic {
namespace {

TraceSpan span_of(const SegmentTime& segment) {
  return {.row = segment.is_break ? TraceRow::kBreaks : TraceRow::kPieces,
          .name = segment.name,
          .begin = segment.begin,
          .end = segment.end,
          .arguments = {{"bucket", segment.bucket},
                        {"mode", segment.replayed ? "replayed" : "eager"},
                        {"launches", segment.launches}}};
}

}  // namespace

void add_step(Profiler& profiler, const StepOutput& output) {
  if (output.segments.empty()) return;  // launched before the recording began
  const StepRecord& record = output.record;
  profiler.add({.row = TraceRow::kSteps,
                .name = describe(record),
                .begin = output.segments.front().begin,
                .end = output.segments.back().end,
                .arguments = {{"tokens", record.tokens},
                              {"sequences", output.sequences.size()},
                              {"reason", record.reason},
                              {"waited", record.waited}}});
  for (const SegmentTime& segment : output.segments) profiler.add(span_of(segment));
  profiler.end_step();
}

}  // namespace musaic
