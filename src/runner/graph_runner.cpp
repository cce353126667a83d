#include "runner/graph_runner.h"

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "device/launch_ahead.h"
#include "program/buckets.h"

namespace musaic {
namespace {

size_t vocab_size(const ModelGraphs& graphs) {
  const Graph& head = graphs.head.graph;
  return static_cast<size_t>(head.values[head.output("logits")].meta.dim(-1).constant());
}

// The options as the device can keep them: passes follow the modes.
GraphRunnerOptions settle(GraphRunnerOptions options, const Capabilities& capabilities) {
  options.extend_mode = safe_mode(options.extend_mode, StepKind::kExtend, capabilities);
  options.decode_mode = safe_mode(options.decode_mode, StepKind::kDecode, capabilities);
  options.graphs.run_extend_passes = options.extend_mode != GraphMode::kBreakable;
  options.graphs.run_decode_passes = options.decode_mode != GraphMode::kBreakable;
  return options;
}

// About, of the device, of executables with so many nodes each.
size_t bytes_of_executables(const LaunchAhead& ahead, const std::vector<int>& nodes) {
  size_t bytes = 0;
  for (int count : nodes) bytes += ahead.executable_bytes(count);
  return bytes;
}

// Where pieces take turns in no more executables than the budget holds, no bucket is dropped.
size_t budget_of_captures(Backend& backend, size_t asked) {
  const LaunchAhead* ahead = launch_ahead(backend);
  if (ahead == nullptr) return asked;
  const size_t executables = static_cast<size_t>(backend.graph_executables().budget);
  return executables > 0 && executables * ahead->executable_bytes() <= asked ? SIZE_MAX : asked;
}

}  // namespace

GraphRunner::Ladder GraphRunner::extend_ladder(const GraphRunnerOptions& options) {
  const int largest = options.max_tokens_per_step;
  Ladder sizes;
  sizes.captured = options.extend_sizes.empty() ? extend_buckets(std::min(options.max_graph_tokens, largest))
                                                : options.extend_sizes;
  std::sort(sizes.captured.begin(), sizes.captured.end());
  const int limit = std::min(options.max_graph_tokens, largest);
  std::erase_if(sizes.captured, [limit](int size) { return size < 1 || size > limit; });
  sizes.planned = sizes.captured;
  if (sizes.planned.empty() || sizes.planned.back() < largest) sizes.planned.push_back(largest);
  return sizes;
}

GraphRunner::Ladder GraphRunner::decode_ladder(const GraphRunnerOptions& options) {
  Ladder sizes;
  sizes.captured = decode_buckets(options.decode_sizes, options.default_max_decode, options.max_sequences);
  sizes.planned = sizes.captured;
  if (sizes.planned.empty() || sizes.planned.back() < options.max_sequences)
    sizes.planned.push_back(options.max_sequences);
  return sizes;
}

GraphRunner::GraphRunner(const Model& model, const Target& target, Backend& backend,
                         GraphRunnerOptions options)
    : backend_(backend),
      options_(settle(std::move(options), target.capabilities)),
      graphs_(trace_model_graphs(model, target, options_.graphs)),
      extend_sizes_(extend_ladder(options_)),
      decode_sizes_(decode_ladder(options_)),
      head_sizes_(head_buckets(std::max(kLeastHeadRows, options_.max_sequences))),
      extend_(graphs_.extend.graph, target, backend, options_.extend_mode == GraphMode::kFull),
      decode_(graphs_.decode.graph, target, backend, options_.decode_mode == GraphMode::kFull),
      head_(graphs_.head.graph, target, backend, /*whole=*/true),
      logprobs_(graphs_.logprobs.graph, target, backend, /*whole=*/true),
      buffers_(backend),
      weights_(backend),
      feed_(options_.max_sequences),
      captures_(budget_of_captures(backend, options_.graph_memory_budget)),
      verifier_(backend, options_.verify_share) {
  const int page_size = model.cache().page_size;
  limits_ = {.max_tokens_per_step = options_.max_tokens_per_step,
             .max_sequences = options_.max_sequences,
             .max_context = options_.max_context,
             .page_size = page_size,
             .num_pages = options_.num_pages,
             .vocab_size = static_cast<int>(vocab_size(graphs_)),
             .max_steps_in_flight = kMaxStepsInFlight};
  sizes_ = {.max_tokens_per_step = options_.max_tokens_per_step,
            .max_sequences = options_.max_sequences,
            .max_context = options_.max_context,
            .page_size = page_size,
            .num_pages = options_.num_pages};
  share_packed_weights();
  add_buckets();
  plan_captures();
}

// An embedding reads the copy that the head of another program has had packed.
void GraphRunner::share_packed_weights() {
  PackedWeights packed;
  for (Program* program : programs()) program->add_packed_weights(packed);
  for (Program* program : programs()) program->share_packed_weights(packed);
}

void GraphRunner::add_buckets() {
  for (int size : extend_sizes_.planned)
    weights_.request(graphs_.extend.graph, extend_.add_bucket(size, extend_bindings(sizes_, size)));
  for (int size : decode_sizes_.planned)
    weights_.request(graphs_.decode.graph, decode_.add_bucket(size, decode_bindings(sizes_, size)));
  for (int size : head_sizes_) {
    weights_.request(graphs_.head.graph, head_.add_bucket(size, head_bindings(sizes_, size)));
    logprobs_.add_bucket(size, head_bindings(sizes_, size));
  }
}

// What every step needs comes first, what few ask for last.
void GraphRunner::plan_captures() {
  const bool extend = options_.extend_mode != GraphMode::kDisabled;
  const bool decode = options_.decode_mode != GraphMode::kDisabled;
  if (extend) captures_.add(head_, head_sizes_);
  if (decode) captures_.add(decode_, decode_sizes_.captured);
  if (extend) captures_.add(extend_, extend_sizes_.captured);
  if (extend || decode) captures_.add(logprobs_, head_sizes_);
  if (!can_launch_whole_steps()) return;
  for (Program* program : programs()) program->join_units();
}

// Where breaks are recorded a replay can be one launch: unless pieces of equal structure are to share
// executables that the budgets hold too few of, or replays are verified piece by piece.
bool GraphRunner::can_launch_whole_steps() const {
  if (!extend_.records_breaks() || options_.verify_share > 0.0) return false;
  const LaunchAhead* ahead = launch_ahead(backend_);
  const std::vector<int> steps = captures_.nodes();
  const int budget = backend_.graph_executables().budget;
  if (budget > 0 && static_cast<int>(steps.size()) > budget) return false;
  return ahead == nullptr || bytes_of_executables(*ahead, steps) <= options_.graph_memory_budget;
}

void GraphRunner::set_num_pages(int num_pages) {
  options_.num_pages = num_pages;
  limits_.num_pages = num_pages;
  sizes_.num_pages = num_pages;
  for (Program* program : programs()) program->set_dimension("pages", num_pages);
}

DimBindings GraphRunner::largest_bindings() const {
  const int max_tokens = std::max(extend_sizes_.planned.back(), decode_sizes_.planned.back());
  DimBindings largest = extend_bindings(sizes_, max_tokens);
  largest["rows"] = max_head_rows();
  return largest;
}

void GraphRunner::add_buffers(IoBuffers& buffers) const {
  const DimBindings largest = largest_bindings();
  for (const ModelGraph* graph : {&graphs_.extend, &graphs_.head, &graphs_.logprobs})
    buffers.add(graph->graph, largest);
  buffers.add(graphs_.decode.graph, decode_bindings(sizes_, decode_sizes_.planned.back()), kDecodeInputs);
}

size_t GraphRunner::planned_arena_bytes() const {
  return std::max(
      {extend_.arena_bytes(), decode_.arena_bytes(), head_.arena_bytes(), logprobs_.arena_bytes()});
}

void GraphRunner::load(const WeightReader& reader, int num_threads, const LoadProgress& progress) {
  weights_.load(reader, num_threads, progress);
  add_buffers(buffers_);
  buffers_.allocate();
  arena_ = backend_.allocate(planned_arena_bytes(), "arena");
  for (Program* program : programs()) {
    const char* prefix = program == &decode_ ? kDecodeInputs : "";
    program->bind(buffers_.addresses(prefix), weights_, arena_->data());
  }
  const DimBindings largest = largest_bindings();
  step_writer_.emplace(buffers_, feed_, static_cast<int>(largest.at("tokens")), options_.max_sequences,
                       static_cast<int>(largest.at("max_pages")), limits_.page_size);
  head_writer_.emplace(buffers_, max_head_rows());
  for (int i = 0; i < kMaxStepsInFlight; ++i)
    readers_.push_back(make_reader(backend_, static_cast<size_t>(max_head_rows()) * sizeof(TokenId)));
  if (const LaunchAhead* ahead = launch_ahead(backend_)) free_before_captures_ = ahead->free_bytes();
}

void GraphRunner::time_segments(bool on) {
  if (on == is_timing_) return;
  is_timing_ = on;
  if (!timer_) timer_ = std::make_unique<SegmentTimer>(backend_);
  for (Program* program : programs()) program->observe_segments(on ? timer_.get() : nullptr);
}

bool GraphRunner::work_while_idle() {
  if (captures_.capture_next()) return true;
  if (has_announced_captures_) return false;
  has_announced_captures_ = true;
  measure_captures();
  announce_captures();
  return false;
}

// What the captures took of the device's memory as its driver tells, and others meanwhile.
void GraphRunner::measure_captures() {
  const LaunchAhead* ahead = launch_ahead(backend_);
  if (ahead == nullptr) return;
  const size_t free_bytes = ahead->free_bytes();
  measured_graph_bytes_ = free_before_captures_ - std::min(free_bytes, free_before_captures_);
}

void GraphRunner::announce_captures() const {
  constexpr double kMiB = 1 << 20;
  const CaptureSchedule::Totals totals = captures_.totals();
  const std::optional<size_t> measured = measured_graph_bytes();
  spdlog::info("captured {} of {} buckets in {:.1f} ms, {:.1f} MiB{}", totals.captured, totals.buckets,
               totals.seconds * 1e3, static_cast<double>(totals.bytes) / kMiB,
               measured ? fmt::format(" by count, {:.1f} of the device by its driver",
                                      static_cast<double>(*measured) / kMiB)
                        : "");
  const std::string dropped = names_in_state(captures_.list(), BucketState::kOverBudget);
  if (dropped.empty()) return;
  spdlog::warn(
      "--graph-memory-budget {:.1f} MiB has no room for the buckets {}: their steps run in the next larger "
      "captured bucket of at most twice the size, else eagerly",
      static_cast<double>(captures_.budget_bytes()) / kMiB, dropped);
}

std::string_view GraphRunner::why_eager(StepKind kind, int tokens, int bucket) const {
  const bool decode = kind == StepKind::kDecode;
  if ((decode ? options_.decode_mode : options_.extend_mode) == GraphMode::kDisabled)
    return "graphs_disabled";
  if (force_eager_) return "forced_eager";
  const std::vector<int>& captured = (decode ? decode_sizes_ : extend_sizes_).captured;
  if (captured.empty() || bucket > captured.back())
    return decode ? "above_max_graph_batch" : "above_max_graph_tokens";
  if (decode && !options_.pad_decode && bucket != tokens) return "padding_disabled";
  return "";
}

StepChoice GraphRunner::choose(StepKind kind, int tokens) const {
  const bool decode = kind == StepKind::kDecode;
  const std::vector<int>& sizes = (decode ? decode_sizes_ : extend_sizes_).planned;
  const int bucket = bucket_for(sizes, tokens);
  CHECK(bucket > 0, "a step of {} tokens is above the limit of {}", tokens, sizes.back());
  const std::string_view reason = why_eager(kind, tokens, bucket);
  if (!reason.empty()) return {bucket, false, reason};
  return captures_.choose(body(kind), bucket, !decode || options_.pad_decode);
}

void GraphRunner::observe_nodes(const Program::NodeObserver& observer) {
  force_eager_ = observer != nullptr;
  for (Program* program : {&extend_, &decode_, &head_}) program->observe_nodes(observer);
}

double GraphRunner::time_replay(StepKind kind, int tokens) {
  const StepChoice choice = choose(kind, tokens);
  CHECK(choice.replay, "a step of {} tokens is not replayed: {}", tokens, choice.reason);
  Program& program = kind == StepKind::kDecode ? decode_ : extend_;
  backend_.stream().synchronize();
  const auto start = std::chrono::steady_clock::now();
  program.replay(choice.bucket);
  const auto end = std::chrono::steady_clock::now();
  backend_.stream().synchronize();
  return std::chrono::duration<double>(end - start).count();
}

std::vector<int> GraphRunner::count_experts(const Batch& batch) {
  const int bucket = choose(StepKind::kDecode, static_cast<int>(batch.sequences.size())).bucket;
  std::vector<int> layers;
  observe_nodes([&](const Graph& graph, const Plan&, const PlannedNode& planned, double) {
    const Node& node = graph.nodes[planned.node];
    if (node.op != "musaic::moe_route" && node.op != "musaic::moe_gate_route") return;
    const GraphValue& rows = graph.values[node.outputs.back()];
    std::vector<int32_t> counts(static_cast<size_t>(elements(rows.meta.shape).constant()));
    backend_.copy_to_host(counts.data(), decode_.address(bucket, rows.storage),
                          counts.size() * sizeof(int32_t), backend_.stream());
    layers.push_back(static_cast<int>(counts.size() - std::count(counts.begin(), counts.end(), 0)));
  });
  const auto output = collect(launch(batch));
  observe_nodes(nullptr);
  if (!output.ok()) fail_load("a step failed: {}", output.status().message());
  return layers;
}

std::vector<float> GraphRunner::last_logits(int rows) const {
  std::vector<float> logits(static_cast<size_t>(rows) * static_cast<size_t>(limits_.vocab_size));
  backend_.copy_to_host(logits.data(), buffers_.get<float>("logits"), logits.size() * sizeof(float),
                        backend_.stream());
  return logits;
}

void GraphRunner::poison_arena() {
  const std::vector<std::byte> poison(arena_->bytes(), std::byte{0xff});  // 0xffffffff is a NaN
  backend_.copy_to_device(arena_->data(), poison.data(), poison.size(), backend_.stream());
}

GraphRunner::Memory GraphRunner::planned_memory() const {
  IoBuffers buffers(backend_);
  add_buffers(buffers);
  return {.weight_bytes = weights_.planned_bytes(),
          .arena_bytes = planned_arena_bytes(),
          .io_bytes = buffers.total_bytes() - buffers.bytes_of_states("_cache"),
          .graph_bytes = std::min(planned_graph_bytes(), options_.graph_memory_budget)};
}

// About, of the device, when all buckets are captured.
size_t GraphRunner::planned_graph_bytes() const {
  const LaunchAhead* ahead = launch_ahead(backend_);
  if (ahead == nullptr) return 0;
  const std::vector<int> executables = captures_.executables();
  const auto budget = static_cast<size_t>(backend_.graph_executables().budget);
  if (budget > 0 && budget < executables.size()) return budget * ahead->executable_bytes();
  return bytes_of_executables(*ahead, executables);
}

GraphRunner::Memory GraphRunner::memory() const {
  const size_t kv_bytes = buffers_.bytes_of_states("_cache");
  return {.weight_bytes = weights_.bytes(),
          .mapped_weight_bytes = weights_.mapped_bytes(),
          .kv_bytes = kv_bytes,
          .arena_bytes = arena_ ? arena_->bytes() : 0,
          .io_bytes = buffers_.total_bytes() - kv_bytes,
          .graph_bytes = captures_.totals().bytes};
}

}  // namespace musaic
