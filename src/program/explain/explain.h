#pragma once

#include <span>
#include <string>
#include <vector>

#include "program/explain/explanation.h"
#include "program/plan.h"
#include "program/split.h"

namespace musaic {

// One graph prepared for one bucket.
struct ExplainInput {
  const Graph& graph;
  std::span<const Segment> segments;
  const Plan& plan;
  const Target& target;
  std::span<const PassReport> passes;
  StepExtent extent;
  Roof roof;
};

// Everything of the Explanation that follows from these; the caller adds the model's name, mode, buckets and
// capture state.
Explanation explain(const ExplainInput& input);

}  // namespace musaic
