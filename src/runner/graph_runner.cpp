#include "runner/graph_runner.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/check.h"
#include "base/log.h"
#include "program/buckets.h"

namespace musaic {
namespace {

constexpr int kMaxHeadRows = 64;  // of logits at a time: 64 × vocabulary of floats

std::vector<int> extend_sizes(const GraphRunnerOptions& options) {
  std::vector<int> sizes = options.extend_sizes;
  if (sizes.empty()) sizes = extend_buckets(std::min(options.max_graph_tokens, options.max_tokens_per_step));
  std::sort(sizes.begin(), sizes.end());
  std::erase_if(sizes, [&](int size) { return size < 1 || size > options.max_tokens_per_step; });
  if (sizes.empty() || sizes.back() < options.max_tokens_per_step)
    sizes.push_back(options.max_tokens_per_step);
  return sizes;
}

size_t vocab_size(const ModelGraphs& graphs) {
  const Graph& head = graphs.head.graph;
  return static_cast<size_t>(head.values[head.output("logits")].meta.dim(-1).constant());
}

}  // namespace

GraphRunner::GraphRunner(const Model& model, const Target& target, Backend& backend,
                         GraphRunnerOptions options)
    : backend_(backend),
      options_(std::move(options)),
      graphs_(trace_model_graphs(model, target, options_.graphs)),
      extend_sizes_(extend_sizes(options_)),
      decode_sizes_(
          decode_buckets(options_.decode_sizes, options_.default_max_decode, options_.max_sequences)),
      head_sizes_(head_buckets()),
      extend_(graphs_.extend.graph, target, backend, options_.whole_extend),
      decode_(graphs_.decode.graph, target, backend, /*whole=*/true),
      head_(graphs_.head.graph, target, backend, /*whole=*/true),
      logprobs_(graphs_.logprobs.graph, target, backend, /*whole=*/true),
      buffers_(backend),
      weights_(backend) {
  if (decode_sizes_.empty() || decode_sizes_.back() < options_.max_sequences) {
    decode_sizes_.push_back(options_.max_sequences);
  }
  const int page_size = model.cache().page_size;
  limits_ = {.max_tokens_per_step = options_.max_tokens_per_step,
             .max_sequences = options_.max_sequences,
             .max_context = options_.max_context,
             .page_size = page_size,
             .num_pages = options_.num_pages,
             .vocab_size = static_cast<int>(vocab_size(graphs_))};
  fixed_ = {{"pages", options_.num_pages},
            {"max_pages", (options_.max_context + page_size - 1) / page_size},
            {"hidden_rows", std::max(options_.max_tokens_per_step, options_.max_sequences)},
            {"slots", options_.max_sequences}};
  add_buckets();
}

DimBindings GraphRunner::bindings(int tokens, int sequences) const {
  DimBindings all = fixed_;
  all["tokens"] = tokens;
  all["sequences"] = sequences;
  return all;
}

DimBindings GraphRunner::head_bindings(const DimBindings& base, int rows) {
  DimBindings all = base;
  all["rows"] = rows;
  return all;
}

void GraphRunner::add_buckets() {
  for (int size : extend_sizes_)
    weights_.request(graphs_.extend.graph, extend_.add_bucket(size, bindings(size, options_.max_sequences)));
  for (int size : decode_sizes_)
    weights_.request(graphs_.decode.graph, decode_.add_bucket(size, bindings(size, size)));
  for (int size : head_sizes_) {
    weights_.request(graphs_.head.graph, head_.add_bucket(size, head_bindings(fixed_, size)));
    logprobs_.add_bucket(size, head_bindings(fixed_, size));
  }
}

void GraphRunner::load(const WeightReader& reader, int num_threads, const LoadProgress& progress) {
  weights_.load(reader, num_threads, progress);
  const DimBindings largest = head_bindings(
      bindings(std::max(extend_sizes_.back(), decode_sizes_.back()), options_.max_sequences), kMaxHeadRows);
  for (const ModelGraph* graph : {&graphs_.extend, &graphs_.decode, &graphs_.head, &graphs_.logprobs}) {
    buffers_.add(graph->graph, largest);
  }
  buffers_.allocate();
  const size_t arena_bytes =
      std::max({extend_.arena_bytes(), decode_.arena_bytes(), head_.arena_bytes(), logprobs_.arena_bytes()});
  arena_ = backend_.allocate(arena_bytes, "arena");
  for (Program* program : {&extend_, &decode_, &head_, &logprobs_}) {
    program->bind(buffers_.addresses(), weights_, arena_->data());
  }
  step_writer_.emplace(backend_, buffers_, std::max(extend_sizes_.back(), decode_sizes_.back()),
                       options_.max_sequences, static_cast<int>(fixed_.at("max_pages")), limits_.page_size);
  head_writer_.emplace(backend_, buffers_, kMaxHeadRows);
}

bool GraphRunner::capture_next() {
  const auto capture_largest = [this](Program& program, const std::vector<int>& sizes, int limit) {
    for (auto size = sizes.rbegin(); size != sizes.rend(); ++size) {
      if (*size > limit || program.is_captured(*size)) continue;
      capture(program, *size);
      return true;
    }
    return false;
  };
  if (options_.capture_decode && capture_largest(head_, head_sizes_, kMaxHeadRows)) return true;
  if (options_.capture_decode && capture_largest(logprobs_, head_sizes_, kMaxHeadRows)) return true;
  if (options_.capture_decode && capture_largest(decode_, decode_sizes_, options_.max_sequences)) return true;
  return options_.capture_extend && capture_largest(extend_, extend_sizes_, options_.max_graph_tokens);
}

bool GraphRunner::work_while_idle() {
  if (!capture_next()) return false;
  if (num_captured_ == num_buckets()) {
    spdlog::info("captured {} buckets in {:.1f} ms, {:.1f} MiB", num_buckets(), capture_seconds() * 1e3,
                 static_cast<double>(memory().graph_bytes) / (1 << 20));
  }
  return true;
}

int GraphRunner::num_buckets() const {
  const auto extend = std::count_if(extend_sizes_.begin(), extend_sizes_.end(),
                                    [&](int size) { return size <= options_.max_graph_tokens; });
  return static_cast<int>((options_.capture_extend ? extend : 0) +
                          (options_.capture_decode ? decode_sizes_.size() + 2 * head_sizes_.size() : 0));
}

void GraphRunner::capture(Program& program, int bucket) {
  program.capture(bucket);
  ++num_captured_;
}

StepChoice GraphRunner::choose(StepKind kind, int tokens) const {
  const bool decode = kind == StepKind::kDecode;
  const auto& sizes = decode ? decode_sizes_ : extend_sizes_;
  const int bucket = bucket_for(sizes, tokens);
  CHECK(bucket > 0, "a step of {} tokens is above the limit of {}", tokens, sizes.back());
  if (!(decode ? options_.capture_decode : options_.capture_extend))
    return {bucket, false, "graphs_disabled"};
  if (force_eager_) return {bucket, false, "forced_eager"};
  if (!decode && bucket > options_.max_graph_tokens) return {bucket, false, "above_max_graph_tokens"};
  if (decode && !options_.pad_decode && bucket != tokens) return {bucket, false, "padding_disabled"};
  return {bucket, true, "bucket"};
}

void GraphRunner::run_program(Program& program, int bucket, bool replay) {
  if (!replay) return program.run_eagerly(bucket);
  if (!program.is_captured(bucket)) capture(program, bucket);
  program.replay(bucket);
}

// A new sequence's penalties start from its own past, not from the slot's last owner.
void GraphRunner::prepare_slots(const Batch& batch) {
  const size_t row_bytes = static_cast<size_t>(limits_.vocab_size) * sizeof(int32_t);
  for (const BatchSequence& sequence : batch.sequences) {
    if (!sequence.reset_slot || !has_penalties(sequence.sampling)) continue;
    int32_t* row =
        buffers_.get<int32_t>("token_counts") + static_cast<size_t>(sequence.slot) * limits_.vocab_size;
    std::vector<int32_t> counts(limits_.vocab_size, 0);
    for (TokenId token : sequence.output_tokens) ++counts[token];
    backend_.copy_to_device(row, counts.data(), row_bytes, backend_.stream());
  }
}

StepRecord GraphRunner::run_body(const Batch& batch) {
  const int tokens = batch.num_tokens();
  const StepChoice choice = choose(batch.kind, tokens);
  step_writer_->write(batch);
  run_program(batch.kind == StepKind::kDecode ? decode_ : extend_, choice.bucket, choice.replay);
  return {.kind = batch.kind,
          .replayed = choice.replay,
          .tokens = tokens,
          .bucket = choice.bucket,
          .reason = choice.reason};
}

std::vector<HeadRow> GraphRunner::wanted_rows(const Batch& batch) const {
  std::vector<HeadRow> rows;
  int first_row = 0;
  for (int s = 0; s < static_cast<int>(batch.sequences.size()); ++s) {
    const BatchSequence& sequence = batch.sequences[s];
    for (int i = sequence.logprob_begin; i < sequence.logprob_end; ++i) {
      rows.push_back({first_row + i, s, false, sequence.logprob_targets[i - sequence.logprob_begin]});
    }
    first_row += static_cast<int>(sequence.tokens.size());
    if (sequence.sample) rows.push_back({first_row - 1, s, true, -1});
  }
  return rows;
}

void GraphRunner::run_head(const Batch& batch, std::span<const HeadRow> rows, bool replay,
                           StepOutput& output) {
  const int bucket = bucket_for(head_sizes_, static_cast<int>(rows.size()));
  head_writer_->write_sampling(batch, rows);
  run_program(head_, bucket, replay);
  std::vector<TokenId> tokens(rows.size());
  backend_.copy_to_host(tokens.data(), buffers_.get<int32_t>("token"), tokens.size() * sizeof(TokenId),
                        backend_.stream());
  if (observer_) observer_(rows, buffers_.get<float>("logits"));
  bool any_logprobs = false;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].draw) output.sequences[rows[i].sequence].tokens.push_back(tokens[i]);
    any_logprobs |= rows[i].target >= 0 || batch.sequences[rows[i].sequence].output_logprobs;
  }
  if (any_logprobs) gather_logprobs(batch, rows, tokens, replay, output);
}

