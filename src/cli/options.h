#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/graph_request.h"
#include "formats/json.h"

namespace musaic {

// Everything that `musaic serve` can be told. -1 or empty: the default, which the device and the model
// decide.
struct ServeOptions {
  // Model.
  std::string model_path;
  std::string served_model_name;
  std::string tokenizer_path;
  bool skip_tokenizer_init = false;
  std::string load_format = "auto";
  std::string dtype = "auto";
  std::string quantization;
  std::string kv_cache_dtype = "auto";
  std::string device = "auto";
  int context_length = -1;
  std::string chat_template;  // a file, or the template itself

  // Memory and scheduling.
  double mem_fraction_static = -1.0;
  int64_t max_total_tokens = -1;
  int max_running_requests = -1;
  int max_queued_requests = -1;
  int max_prefill_tokens = -1;
  int page_size = -1;
  int chunked_prefill_size = 0;  // 0: default, -1: off
  double itl_target_ms = -1.0;   // 0: off
  std::string schedule_policy = "fcfs";
  double schedule_conservativeness = 1.0;
  bool disable_radix_cache = false;
  bool disable_overlap_schedule = false;
  bool enable_overlap_schedule = false;
  bool enable_deterministic_inference = false;
  std::optional<int64_t> random_seed;
  double watchdog_timeout_seconds = 300.0;
  std::string profile;  // file of a trace of the whole run

  // Programs and the processor.
  GraphRequest graphs;
  std::vector<std::string> disabled_passes;
  std::vector<std::string> allowed_decompositions;  // fused ops that the device may lack
  std::string moe_runner_backend = "auto";
  std::vector<std::string> plugins;  // shared libraries with ops
  std::string cpu_isa;               // empty: the best that the processor has
  int threads = 0;                   // 0: the CPUs that the process may use
  bool skip_server_warmup = false;

  // HTTP.
  std::string host = "127.0.0.1";
  int port = 30000;
  std::string api_key;
  std::string admin_api_key;
  std::vector<std::string> allowed_origins;
  int stream_interval = 1;
  bool enable_metrics = true;
  std::string log_level = "info";
  bool log_requests = false;

  std::vector<std::string> notes;  // for the log: what is used instead of a thing that was named
  bool show_help = false;          // print serve_help() and end with code 0
};

// Reads the words after the verb. One sentence when a flag is unknown (with the nearest name), its value is
// wrong (with what was expected), or it asks for what is not supported yet.
Result<ServeOptions> parse_serve_options(const std::vector<std::string>& arguments);

std::string serve_help();

// The flags as resolved, under SGLang's names, for /server_info. Holds no key.
Json to_json(const ServeOptions& options);

}  // namespace musaic
