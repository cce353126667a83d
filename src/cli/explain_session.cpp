#include "cli/explain_session.h"

#include "cli/explain_choices.h"
#include "cli/explain_model.h"
#include "program/explain/explain.h"
#include "program/explain/printers.h"

namespace musaic {
namespace {

// The program as it is run and the graph that it was made from.
struct RunningProgram {
  const Program& program;
  const ModelGraph& traced;
};

RunningProgram select(const GraphRunner& runner, const std::string& graph) {
  if (graph == "extend") return {runner.extend(), runner.graphs().extend};
  if (graph == "decode") return {runner.decode(), runner.graphs().decode};
  if (graph == "head") return {runner.head(), runner.graphs().head};
  fail_load("graph: expected extend, decode or head, got {}", graph);
}

std::string mode_of(const RunningProgram& running) {
  if (running.traced.passes.empty()) return "breakable";
  return running.program.segments().size() == 1 ? "full" : "piecewise";
}

CaptureState capture_state(const Program& program) {
  CaptureState state{.graph_bytes = program.captured_bytes(), .capture_seconds = program.capture_seconds()};
  for (const int bucket : program.bucket_sizes()) {
    if (program.is_captured(bucket)) state.captured_buckets.push_back(bucket);
  }
  return state;
}

Explanation explain_running(const ModelSession& session, const ProgramQuery& query) {
  const RunningProgram running = select(session.runner(), query.graph);
  const std::vector<int> buckets = running.program.bucket_sizes();
  const int bucket = choose_bucket(query.graph, query.bucket, buckets);
  const Target& target = session.target();
  Explanation out =
      explain({.graph = running.program.graph(),
               .segments = running.program.segments(),
               .plan = running.program.plan(bucket),
               .target = target,
               .passes = running.traced.passes,
               .extent = choose_extent(query.graph, bucket, query.past, session.context_length()),
               .roof = parse_roof(query.roof.empty() ? usual_roof(target.device.type) : query.roof)});
  out.model = explained_name(session.files());
  out.model_type = session.config().model_type;
  out.mode = mode_of(running);
  out.bucket = bucket;
  out.buckets = buckets;
  out.dimension = bucket_dimension(query.graph);
  out.captured = capture_state(running.program);
  out.executable_budget = session.backend().graph_executables().budget;
  return out;
}

}  // namespace

Result<std::string> explain_session(const ModelSession& session, const ProgramQuery& query) {
  try {
    return format_explanation(explain_running(session, query), query.format);
  } catch (const LoadError& error) {
    return invalid_argument("{}", error.what());
  }
}

}  // namespace musaic
