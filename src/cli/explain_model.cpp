#include "cli/explain_model.h"

#include <algorithm>

#include "cli/explain_choices.h"
#include "cli/moe_runner.h"
#include "cli/planned_device.h"
#include "cli/size_defaults.h"
#include "models/model.h"
#include "program/buckets.h"
#include "program/explain/explain.h"
#include "runner/model_graphs.h"
#include "runner/step_sizes.h"

namespace musaic {
namespace {

class ModelExplainer {
 public:
  ModelExplainer(const Platform& platform, const ModelFiles& files, const ExplainRequest& request)
      : files_(files),
        request_(request),
        device_(platform, request.device, request.cpu_isa, request.assume_kernels),
        defaults_(size_defaults(files.config, device_.target().device.type != "cpu")),
        page_size_(request.page_size > 0 ? request.page_size : defaults_.page_size),
        model_(make_model(files.config, files.weights.get(),
                          {.kv_dtype = exact() ? DType::kF32 : defaults_.kv_dtype,
                           .page_size = page_size_,
                           .deepgemm_layouts = uses_deepgemm_layouts(request.moe_runner_backend)})) {}

  Explanation run() {
    const ModelGraphs graphs = trace_model_graphs(*model_, device_.target(),
                                                  {.quantize_activations = !exact(),
                                                   .run_extend_passes = mode() != "breakable",
                                                   .run_decode_passes = mode() != "breakable",
                                                   .disabled_passes = request_.disabled_passes});
    const ModelGraph& traced = select(graphs);
    const Graph& graph = traced.graph;
    const std::vector<int> buckets = bucket_sizes();
    const int bucket = choose_bucket(request_.kind, request_.bucket, buckets);
    const Plan plan = plan_memory(graph, device_.target(), bindings(bucket), kernels_of(graph, graphs));
    const auto segments = split(graph, device_.target().registry, /*whole=*/mode() == "full");
    Explanation out = explain({.graph = graph,
                               .segments = segments,
                               .plan = plan,
                               .target = device_.target(),
                               .passes = traced.passes,
                               .extent = extent(bucket),
                               .roof = request_.roof});
    out.model = explained_name(files_);
    out.model_type = files_.config.model_type;
    out.mode = mode();
    out.bucket = bucket;
    out.buckets = buckets;
    out.dimension = bucket_dimension(request_.kind);
    return out;
  }

 private:
  bool exact() const { return request_.dtype == "float32"; }
  bool is_extend() const { return request_.kind == "extend"; }
  bool is_decode() const { return request_.kind == "decode"; }

  std::string mode() const {
    if (!request_.mode.empty()) return request_.mode;
    return is_extend() ? "piecewise" : "full";
  }

  const ModelGraph& select(const ModelGraphs& graphs) const {
    if (is_extend()) return graphs.extend;
    if (is_decode()) return graphs.decode;
    return request_.kind == "head" ? graphs.head : graphs.logprobs;
  }

  // As a runner chooses them for all graphs together.
  std::vector<const Kernel*> kernels_of(const Graph& graph, const ModelGraphs& graphs) const {
    const Target& target = device_.target();
    PackedWeights packed;
    for (const ModelGraph* traced : {&graphs.extend, &graphs.decode, &graphs.head, &graphs.logprobs})
      add_packed_weights(traced->graph, choose_kernels(traced->graph, target, MissingKernel::kPlan), packed);
    std::vector<const Kernel*> kernels = choose_kernels(graph, target, MissingKernel::kPlan);
    share_packed_weights(graph, target, packed, kernels);
    return kernels;
  }

  int max_context() const { return files_.config.max_position_embeddings; }
  int max_tokens() const { return std::min(defaults_.chunked_prefill_size, max_context()); }

  std::vector<int> bucket_sizes() const {
    const int max_graph_tokens = defaults_.max_graph_tokens > 0 ? defaults_.max_graph_tokens : max_tokens();
    const int max_sequences = defaults_.max_running_requests;
    if (is_extend()) return extend_buckets(std::min(max_graph_tokens, max_tokens()));
    if (is_decode()) return decode_buckets({}, max_sequences, max_sequences);
    return head_buckets();
  }

  StepExtent extent(int bucket) const {
    return choose_extent(request_.kind, bucket, request_.past, max_context());
  }

  DimBindings bindings(int bucket) const {
    const StepExtent step = extent(bucket);
    const int64_t positions = step.past + (is_extend() ? bucket : 1);
    const int64_t pages = (positions + page_size_ - 1) / page_size_;
    const StepSizes sizes{.max_tokens_per_step = max_tokens(),
                          .max_sequences = defaults_.max_running_requests,
                          .max_context = max_context(),
                          .page_size = page_size_,
                          .num_pages = static_cast<int>(step.sequences * pages)};
    if (is_extend()) return extend_bindings(sizes, bucket);
    if (is_decode()) return decode_bindings(sizes, bucket);
    return head_bindings(sizes, bucket);
  }

  const ModelFiles& files_;
  const ExplainRequest& request_;
  PlannedDevice device_;
  SizeDefaults defaults_;  // the server's
  int page_size_;
  std::unique_ptr<Model> model_;
};

}  // namespace

std::string explained_name(const ModelFiles& files) {
  const auto& path = files.path;
  const bool names_nothing = path.filename().empty() || path.filename() == "config.json";
  const auto name = names_nothing ? path.parent_path().filename() : path.filename();
  return name.empty() ? files.config.model_type : name.string();
}

Explanation explain_model(const Platform& platform, const ModelFiles& files, const ExplainRequest& request) {
  return ModelExplainer(platform, files, request).run();
}

}  // namespace musaic
