#pragma once

#include <optional>
#include <string_view>

#include "device/capabilities.h"
#include "request/batch.h"

namespace musaic {

// How the steps of one kind run.
enum class GraphMode {
  kFull,       // one captured piece, breaks included
  kPiecewise,  // passes; captured pieces with the breaks run between them
  kBreakable,  // the same without passes, as traced: what fusion is compared against
  kDisabled,   // interpreted
};

inline constexpr std::string_view kGraphModes = "full, breakable, piecewise, tc_piecewise, disabled";

std::string_view name(GraphMode mode);
// The modes' names, and tc_piecewise for piecewise.
std::optional<GraphMode> parse_graph_mode(std::string_view name);

// Whether breaks too can be recorded: the device's feature "whole_extend" or "whole_decode".
bool captures_whole(const Capabilities& capabilities, StepKind kind);
// `asked`, or piecewise for a full that the device cannot record.
GraphMode safe_mode(GraphMode asked, StepKind kind, const Capabilities& capabilities);

}  // namespace musaic
