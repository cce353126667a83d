#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/model.h"
#include "program/program.h"
#include "runner/capture_schedule.h"
#include "runner/graph_mode.h"
#include "runner/graph_verifier.h"
#include "runner/head_writer.h"
#include "runner/io_buffers.h"
#include "runner/model_graphs.h"
#include "runner/runner.h"
#include "runner/segment_timer.h"
#include "runner/step_sizes.h"
#include "runner/step_writer.h"
#include "runner/token_feed.h"

namespace musaic {

struct GraphRunnerOptions {
  GraphOptions graphs;  // the modes decide whether passes run
  GraphMode extend_mode = GraphMode::kPiecewise;
  GraphMode decode_mode = GraphMode::kFull;
  int max_tokens_per_step = 512;
  int max_graph_tokens = 512;     // larger extend steps run eagerly
  std::vector<int> extend_sizes;  // asked token buckets; empty: the default ladder
  std::vector<int> decode_sizes;  // asked batch sizes; empty: the default list
  int default_max_decode = 64;    // end of the default list
  int max_sequences = 64;
  int max_context = 2048;
  int num_pages = 0;
  bool pad_decode = true;                 // false: a batch size that is no bucket runs eagerly
  size_t graph_memory_budget = SIZE_MAX;  // for all captures together
  double verify_share = 0.0;              // of the replayed steps
  bool overlap = false;                   // a step is launched before the one before is collected
};

// Runs steps as programs: padded to a bucket, replayed from captured pieces, or interpreted at the same
// addresses.
class GraphRunner : public Runner {
 public:
  // Traces and plans; needs no weights yet. `model`, `target` and `backend` outlive the runner.
  GraphRunner(const Model& model, const Target& target, Backend& backend, GraphRunnerOptions options);

  // Sets the size of the KV cache, whatever the options said. Before load.
  void set_num_pages(int num_pages);

  // Loads the weights and allocates everything. Must be called before the first launch.
  void load(const WeightReader& reader, int num_threads, const LoadProgress& progress);
  // Captures the next bucket; false when none is left that could be.
  bool capture_next() { return captures_.capture_next(); }
  const CaptureSchedule& captures() const { return captures_; }
  const GraphVerifier& verifier() const { return verifier_; }

  const RunnerLimits& limits() const override { return limits_; }
  Ticket launch(const Batch& batch) override;
  Result<StepOutput> collect(Ticket ticket) override;
  bool work_while_idle() override;
  void time_segments(bool on) override;

  // What a step of this size would do.
  StepChoice choose(StepKind kind, int tokens) const;
  // The logits of the first `rows` rows of the last step's last head chunk: [rows, vocab_size], for tests.
  std::vector<float> last_logits(int rows) const;
  // For evaluation: called with the logits [rows.size(), vocab_size] of every head chunk; rows are in batch
  // order.
  using LogitsObserver = std::function<void(std::span<const HeadRow> rows, const float* logits)>;
  void observe_logits(LogitsObserver observer) { observer_ = std::move(observer); }
  // Runs every step eagerly (for comparison), or as chosen.
  void force_eager(bool eager) { force_eager_ = eager; }
  // Runs every step eagerly and reports each node of body and head (Program::observe_nodes); nullptr: no
  // more.
  void observe_nodes(const Program::NodeObserver& observer);
  // The host's time of enqueuing the captured body of such a step once more, with the inputs of the last one.
  // REQUIRES: that was such a step.
  double time_replay(StepKind kind, int tokens);
  // Runs a decode step eagerly and tells how many experts had rows, layer by layer; empty: there are none.
  std::vector<int> count_experts(const Batch& batch);
  // Fills the arena with NaN, so that a read of what no node of a step has written shows.
  void poison_arena();

  const ModelGraphs& graphs() const { return graphs_; }
  const Program& extend() const { return extend_; }
  const Program& decode() const { return decode_; }
  const Program& head() const { return head_; }
  const GraphRunnerOptions& options() const { return options_; }

