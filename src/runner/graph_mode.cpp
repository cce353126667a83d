#include "runner/graph_mode.h"

namespace musaic {

std::string_view name(GraphMode mode) {
  switch (mode) {
    case GraphMode::kFull:
      return "full";
    case GraphMode::kPiecewise:
      return "piecewise";
    case GraphMode::kBreakable:
      return "breakable";
    case GraphMode::kDisabled:
      return "disabled";
  }
  return "";
}

std::optional<GraphMode> parse_graph_mode(std::string_view text) {
  if (text == "tc_piecewise") return GraphMode::kPiecewise;
  for (GraphMode mode :
       {GraphMode::kFull, GraphMode::kPiecewise, GraphMode::kBreakable, GraphMode::kDisabled}) {
    if (text == name(mode)) return mode;
  }
  return std::nullopt;
}

bool captures_whole(const Capabilities& capabilities, StepKind kind) {
  return capabilities.has(kind == StepKind::kDecode ? "whole_decode" : "whole_extend");
}

GraphMode safe_mode(GraphMode asked, StepKind kind, const Capabilities& capabilities) {
  return asked == GraphMode::kFull && !captures_whole(capabilities, kind) ? GraphMode::kPiecewise : asked;
}

}  // namespace musaic
