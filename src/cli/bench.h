#pragma once

#include <vector>

#include "cli/bench_report.h"

namespace musaic {

// What `musaic bench` measures and how often; each field belongs to the benches named.
struct BenchFlags {
  std::string what = "all";
  int repetitions = 5;
  std::vector<int> tokens = {512};                    // prefill: prompt lengths; ops: rows of an extend step
  std::vector<int> batch = {1, 2, 4, 8, 16, 32, 64};  // decode: sequences; ops: of a decode step
  int context = 128;                                  // decode, ops: tokens behind each sequence
  int steps = 16;                                     // decode: steps a repetition
  bool eager = false;                                 // prefill, decode: the same steps without replays, too
  int clients = 16;                                   // serve
  int requests = 32;                                  // serve, a repetition
  int input_tokens = 200;                             // serve
  int output_tokens = 64;                             // serve
  bool json = false;
  bool limits = true;  // measure the machine, for the share of what it could do
};

// Each needs a loaded session with room for what it runs; startup makes its own ones.
Json bench_prefill(ModelSession& session, const BenchFlags& flags,
                   const std::optional<MachineLimits>& limits);
Json bench_decode(ModelSession& session, const BenchFlags& flags, const std::optional<MachineLimits>& limits);
Json bench_serve(ModelSession& session, const BenchFlags& flags);
Json bench_ops(ModelSession& session, const BenchFlags& flags);
Json bench_startup(const Platform& platform, const SessionOptions& options, const BenchFlags& flags);

}  // namespace musaic
