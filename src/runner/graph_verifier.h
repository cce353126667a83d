#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runner/compare_regions.h"

namespace musaic {

// A replay that was not what the eager run is.
struct VerifyFinding {
  struct Piece {
    std::string name;  // "piece 3 of 31 (nodes 12..18: aten::add, aten::rms_norm)"
    Difference difference;
  };
  std::string graph;
  int bucket = 0;
  uint64_t step = 0;          // of the replayed steps, counted from 0
  std::string stray;          // a state that the replay wrote outside of what the step may write; or empty
  Difference whole;           // over outputs and states of the whole replay; without one, of no value
  std::vector<Piece> pieces;  // that differ when run one by one from equal data; empty: none alone does
};

std::string describe(const VerifyFinding& finding);

// Re-runs a share of the replayed steps eagerly from the state that they found, and compares every output and
// every part of a state that they may write; of the other pages and slots a checksum. The eager results stay.
// Used by the engine thread; findings() by any.
class GraphVerifier {
 public:
  // share: 0 (never) to 1 (every step).
  GraphVerifier(Backend& backend, double share);

  // Whether the next replayed step is verified: of n steps, floor(n · share), evenly spread.
  bool take_step();
  // Replays, with everything poisoned that the replay may not read, puts the states back and runs eagerly.
  // REQUIRES: the bucket is captured.
  std::optional<VerifyFinding> verify(Program& program, int bucket, const LiveExtent& extent);

  double share() const { return share_; }
  // 0: bit for bit; else the allowed share of a value's largest magnitude.
  double tolerance() const { return tolerance_; }
  uint64_t num_verified_steps() const { return num_verified_; }
  std::vector<VerifyFinding> findings() const;

 private:
  std::vector<VerifyFinding::Piece> compare_pieces(Program& program, int bucket, const LiveExtent& extent);

  Backend& backend_;
  const double share_;
  const double tolerance_;
  uint64_t num_steps_ = 0;
  int32_t pages_end_ =
      0;  // behind the last page that a verified step has known: of those beyond nobody reads
  std::atomic<uint64_t> num_verified_{0};
  std::vector<VerifyFinding> findings_;
  mutable std::mutex mutex_;  // guards findings_
};

}  // namespace musaic
