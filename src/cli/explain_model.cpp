#include "cli/explain_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/status.h"
#include "cli/planned_device.h"
#include "models/model.h"
#include "program/buckets.h"
#include "program/explain/explain.h"
#include "runner/model_graphs.h"
#include "runner/step_sizes.h"

namespace musaic {
namespace {

constexpr int kMaxTokens = 512;  // the server's defaults
constexpr int kMaxSequences = 64;
constexpr int kUsualPast = 1024;  // of a decode step

std::string model_name(const ModelFiles& files) {
  const auto& path = files.path;
  const bool names_nothing = path.filename().empty() || path.filename() == "config.json";
  const auto name = names_nothing ? path.parent_path().filename() : path.filename();
  return name.empty() ? files.config.model_type : name.string();
}

std::string list_sizes(const std::vector<int>& sizes) {
  return fmt::format("{}", fmt::join(sizes, " "));
}

class ModelExplainer {
 public:
  ModelExplainer(const Platform& platform, const ModelFiles& files, const ExplainRequest& request)
      : files_(files),
        request_(request),
        device_(platform, request.device, request.cpu_isa, request.assume_kernels),
        model_(
            make_model(files.config, files.weights.get(),
                       {.kv_dtype = exact() ? DType::kF32 : DType::kF16, .page_size = request.page_size})) {}

  Explanation run() {
    const ModelGraphs graphs = trace_model_graphs(*model_, device_.target(),
                                                  {.quantize_activations = !exact(),
                                                   .run_passes = mode() != "breakable",
                                                   .disabled_passes = request_.disabled_passes});
    const ModelGraph& traced = select(graphs);
    const Graph& graph = traced.graph;
    const std::vector<int> buckets = bucket_sizes();
    const int bucket = choose_bucket(buckets);
    const Plan plan = plan_memory(graph, device_.target(), bindings(bucket), MissingKernel::kPlan);
    const auto segments = split(graph, device_.target().registry, /*whole=*/mode() == "full");
    Explanation out = explain({.graph = graph,
                               .segments = segments,
                               .plan = plan,
                               .target = device_.target(),
                               .passes = traced.passes,
                               .extent = extent(bucket),
                               .roof = request_.roof});
    out.model = model_name(files_);
    out.model_type = files_.config.model_type;
    out.mode = mode();
    out.bucket = bucket;
    out.buckets = buckets;
    out.dimension = dimension();
    return out;
  }

 private:
  bool exact() const { return request_.dtype == "float32"; }
  bool is_extend() const { return request_.kind == "extend"; }
  bool is_decode() const { return request_.kind == "decode"; }
  bool has_past() const { return is_extend() || is_decode(); }

  std::string mode() const {
    if (!request_.mode.empty()) return request_.mode;
    return is_extend() ? "piecewise" : "full";
  }

  std::string dimension() const { return is_extend() ? "tokens" : is_decode() ? "sequences" : "rows"; }

  const ModelGraph& select(const ModelGraphs& graphs) const {
    if (is_extend()) return graphs.extend;
    if (is_decode()) return graphs.decode;
    return request_.kind == "head" ? graphs.head : graphs.logprobs;
  }

  int max_context() const { return files_.config.max_position_embeddings; }
  int max_tokens() const { return std::min(kMaxTokens, max_context()); }

  std::vector<int> bucket_sizes() const {
    if (is_extend()) return extend_buckets(max_tokens());
    if (is_decode()) return decode_buckets({}, kMaxSequences, kMaxSequences);
    return head_buckets();
  }

  int choose_bucket(const std::vector<int>& buckets) const {
    const int asked = request_.bucket;
    if (asked < 0) return is_extend() ? buckets.back() : buckets.front();
    const int holding = bucket_for(buckets, asked);
    if (holding == asked) return asked;
    if (holding < 0)
      fail_load("--bucket {}: above the largest of {}, {}; there are: {}", asked, request_.kind,
                buckets.back(), list_sizes(buckets));
    fail_load("--bucket {}: no bucket of {}; {} {} run in bucket {}; there are: {}", asked, request_.kind,
              asked, dimension(), holding, list_sizes(buckets));
  }

  int sequences(int bucket) const { return is_decode() ? bucket : 1; }

  StepExtent extent(int bucket) const {
    if (!has_past()) return {.sequences = bucket};
    const int step = is_decode() ? 1 : bucket;
    const int most = max_context() - step;
    const int past = request_.past >= 0 ? request_.past : is_decode() ? std::min(kUsualPast, most) : 0;
    if (past > most)
      fail_load("--past {}: with the step's {} tokens above the model's {} positions", past, step,
                max_context());
    return {.sequences = sequences(bucket), .past = past};
  }

  DimBindings bindings(int bucket) const {
    const StepExtent step = extent(bucket);
    const int64_t positions = step.past + (is_extend() ? bucket : 1);
    const int64_t pages = (positions + request_.page_size - 1) / request_.page_size;
    const StepSizes sizes{.max_tokens_per_step = max_tokens(),
                          .max_sequences = kMaxSequences,
                          .max_context = max_context(),
                          .page_size = request_.page_size,
                          .num_pages = static_cast<int>(step.sequences * pages)};
    if (is_extend()) return extend_bindings(sizes, bucket);
    if (is_decode()) return decode_bindings(sizes, bucket);
    return head_bindings(sizes, bucket);
  }

  const ModelFiles& files_;
  const ExplainRequest& request_;
  PlannedDevice device_;
  std::unique_ptr<Model> model_;
};

}  // namespace

Explanation explain_model(const Platform& platform, const ModelFiles& files, const ExplainRequest& request) {
  return ModelExplainer(platform, files, request).run();
}

}  // namespace musaic