void GraphRunner::gather_logprobs(const Batch& batch, std::span<const HeadRow> rows,
                                  std::span<const TokenId> tokens, bool replay, StepOutput& output) {
  head_writer_->write_logprobs(batch, rows, tokens);
  run_program(logprobs_, bucket_for(head_sizes_, static_cast<int>(rows.size())), replay);
  const auto fetch = [&](const char* name, auto& values) {
    backend_.copy_to_host(values.data(), buffers_.get<void>(name), values.size() * sizeof(values[0]),
                          backend_.stream());
  };
  std::vector<float> targets(rows.size());
  std::vector<float> top_logprobs(rows.size() * kMaxTopLogprobs);
  std::vector<int32_t> top_ids(rows.size() * kMaxTopLogprobs);
  std::vector<float> probes(rows.size() * kMaxProbeTokens);
  fetch("target_logprob", targets);
  fetch("top_logprobs", top_logprobs);
  fetch("top_ids", top_ids);
  fetch("probe_logprobs", probes);
  for (size_t i = 0; i < rows.size(); ++i) {
    const BatchSequence& sequence = batch.sequences[rows[i].sequence];
    const bool of_prompt = rows[i].target >= 0;
    if (!of_prompt && !sequence.output_logprobs) continue;
    PositionLogprobs position{.token = of_prompt ? rows[i].target : tokens[i], .logprob = targets[i]};
    for (int k = 0; k < sequence.top_n; ++k) {
      position.top.emplace_back(top_ids[i * kMaxTopLogprobs + k], top_logprobs[i * kMaxTopLogprobs + k]);
    }
    for (size_t k = 0; k < sequence.probes.size(); ++k) {
      position.probes.emplace_back(sequence.probes[k], probes[i * kMaxProbeTokens + k]);
    }
    SequenceOutput& result = output.sequences[rows[i].sequence];
    (of_prompt ? result.input_logprobs : result.output_logprobs).push_back(std::move(position));
  }
}

