#include "cli/serve_flags.h"

#include <limits>

#include "cli/command_line.h"
#include "cli/device_flag.h"
#include "cli/model_flags.h"
#include "cli/model_session.h"
#include "cli/moe_runner.h"

namespace musaic {
namespace {

constexpr int kMax = std::numeric_limits<int>::max();

void add_model_group(CLI::App& app, ServeOptions& options) {
  FlagGroup group(app, "Model");
  group.add_option("--model-path,--model,-m", options.model_path,
                   "a GGUF file, a Hugging Face folder, or org/name in the hub cache; default: the model "
                   "that `make serve` fetches");
  group.add_option("--served-model-name", options.served_model_name,
                   "its name in answers; default: the model path");
  group.add_option(
      "--tokenizer-path", options.tokenizer_path,
      "a GGUF file, a folder with tokenizer.json, or org/name in the hub cache; may be another model's; "
      "default: with the model");
  group.add_flag("--skip-tokenizer-init", options.skip_tokenizer_init, "token ids in and out, no text");
  group
      .add_option("--load-format", options.load_format, "default: auto, from the file; dummy: random weights")
      ->check(CLI::IsMember({"auto", "dummy", "safetensors", "gguf"}));
  group
      .add_option(
          "--dtype", options.dtype,
          "default: auto, quantized weights meet quantized activations, bf16 ones on a GPU rounded ones; "
          "float32: exact")
      ->check(CLI::IsMember({"auto", "half", "float16", "bfloat16", "float", "float32"}));
  group.add_option("--quantization", options.quantization,
                   "default: none, weights are used as they are stored; fp8: linears in bf16, f16 or float32 "
                   "are quantized as "
                   "they are loaded");
  group
      .add_option("--kv-cache-dtype", options.kv_cache_dtype,
                  "default: float16 on the CPU, bfloat16 on a GPU; fp8_e4m3: half of its memory and less "
                  "exact, on the CPU")
      ->check(CLI::IsMember(kv_cache_dtypes()));
  group.add_option("--device", options.device, "default: auto, the best one there is")->check(is_device());
  group.add_option("--context-length", options.context_length, "default: the model's")
      ->check(in_range(1, kMax));
  group.add_option("--chat-template", options.chat_template,
                   "a file, or the template itself; default: the model's");
}

void add_schedule_group(CLI::App& app, ServeOptions& options) {
  FlagGroup group(app, "Memory and scheduling");
  group
      .add_option("--mem-fraction-static", options.mem_fraction_static,
                  "share of a GPU's memory for all that it holds: what weights, steps and captures leave of "
                  "it is KV cache; default: 0.88")
      ->check(in_range(0.01, 1.0));
  group
      .add_option("--max-total-tokens", options.max_total_tokens,
                  "KV tokens; default on the CPU: a quarter of the free memory or 64 contexts; on a GPU: "
                  "what --mem-fraction-static leaves")
      ->check(in_range(int64_t{1}, std::numeric_limits<int64_t>::max()));
  group
      .add_option("--max-running-requests", options.max_running_requests,
                  "default: 64 on the CPU, 256 on a GPU")
      ->check(in_range(1, kMax));
  group
      .add_option("--max-queued-requests", options.max_queued_requests,
                  "with more waiting: 503; default: 1024 on the CPU, 4096 on a GPU")
      ->check(in_range(1, kMax));
  group
      .add_option("--max-prefill-tokens", options.max_prefill_tokens,
                  "prompt tokens in one step; default: as the chunk")
      ->check(in_range(1, kMax));
  group
      .add_option("--chunked-prefill-size", options.chunked_prefill_size,
                  "tokens of prompts in one step, -1: off; default: 512 on the CPU, 8192 on a GPU")
      ->check(in_range(-1, kMax));
  group
      .add_option("--itl-target-ms", options.itl_target_ms,
                  "prompts join running answers in chunks that keep their inter-token latency; 0: always "
                  "whole chunks; default: 100")
      ->check(in_range(0.0, 1e6));
  group.add_option("--page-size", options.page_size, "tokens a KV page; default: 16 on the CPU, 64 on a GPU")
      ->check(in_range(1, 1024));
  group
      .add_option("--schedule-policy", options.schedule_policy,
                  "default: fcfs; lpm: longest cached prefix first")
      ->check(CLI::IsMember({"fcfs", "lpm"}));
  group
      .add_option("--schedule-conservativeness", options.schedule_conservativeness,
                  "default: 1; more: fewer requests are set back")
      ->check(in_range(0.0, 100.0));
  group.add_flag("--disable-radix-cache", options.disable_radix_cache, "no prefix cache");
  group.add_flag("--disable-overlap-schedule", options.disable_overlap_schedule,
                 "wait for a step's tokens before the next is launched; default: on a CPU");
  group.add_flag("--enable-overlap-schedule", options.enable_overlap_schedule,
                 "launch a step before the tokens of the one before are read; default: on a GPU");
  group.add_flag("--enable-deterministic-inference", options.enable_deterministic_inference,
                 kDeterministicHelp);
  group.add_option("--random-seed", options.random_seed, "of requests without a seed; default: drawn");
  group
      .add_option("--watchdog-timeout", options.watchdog_timeout_seconds,
                  "seconds that a step may take; default: 300")
      ->check(in_range(0.0, 1e9));
}

void add_processor_group(CLI::App& app, ServeOptions& options) {
  const char* heading = "Processor and passes";
  FlagGroup group(app, heading);
  group.add_option("--threads", options.threads, "default: 0, the CPUs that the process may use")
      ->check(in_range(0, 4096));
  group.add_option("--cpu-isa", options.cpu_isa, "default: the processor's best instruction set");
  group.add_option("--disable-pass", options.disabled_passes, "graph passes to leave out")->expected(1, 64);
  group
      .add_option("--allow-decomposed-ops", options.allowed_decompositions,
                  "fused ops that the device may lack: simpler ones run in their place")
      ->expected(1, 64);
  add_moe_runner_flag(app, options.moe_runner_backend)->group(heading);
  group.add_option("--plugin", options.plugins, kPluginHelp)->allow_extra_args(false)->take_all();
  group.add_flag("--skip-server-warmup", options.skip_server_warmup,
                 "accepted; no request is run to warm up");
}

void add_server_group(CLI::App& app, ServeOptions& options, OtherArguments& others) {
  FlagGroup group(app, "Server");
  group.add_option("--host", options.host, "default: 127.0.0.1");
  group.add_option("--port", options.port, "default: 30000; 0: any free one")->check(in_range(0, 65535));
  group.add_option("--api-key", options.api_key, "clients send it as `Authorization: Bearer KEY`");
  group.add_option("--admin-api-key", options.admin_api_key, "for flush_cache, abort_request and profiling");
  group
      .add_option("--allowed-origins", options.allowed_origins,
                  "pages of other origins that may call the server; * for all")
      ->expected(1, 64);
  group.add_option("--stream-interval", options.stream_interval, "tokens an event of a stream; default: 1")
      ->check(in_range(1, kMax));
  group.add_flag("--enable-metrics", others.enable_metrics, "GET /metrics; on by default");
  group.add_flag("--disable-metrics", others.disable_metrics, "no GET /metrics");
  group.add_option("--profile", options.profile,
                   "a new file for a trace of the whole run, which chrome://tracing and Perfetto open");
  group.add_option("--log-level", options.log_level, "default: info")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}));
  group.add_flag("--log-requests", options.log_requests, "a line a request, without its content");
}

}  // namespace

ServeCommandLine::ServeCommandLine()
    : app("Serves a model over HTTP: SGLang's and OpenAI's routes.", "musaic serve") {
  app.allow_extras();
  app.option_defaults()->take_last();  // as argparse does when a flag is repeated
  app.get_formatter()->column_width(44);
  add_model_group(app, options);
  add_server_group(app, options, others);
  add_schedule_group(app, options);
  add_graph_flags(app, graphs);
  add_processor_group(app, options);
  add_other_flags(app, others);
}

}  // namespace musaic
