#pragma once

#include <cstddef>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "program/program.h"

namespace musaic {

// The bucket that a step runs in, and whether as a replay; `reason` says why.
struct StepChoice {
  int bucket = 0;
  bool replay = false;
  std::string_view reason;  // a literal
};

enum class BucketState { kWaiting, kCaptured, kOverBudget, kQuarantined };
std::string_view name(BucketState state);

struct BucketStatus {
  std::string graph;
  int size = 0;
  BucketState state = BucketState::kWaiting;
  size_t bytes = 0;  // of its capture
};

// Which buckets of which programs are captured: their order, the memory that they may take together, and
// those that may not be replayed any more. Used by the engine thread; list() and totals() by any.
class CaptureSchedule {
 public:
  explicit CaptureSchedule(size_t budget_bytes) : budget_bytes_(budget_bytes) {}

  // The buckets of one program that may be captured, after those of earlier calls. The program outlives this.
  void add(Program& program, std::span<const int> sizes);
  // Captures the next waiting bucket that the budget has room for; false when none waits.
  bool capture_next();
  // Captures the bucket now if it waits. A capture that turns out too large for the budget is released.
  void prepare(Program& program, int bucket);
  // Releases the bucket; it runs eagerly from now on.
  void quarantine(Program& program, int bucket);

  // What a step of this bucket replays. For one that the budget has dropped: the next larger captured one of
  // at most twice its size where `may_pad`, else it runs eagerly.
  StepChoice choose(const Program& program, int bucket, bool may_pad) const;

  // The nodes of each bucket that may be captured, and of each executable of all of them.
  std::vector<int> nodes() const;
  std::vector<int> executables() const;

  struct Totals {
    int buckets = 0;
    int waiting = 0;
    int captured = 0;
    size_t bytes = 0;  // of all captures
    double seconds = 0.0;
  };
  Totals totals() const;
  std::vector<BucketStatus> list() const;
  size_t budget_bytes() const { return budget_bytes_; }

 private:
  struct Entry {
    Program* program;
    int size;
    BucketState state = BucketState::kWaiting;
    size_t bytes = 0;
  };

  Entry* find(const Program& program, int bucket);
  const Entry* find(const Program& program, int bucket) const;
  void capture(Entry& entry);
  bool has_room_for(const Program& program) const;
  void set_state(Entry& entry, BucketState state, size_t bytes);

  const size_t budget_bytes_;
  size_t bytes_ = 0;
  double seconds_ = 0.0;
  std::vector<Entry> entries_;
  mutable std::mutex mutex_;  // guards what the engine thread writes against readers of other threads
};

// "extend 4 8 12, decode 1": the buckets in this state, by graph.
std::string names_in_state(std::span<const BucketStatus> buckets, BucketState state);

}  // namespace musaic