Runner::Ticket GraphRunner::launch(const Batch& batch) {
  CHECK(!pending_, "the last step was not collected");
  const auto start = std::chrono::steady_clock::now();
  StepOutput output;
  for (const BatchSequence& sequence : batch.sequences)
    output.sequences.push_back({.request = sequence.request});
  prepare_slots(batch);
  output.record = run_body(batch);
  const auto rows = wanted_rows(batch);
  for (size_t begin = 0; begin < rows.size(); begin += kMaxHeadRows) {
    const size_t count = std::min<size_t>(kMaxHeadRows, rows.size() - begin);
    run_head(batch, std::span(rows).subspan(begin, count), output.record.replayed, output);
  }
  output.record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  pending_ = std::move(output);
  return next_ticket_++;
}

Result<StepOutput> GraphRunner::collect(Ticket ticket) {
  CHECK(pending_ && ticket + 1 == next_ticket_, "ticket {} is not in flight", ticket);
  StepOutput output = std::move(*pending_);
  pending_.reset();
  return output;
}

void GraphRunner::observe_nodes(const Program::NodeObserver& observer) {
  force_eager_ = observer != nullptr;
  for (Program* program : {&extend_, &decode_, &head_}) program->observe_nodes(observer);
}

void GraphRunner::poison_arena() {
  const std::vector<std::byte> poison(arena_->bytes(), std::byte{0xff});  // 0xffffffff is a NaN
  backend_.copy_to_device(arena_->data(), poison.data(), poison.size(), backend_.stream());
}

GraphRunner::Memory GraphRunner::memory() const {
  const size_t kv_bytes = buffers_.bytes_of_states("_cache");
  return {.weight_bytes = weights_.bytes(),
          .mapped_weight_bytes = weights_.mapped_bytes(),
          .kv_bytes = kv_bytes,
          .arena_bytes = arena_ ? arena_->bytes() : 0,
          .io_bytes = buffers_.total_bytes() - kv_bytes,
          .graph_bytes = extend_.captured_bytes() + decode_.captured_bytes() + head_.captured_bytes() +
                         logprobs_.captured_bytes()};
}

double GraphRunner::capture_seconds() const {
  return extend_.capture_seconds() + decode_.capture_seconds() + head_.capture_seconds() +
         logprobs_.capture_seconds();
}

}  // namespace musaic
