#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "program/plan.h"
#include "program/split.h"
#include "program/weight_store.h"

namespace musaic {

// Addresses of what lies outside the arena, by name: inputs, constants, states, and graph outputs. A symbol's
// live count is the input `num_<symbol>`.
using AddressBook = std::map<std::string, void*, std::less<>>;

class Program;

// Is told what of programs runs, for profiles.
class SegmentObserver {
 public:
  virtual ~SegmentObserver() = default;
  // Before the first segment is enqueued.
  virtual void begin(const Program& program, int bucket, bool replayed) = 0;
  // After each segment, in order.
  virtual void end_segment(int segment) = 0;
};

// One graph with a plan per bucket, run eagerly or as captured pieces with breaks between them. Both run the
// same kernels at the same addresses, padded alike, so they agree bit for bit.
class Program {
 public:
  // `whole`: breaks are captured too, in one piece.
  Program(Graph graph, const Target& target, Backend& backend, bool whole);

  // Plans one bucket. Throws LoadError when a node has no kernel.
  const Plan& add_bucket(int bucket, const DimBindings& bindings);
  // Chooses the kernels, and adds what they have packed. Throws LoadError when a node has none.
  void add_packed_weights(PackedWeights& packed);
  // Kernels read what other programs' kernels have packed. REQUIRES: no bucket was added.
  void share_packed_weights(const PackedWeights& packed);
  // Gives a dimension of what lies outside the arena another size, in all plans. REQUIRES: not bound; no
  // temporary or workspace has that dimension.
  void set_dimension(const std::string& symbol, int64_t size);
  // REQUIRES: all buckets were added; the addresses stay valid as long as the program.
  void bind(AddressBook addresses, const WeightStore& weights, void* arena);

  void run_eagerly(int bucket);
  // Calls `observer` after each node of eager runs with the seconds that it took, the device's work included;
  // for measurements. nullptr: no more.
  using NodeObserver =
      std::function<void(const Graph& graph, const Plan& plan, const PlannedNode& planned, double seconds)>;
  void observe_nodes(NodeObserver observer) { observer_ = std::move(observer); }
  // Tells `observer` of every run from now on; nullptr: nobody.
  void observe_segments(SegmentObserver* observer) { segment_observer_ = observer; }
  // REQUIRES: bound, and not is_captured(bucket).
  void capture(int bucket);
  // REQUIRES: is_captured(bucket).
  void replay(int bucket);
  // Forgets the captured pieces of a bucket.
  void release(int bucket);

  // What a replay launches one after the other: the segments, or pieces with their breaks where the device
  // records those.
  const std::vector<Segment>& launch_units() const { return units_; }
  bool records_breaks() const { return target_.capabilities.has(kRecordedBreaks); }
  // A replay is one launch from now on. REQUIRES: records_breaks(); no bucket is captured.
  void join_units();
  std::vector<int> nodes_of_units(int bucket) const;
  bool launches_pieces_together() const { return units_.size() == 1 && num_pieces() > 1; }
  // One of them alone, for comparing a replay with the eager run. REQUIRES: is_captured(bucket).
  void replay_unit(int bucket, int unit);
  // One segment alone. `replay_segment` REQUIRES: is_captured(bucket); it captures the segments apart at its
  // first call where units are more than one segment, as a replay does that is observed.
  void replay_segment(int bucket, int segment);
  void run_segment_eagerly(int bucket, int segment);
  // Where the storage of a value other than a weight lies. REQUIRES: bound.
  std::byte* address(int bucket, ValueId storage) const;
  std::byte* arena() const { return arena_; }

  bool is_captured(int bucket) const;  // any thread, like everything below

  const Graph& graph() const { return graph_; }
  const std::vector<Segment>& segments() const { return segments_; }
  const Plan& plan(int bucket) const { return buckets_.at(bucket).plan; }
  std::vector<int> bucket_sizes() const;
  int num_pieces() const;
  int num_launches(int bucket, int segment) const;  // of the calls, captured or not
  int num_launches(int bucket) const;
  std::string segment_name(int segment) const;  // "piece 3 of 31", "break 2 of 30"
  size_t arena_bytes() const;                   // of the largest bucket
  // Of pieces, and of the calls of the breaks between them.
  size_t captured_bytes() const { return captured_bytes_; }
  size_t captured_bytes(int bucket) const { return buckets_.at(bucket).captured_bytes; }
  double capture_seconds() const { return capture_seconds_; }
  double plan_seconds() const { return plan_seconds_; }  // splitting, choosing kernels, planning all buckets

 private:
  // One kernel with everything that its call needs, at final addresses.
  struct BoundCall {
    const Node* node;
    const Kernel* kernel;
    std::vector<Tensor> inputs;
    std::vector<Tensor> outputs;
    Tensor workspace;
    const int32_t* live_rows;
  };
  // A segment ready for replay: a captured piece, or the break's calls.
  struct BoundSegment {
    std::unique_ptr<CapturedGraph> piece;
    std::vector<BoundCall> calls;
  };
  struct Bucket {
    Plan plan;
    std::vector<BoundSegment> units;     // empty until captured
    std::vector<BoundSegment> segments;  // apart, where units are more than one; empty until first needed
    std::atomic<bool> captured{false};   // any thread
    std::atomic<size_t> captured_bytes{0};
  };

  const std::vector<const Kernel*>& kernels();
  BoundCall bind_call(const Plan& plan, const PlannedNode& planned) const;
  std::vector<BoundCall> bind_segment(const Plan& plan, const Segment& segment) const;
  void enqueue(const BoundCall& call);
  std::unique_ptr<CapturedGraph> capture_piece(const std::vector<BoundCall>& calls);
  std::vector<BoundSegment> capture_each(Bucket& state, const std::vector<Segment>& segments);
  bool joins_breaks() const { return units_.size() != segments_.size(); }
  const std::vector<BoundSegment>& segments_apart(Bucket& state);
  void replay(const BoundSegment& segment);
  void run_observed(const Plan& plan);
  void run_eagerly_by_segments(int bucket);
  Tensor tensor(const Plan& plan, const PlannedNode& planned, ValueId id, int input) const;
  void* storage_address(const Plan& plan, const PlannedNode& planned, ValueId id, int input) const;
  const int32_t* live_rows(const Node& node) const;

  Graph graph_;
  const Target& target_;
  Backend& backend_;
  std::vector<Segment> segments_;
  std::vector<Segment> units_;
  std::vector<const Kernel*> kernels_;  // by node, for all buckets; empty until asked for
  std::map<int, Bucket> buckets_;
  AddressBook addresses_;
  std::vector<void*> external_;  // by storage id; nullptr: weight or in the arena
  const WeightStore* weights_ = nullptr;
  std::byte* arena_ = nullptr;
  std::atomic<double> capture_seconds_{0.0};
  double plan_seconds_ = 0.0;
  std::atomic<size_t> captured_bytes_{0};
  NodeObserver observer_;
  SegmentObserver* segment_observer_ = nullptr;
};

}  // namespace musaic
