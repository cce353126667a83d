#include "runner/model_graphs.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "base/status.h"
#include "ops/index_select/index_select.h"
#include "ops/logprobs/logprobs.h"
#include "ops/sample/sample.h"
#include "request/request.h"
#include "sampling/sampling_params.h"

namespace musaic {
namespace {

// In a decode step row s is sequence s: both are one dimension.
StepInputs add_step_inputs(GraphBuilder& builder, StepForm form) {
  const Dim tokens = Dim::symbol("tokens");
  const Dim sequences = form == StepForm::kDecode ? tokens : Dim::symbol("sequences");
  builder.input("num_tokens", DType::kI32, {1});
  StepInputs inputs;
  inputs.form = form;
  inputs.token_ids = builder.input("token_ids", DType::kI32, {tokens});
  inputs.positions = builder.input("positions", DType::kI32, {tokens});
  inputs.slots = builder.input("slots", DType::kI32, {tokens});
  inputs.query_start = builder.input("query_start", DType::kI32, {sequences + 1});
  inputs.kv_lengths = builder.input("kv_lengths", DType::kI32, {sequences});
  inputs.page_table = builder.input("page_table", DType::kI32, {sequences, Dim::symbol("max_pages")});
  inputs.num_sequences = builder.input("num_sequences", DType::kI32, {1});
  return inputs;
}

void trace_extend(const Model& model, GraphBuilder& builder) {
  builder.output("hidden", model.forward(builder, add_step_inputs(builder, StepForm::kExtend)));
}

SampleArguments add_sample_inputs(GraphBuilder& builder, Value logits) {
  const Dim rows = logits.dim(0);
  const auto floats = [&](const char* name) { return builder.input(name, DType::kF32, {rows}); };
  const auto ints = [&](const char* name) { return builder.input(name, DType::kI32, {rows}); };
  SampleArguments arguments;
  arguments.logits = logits;
  arguments.temperature = floats("temperature");
  arguments.top_k = ints("top_k");
  arguments.top_p = floats("top_p");
  arguments.min_p = floats("min_p");
  arguments.seed = builder.input("seed", DType::kI64, {rows});
  arguments.draw = ints("draw");
  arguments.frequency_penalty = floats("frequency_penalty");
  arguments.presence_penalty = floats("presence_penalty");
  arguments.repetition_penalty = floats("repetition_penalty");
  arguments.count_slot = ints("count_slot");
  arguments.bias_count = ints("bias_count");
  arguments.bias_ids = builder.input("bias_ids", DType::kI32, {rows, kBiasColumns});
  arguments.bias_values = builder.input("bias_values", DType::kF32, {rows, kBiasColumns});
  arguments.token_counts = builder.state("token_counts", DType::kI32, {Dim::symbol("slots"), logits.dim(-1)});
  return arguments;
}

// Logits of these rows, and a token drawn from each.
void draw(const Model& model, GraphBuilder& builder, Value hidden) {
  const Value logits = model.head(builder, hidden);
  builder.output("logits", logits);
  builder.output("token", sample(add_sample_inputs(builder, logits)).token);
}

// Every row draws.
void trace_decode(const Model& model, GraphBuilder& builder) {
  draw(model, builder, model.forward(builder, add_step_inputs(builder, StepForm::kDecode)));
}

void trace_head(const Model& model, GraphBuilder& builder, int64_t hidden_size) {
  builder.input("num_rows", DType::kI32, {1});
  const Value hidden = builder.input("hidden", DType::kF32, {Dim::symbol("hidden_rows"), hidden_size});
  const Value row_index = builder.input("row_index", DType::kI32, {Dim::symbol("rows")});
  draw(model, builder, index_select(hidden, row_index));
}

void trace_logprobs(GraphBuilder& builder, int64_t vocab_size) {
  const Dim rows = Dim::symbol("rows");
  builder.input("num_rows", DType::kI32, {1});
  const LogprobResult result =
      logprobs({.logits = builder.input("logits", DType::kF32, {rows, vocab_size}),
                .target = builder.input("target", DType::kI32, {rows}),
                .top_n = builder.input("top_n", DType::kI32, {rows}),
                .probe_count = builder.input("probe_count", DType::kI32, {rows}),
                .probe_ids = builder.input("probe_ids", DType::kI32, {rows, kMaxProbeTokens}),
                .max_top_n = kMaxTopLogprobs});
  builder.output("target_logprob", result.target);
  builder.output("top_ids", result.top_ids);
  builder.output("top_logprobs", result.top_logprobs);
  builder.output("probe_logprobs", result.probes);
}

void check_names(const std::vector<std::string>& disabled) {
  const std::vector<std::string> known = pass_names();
  for (const std::string& name : disabled) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      fail_load("--disable-pass: no pass {}; there are: {}", name, fmt::join(known, ", "));
  }
}

std::vector<Pass> passes_up_to(const GraphOptions& options, const std::string& after) {
  check_names(options.disabled_passes);
  if (after == "trace") return {};
  std::vector<Pass> passes = passes_for(options.quantize_activations);
  if (after.empty()) return passes;
  for (size_t i = 0; i < passes.size(); ++i) {
    if (passes[i].name == after) return {passes.begin(), passes.begin() + static_cast<std::ptrdiff_t>(i) + 1};
  }
  fail_load("no pass {}; there are: trace, {}", after, fmt::join(pass_names(), ", "));
}

ModelGraph trace(const char* name, const Target& target, const GraphOptions& options,
                 std::span<const Pass> passes, const std::function<void(GraphBuilder&)>& forward) {
  const auto start = std::chrono::steady_clock::now();
  GraphBuilder builder(target.registry, name, target.device);
  forward(builder);
  ModelGraph traced{.graph = builder.take()};
  const auto problems = verify(traced.graph, target.registry);
  CHECK(problems.empty(), "graph {} as traced: {}", name, problems.front());
  traced.trace_milliseconds =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  traced.passes = run_passes(traced.graph, target, passes, options.disabled_passes);
  return traced;
}

int64_t last_dim_of_output(const Graph& graph, std::string_view name) {
  return graph.values[graph.output(name)].meta.dim(-1).constant();
}

}  // namespace

ModelGraphs trace_model_graphs(const Model& model, const Target& target, const GraphOptions& options,
                               const std::string& after) {
  require_fakes(target.registry);
  const std::vector<Pass> all_passes = passes_up_to(options, after);
  const auto passes_if = [&](bool wanted) {
    return std::span(all_passes).first(wanted ? all_passes.size() : 0);
  };
  const auto passes = passes_if(options.run_decode_passes);
  ModelGraphs graphs;
  graphs.extend = trace("extend", target, options, passes_if(options.run_extend_passes),
                        [&](GraphBuilder& builder) { trace_extend(model, builder); });
  graphs.decode =
      trace("decode", target, options, passes, [&](GraphBuilder& builder) { trace_decode(model, builder); });
  const int64_t hidden_size = last_dim_of_output(graphs.extend.graph, "hidden");
  graphs.head = trace("head", target, options, passes,
                      [&](GraphBuilder& builder) { trace_head(model, builder, hidden_size); });
  const int64_t vocab_size = last_dim_of_output(graphs.head.graph, "logits");
  graphs.logprobs = trace("logprobs", target, options, passes,
                          [&](GraphBuilder& builder) { trace_logprobs(builder, vocab_size); });
  return graphs;
}

}  // namespace musaic
