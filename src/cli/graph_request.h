#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "runner/graph_mode.h"

namespace musaic {

// What the graph flags say before anything is resolved. Empty, -1 or false: not given.
struct GraphArguments {
  bool disable_all = false, disable_decode = false, disable_prefill = false, disable_piecewise = false;
  bool enable_piecewise = false, enforce_piecewise = false, disable_padding = false, debug = false;
  std::string compiler, decode_backend, prefill_backend, config, capture, memory_budget;
  std::vector<int> sizes, decode_sizes, prefill_sizes, piecewise_tokens;
  int max_size = -1, max_decode = -1, max_prefill = -1, piecewise_max_tokens = -1;
  int executable_budget = -1;
  double verify = -1.0;
};

// A setting that was asked for, by which flag, and the flags that this one stands above.
template <class Value>
struct Asked {
  Value value{};
  std::string flag;
  std::string over;
};
template <class Value>
using MaybeAsked = std::optional<Asked<Value>>;

struct PhaseRequest {
  MaybeAsked<GraphMode> mode;
  MaybeAsked<std::vector<int>> sizes;  // sorted: sequences of a decode step, tokens of a prefill step
  MaybeAsked<int> max_size;
};

enum class CaptureTime { kLazy, kEager };  // in idle gaps or at first use; before the server is ready

// The flags of both generations as one request.
struct GraphRequest {
  PhaseRequest decode, prefill;
  MaybeAsked<bool> pad_decode;
  MaybeAsked<CaptureTime> capture;
  MaybeAsked<size_t> memory_budget;  // bytes
  MaybeAsked<int> executable_budget;
  MaybeAsked<double> verify_share;
  std::string compiler;
};

// Of flags that set the same thing the more exact one counts: JSON above flags of a phase above flags of the
// older generation above flags for all. Two flags that name the same phase, one to disable it and one to give
// it a mode, are refused. One sentence for a value that cannot be.
Result<GraphRequest> merge_graph_flags(const GraphArguments& given);

// Bytes of "64M", "1.5G", "4096"; nullopt when it is no size.
std::optional<size_t> parse_bytes(const std::string& text);

}  // namespace musaic
