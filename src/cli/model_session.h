#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/graph_table.h"
#include "cli/platform.h"
#include "engine/engine.h"
#include "formats/json.h"
#include "models/model.h"
#include "runner/graph_runner.h"
#include "server/server_context.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"
#include "weights/model_files.h"

namespace musaic {

// How one model is run, named after the server's flags. -1 or empty: the default of docs/OPERATIONS.md.
struct SessionOptions {
  std::string model_path;      // empty: the default model
  std::string tokenizer_path;  // empty: with the model; may be another model's
  bool skip_tokenizer = false;
  std::string load_format = "auto";
  std::string dtype = "auto";
  std::string kv_cache_dtype = "auto";
  std::string quantization;  // "fp8": linears that are not in FP8 are quantized; otherwise as they are
  BackendRequest backend;
  int context_length = -1;
  double mem_fraction_static = -1.0;  // share of a GPU's memory for weights and KV cache
  int64_t max_total_tokens = -1;
  int max_running_requests = -1;
  int max_queued_requests = -1;
  int chunked_prefill_size = 0;  // 0: default, -1: off
  int page_size = -1;
  GraphRequest graphs;
  std::vector<std::string> disabled_passes;
  std::vector<std::string> allowed_decompositions;  // fused ops that the device may lack
  std::string moe_runner_backend = "auto";
  bool deterministic = false;   // a row's bits do not depend on what else its step has
  std::optional<bool> overlap;  // a step is launched before the tokens of the one before are read; default:
                                // on a device with memory of its own
  EngineOptions engine;         // its queue and its scheduler's chunk are set by the session
  bool show_progress = true;
  std::string chat_template;  // a file, or the template itself; empty: the model's
};

// A model made ready to run: files, device, graphs, tokenizer. Throws LoadError. One thread; the engine that
// it starts has its own.
class ModelSession {
 public:
  // REQUIRES: platform outlives the session.
  ModelSession(const Platform& platform, SessionOptions options);
  ~ModelSession();

  // Reads the weights and allocates; the constructor has only traced and planned.
  void load();
  // Makes an engine over the runner; not started. REQUIRES: loaded; one engine at a time.
  std::unique_ptr<Engine> make_engine();
  // Captures every bucket that the budget has room for now instead of in idle gaps.
  void capture_all();
  // The graph flags as they are in force.
  const ResolvedGraphs& graphs() const { return graphs_; }

  const SessionOptions& options() const { return options_; }
  const ModelFiles& files() const { return files_; }
  const ModelConfig& config() const { return files_.config; }
  GraphRunner& runner() { return *runner_; }
  const GraphRunner& runner() const { return *runner_; }
  const Target& target() const { return *target_; }
  Backend& backend() { return *backend_; }
  const Backend& backend() const { return *backend_; }
  const std::shared_ptr<const Tokenizer>& tokenizer() const { return tokenizer_; }  // nullptr when skipped
  const std::shared_ptr<const ChatTemplate>& chat_template() const {
    return chat_template_;
  }  // nullptr: none
  // Renders messages with the model's template; empty without one. Any thread; outlives the session.
  RenderChat chat_renderer() const;
  void log_summary() const;
  std::string tokenizer_path() const;
  int context_length() const { return context_length_; }
  int64_t max_total_tokens() const { return max_total_tokens_; }
  int max_queued_requests() const { return max_queued_requests_; }
  bool overlaps() const { return overlap_; }
  int chunked_prefill_size() const { return options_.chunked_prefill_size < 0 ? -1 : chunk_; }
  DType kv_dtype() const { return kv_dtype_; }
  std::string dtype() const { return exact() ? "float32" : options_.dtype; }

  // Programs, buckets, passes, capture state and memory, for /server_info. Any thread.
  Json program_info() const;

 private:
  bool exact() const { return options_.dtype == "float32" || options_.dtype == "float"; }
  void open_files();
  void load_tokenizer();
  void load_chat_template();
  void log_tokenizer() const;
  void choose_sizes();
  bool memory_limits_executables() const;
  int64_t kv_budget_bytes() const;
  int64_t most_kv_tokens() const;
  void choose_kv_capacity();  // REQUIRES: runner_
  GraphRunnerOptions runner_options() const;

  const Platform& platform_;
  SessionOptions options_;
  std::unique_ptr<Backend> backend_;
  Capabilities capabilities_;  // the device's, as far as the options let kernels use them
  ModelFiles files_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Target> target_;
  std::unique_ptr<GraphRunner> runner_;
  std::vector<std::string> decomposed_ops_;
  std::shared_ptr<const Tokenizer> tokenizer_;         // shared with answers under way
  std::shared_ptr<const ChatTemplate> chat_template_;  // likewise
  DType kv_dtype_ = DType::kF16;
  int context_length_ = 0;
  int64_t max_total_tokens_ = 0;
  int max_running_requests_ = 0;
  int max_queued_requests_ = 0;
  int chunk_ = 0;
  bool overlap_ = false;
  ResolvedGraphs graphs_;
  double load_seconds_ = 0.0;
  Json description_;  // of the programs, made once they are loaded
};

// The values of --kv-cache-dtype.
std::vector<std::string> kv_cache_dtypes();

// The GGUF that `make serve` fetches: $XDG_CACHE_HOME or ~/.cache, musaic/models/. Throws LoadError with the
// command when it is not there.
std::string default_model_path();

}  // namespace musaic