  struct Memory {
    size_t weight_bytes = 0;         // packed, on the device
    size_t mapped_weight_bytes = 0;  // read where the file is mapped
    size_t kv_bytes = 0;             // reserved; touched on demand
    size_t arena_bytes = 0;
    size_t io_bytes = 0;
    size_t graph_bytes = 0;
  };
  Memory memory() const;
  // What all captures took of a device's memory as its driver tells; nothing before they were made, or where
  // they lie on the host. Any thread.
  std::optional<size_t> measured_graph_bytes() const {
    const size_t measured = measured_graph_bytes_;
    return measured == kNotMeasured ? std::nullopt : std::optional(measured);
  }
  // What load() and the captures will take of a device with memory of its own, without the KV cache.
  Memory planned_memory() const;

 private:
  // The buckets of one body: all that are planned, of which the last holds the largest step, and those of
  // them that may be captured.
  struct Ladder {
    std::vector<int> planned;
    std::vector<int> captured;
  };
  static Ladder extend_ladder(const GraphRunnerOptions& options);
  static Ladder decode_ladder(const GraphRunnerOptions& options);
  int max_head_rows() const { return head_sizes_.back(); }
  static constexpr int kLeastHeadRows = 64;  // that the head takes at a time; each is a vocabulary of floats
  static constexpr int kMaxStepsInFlight = 2;
  static constexpr size_t kNotMeasured = SIZE_MAX;
  static constexpr const char* kDecodeInputs = "decode.";  // prefix of decode's own input buffers
  // A step that is enqueued and not collected.
  struct InFlight {
    StepOutput output;
    std::vector<HeadRow> rows;  // whose tokens are on their way to `reader`; empty: none
    HostReader* reader = nullptr;
    bool is_timed = false;
    std::chrono::steady_clock::time_point start;
  };
  void share_packed_weights();
  void add_buckets();
  DimBindings largest_bindings() const;
  void add_buffers(IoBuffers& buffers) const;
  std::array<Program*, 4> programs() { return {&extend_, &decode_, &head_, &logprobs_}; }
  size_t planned_arena_bytes() const;
  void plan_captures();
  bool can_launch_whole_steps() const;
  size_t planned_graph_bytes() const;
  void measure_captures();
  void announce_captures() const;
  void prepare_slots(const Batch& batch);
  void run_decode(const Batch& batch, InFlight& step);
  void run_extend(const Batch& batch, InFlight& step);
  template <class WriteInputs>
  StepRecord run_body(const Batch& batch, const WriteInputs& write_inputs);
  void take_tokens(const Batch& batch, std::span<const HeadRow> rows, bool is_last_chunk, InFlight& step);
  std::string_view why_wait(const Batch& batch, std::span<const HeadRow> rows, bool is_last_chunk) const;
  void run_logprobs(const Batch& batch, std::span<const HeadRow> rows, std::span<const TokenId> tokens,
                    StepOutput& output);
  const Program& body(StepKind kind) const { return kind == StepKind::kDecode ? decode_ : extend_; }
  std::string_view why_eager(StepKind kind, int tokens, int bucket) const;
  template <class Extent>
  StepChoice run_program(Program& program, StepChoice choice, const Extent& extent);
  StepChoice run_head_program(Program& program, const Batch& batch, std::span<const HeadRow> rows,
                              bool replay);

  Backend& backend_;
  GraphRunnerOptions options_;
  RunnerLimits limits_;
  ModelGraphs graphs_;
  Ladder extend_sizes_;
  Ladder decode_sizes_;
  std::vector<int> head_sizes_;
  StepSizes sizes_;
  Program extend_;
  Program decode_;
  Program head_;
  Program logprobs_;
  IoBuffers buffers_;
  WeightStore weights_;
  std::unique_ptr<DeviceMemory> arena_;
  std::optional<StepWriter> step_writer_;  // after load, like what follows
  std::optional<HeadWriter> head_writer_;
  TokenFeed feed_;
  std::vector<std::unique_ptr<HostReader>> readers_;  // of drawn tokens; steps take turns
  std::deque<InFlight> in_flight_;
  std::chrono::steady_clock::time_point last_end_;  // when a step was collected last
  Ticket next_ticket_ = 1;
  CaptureSchedule captures_;
  GraphVerifier verifier_;
  bool is_verifying_ = false;  // this step
  bool has_announced_captures_ = false;
  size_t free_before_captures_ = 0;  // of the device's memory
  std::atomic<size_t> measured_graph_bytes_{kNotMeasured};
  bool force_eager_ = false;
  LogitsObserver observer_;
  std::unique_ptr<SegmentTimer> timer_;  // made when first asked for
  bool is_timing_ = false;
};

}  // namespace musaic
