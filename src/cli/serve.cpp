#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <thread>

#include "base/log.h"
#include "base/status.h"
#include "cli/command_line.h"
#include "cli/explain_session.h"
#include "cli/model_session.h"
#include "cli/options.h"
#include "cli/profile_files.h"
#include "cli/verbs.h"
#include "server/server.h"

namespace musaic {
namespace {

constexpr double kItlTargetMs = 100.0;  // a pause that a reader does not see
constexpr int kExitForced = 130;        // a second signal while draining

SessionOptions session_options(const ServeOptions& serve) {
  SessionOptions session;
  session.model_path = serve.model_path;
  session.tokenizer_path = serve.tokenizer_path;
  session.skip_tokenizer = serve.skip_tokenizer_init;
  session.load_format = serve.load_format;
  session.dtype = serve.dtype;
  session.kv_cache_dtype = serve.kv_cache_dtype;
  session.quantization = serve.quantization;
  session.backend = {.device = serve.device, .num_threads = serve.threads, .cpu_isa = serve.cpu_isa};
  if (serve.graphs.executable_budget)
    session.backend.graph_executable_budget = serve.graphs.executable_budget->value;
  if (serve.graphs.memory_budget) session.backend.graph_memory_budget = serve.graphs.memory_budget->value;
  session.context_length = serve.context_length;
  session.mem_fraction_static = serve.mem_fraction_static;
  session.max_total_tokens = serve.max_total_tokens;
  session.max_running_requests = serve.max_running_requests;
  session.max_queued_requests = serve.max_queued_requests;
  session.chunked_prefill_size = serve.chunked_prefill_size;
  if (serve.enable_overlap_schedule) session.overlap = true;
  if (serve.disable_overlap_schedule) session.overlap = false;
  session.page_size = serve.page_size;
  session.graphs = serve.graphs;
  session.disabled_passes = serve.disabled_passes;
  session.allowed_decompositions = serve.allowed_decompositions;
  session.moe_runner_backend = serve.moe_runner_backend;
  session.deterministic = serve.enable_deterministic_inference;
  session.chat_template = serve.chat_template;
  session.engine.random_seed = static_cast<uint64_t>(serve.random_seed.value_or(std::time(nullptr)));
  session.engine.watchdog_timeout_s = serve.watchdog_timeout_seconds;
  if (serve.max_prefill_tokens > 0) session.engine.scheduler.max_prefill_tokens = serve.max_prefill_tokens;
  session.engine.scheduler.itl_target_ms = serve.itl_target_ms < 0 ? kItlTargetMs : serve.itl_target_ms;
  session.engine.scheduler.schedule_conservativeness = serve.schedule_conservativeness;
  session.engine.scheduler.disable_radix_cache = serve.disable_radix_cache;
  session.engine.scheduler.schedule_policy =
      serve.schedule_policy == "lpm" ? SchedulePolicy::kLpm : SchedulePolicy::kFcfs;
  return session;
}

SamplingParams default_sampling(const ModelConfig& config) {
  SamplingParams sampling;
  if (config.default_temperature) sampling.temperature = *config.default_temperature;
  if (config.default_top_p) sampling.top_p = *config.default_top_p;
  if (config.default_top_k) sampling.top_k = *config.default_top_k;
  if (config.default_min_p) sampling.min_p = *config.default_min_p;
  if (config.default_repetition_penalty) sampling.repetition_penalty = *config.default_repetition_penalty;
  return sampling;
}

std::string served_name(const ServeOptions& serve, const ModelSession& session) {
  return serve.served_model_name.empty() ? session.options().model_path : serve.served_model_name;
}

ModelInfo describe_model(const ServeOptions& serve, ModelSession& session) {
  const GraphRunner::Memory memory = session.runner().memory();
  return {.model_path = session.options().model_path,
          .served_model_name = served_name(serve, session),
          .tokenizer_path = session.tokenizer_path(),
          .model_type = session.config().model_type,
          .architectures = session.config().architectures,
          .load_format = session.files().format == ModelFormat::kGguf ? "gguf" : "safetensors",
          .dtype = session.dtype(),
          .context_length = session.context_length(),
          .vocab_size = session.config().vocab_size,
          .weight_bytes = static_cast<int64_t>(memory.weight_bytes + memory.mapped_weight_bytes),
          .kv_cache_bytes = static_cast<int64_t>(memory.kv_bytes),
          .default_sampling = default_sampling(session.config())};
}

Json resolved_flags(const ServeOptions& serve, ModelSession& session) {
  Json flags = to_json(serve);
  const RunnerLimits& limits = session.runner().limits();
  flags["model_path"] = session.options().model_path;
  flags["served_model_name"] = served_name(serve, session);
  flags["tokenizer_path"] = session.tokenizer_path();
  flags["context_length"] = session.context_length();
  flags["max_total_tokens"] = session.max_total_tokens();
  flags["max_running_requests"] = limits.max_sequences;
  flags["max_queued_requests"] = session.max_queued_requests();
  flags["chunked_prefill_size"] = session.chunked_prefill_size();
  flags["disable_overlap_schedule"] = !session.overlaps();
  flags["kv_cache_dtype"] = name(session.kv_dtype());
  flags["page_size"] = limits.page_size;
  flags["device"] = to_string(session.backend().device());
  flags["cuda_graph_config"] = graph_config_json(session.graphs());
  flags["disable_cuda_graph_padding"] = !session.graphs().pad_decode;
  flags["graph_settings"] = to_json(session.graphs().table);
  return flags;
}

ServerContext server_context(const ServeOptions& serve, ModelSession& session, EngineClient& engine,
                             Profiler& profiler) {
  ServerContext context{
      .engine = engine,
      .tokenizer = session.tokenizer(),
      .render_chat = session.chat_renderer(),
      .model = describe_model(serve, session),
      .flags = resolved_flags(serve, session),
      .program_info = [&session] { return session.program_info(); },
      .explain_program = [&session](const ProgramQuery& query) { return explain_session(session, query); },
      .start_profile = [&profiler](const ProfileQuery& query) { return start_profile(profiler, query); },
      .stop_profile = [&profiler] { return profiler.stop(); }};
  return context;
}

ServerOptions server_options(const ServeOptions& serve, const Platform& platform) {
  ServerOptions options;
  options.host = serve.host;
  options.port = static_cast<uint16_t>(serve.port);
  options.api_key = serve.api_key;
  options.admin_api_key = serve.admin_api_key;
  options.allowed_origins = serve.allowed_origins;
  options.enable_metrics = serve.enable_metrics;
  options.log_requests = serve.log_requests;
  options.stream_interval = serve.stream_interval;
  options.version = platform.version;
  return options;
}

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

void print_welcome(const std::string& url, const std::string& name, bool has_text) {
  const std::string body =
      has_text
          ? R"({"text": "The capital of France is", "sampling_params": {"temperature": 0, "max_new_tokens": 16}})"
          : R"({"input_ids": [1, 2, 3], "sampling_params": {"temperature": 0, "max_new_tokens": 16}})";
  fmt::print("\n{} is served at {}\n\n  curl {}/generate -H 'Content-Type: application/json' -d '{}'\n\n",
             name, url, url, body);
  std::fflush(stdout);
}

// Waits for a signal, then drains; a second one ends the process at once. A lost device signals too.
int serve_until_signalled(Server& server, Engine& engine, const sigset_t& signals,
                          const std::atomic<bool>& device_lost) {
  int signal = 0;
  sigwait(&signals, &signal);
  if (!device_lost)
    spdlog::info("{}: finishing what runs; once more ends at once", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  engine.drain();
  std::atomic<bool> drained{false};
  std::thread drain([&] {
    server.drain_and_stop();
    drained = true;
  });
  const timespec poll{.tv_sec = 0, .tv_nsec = 20'000'000};
  while (!drained) {
    if (sigtimedwait(&signals, nullptr, &poll) > 0) _exit(kExitForced);
  }
  drain.join();
  return device_lost ? kExitDeviceLost : kExitOk;
}

}  // namespace

int run_serve(Platform& platform, int argc, char** argv) {
  const auto parsed = parse_serve_options({argv + 1, argv + argc});
  if (!parsed.ok()) {
    fmt::print(stderr, "musaic serve: {}\n", parsed.status().message());
    return kExitUsage;
  }
  const ServeOptions& serve = parsed.value();
  if (serve.show_help) {
    std::fputs(serve_help().c_str(), stdout);
    return kExitOk;
  }
  set_up_log(serve.log_level);
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before any thread starts, so that only sigwait sees them

  spdlog::info("{}", platform.version);
  for (const std::string& note : serve.notes) spdlog::info("{}", note);
  load_plugins(platform, serve.plugins);
  ModelSession session(platform, session_options(serve));
  session.load();
  Profiler profiler;
  if (!serve.profile.empty()) {
    if (const Status status = profiler.start({.path = serve.profile}); !status.ok())
      fail_load("--profile: {}", status.message());
  }
  const auto engine = session.make_engine();
  engine->record_to(profiler);
  Server server(server_context(serve, session, *engine, profiler), server_options(serve, platform));
  if (const Status status = server.listen(); !status.ok()) fail_load("{}", status.message());
  session.log_summary();  // before the engine's thread, which owns the runner from then on
  if (session.graphs().capture == CaptureTime::kEager) session.capture_all();
  std::atomic<bool> device_lost{false};
  engine->on_device_lost([&device_lost] {
    device_lost = true;
    kill(getpid(), SIGTERM);
  });
  engine->start();
  server.set_ready();
  print_welcome(server.url(), served_name(serve, session), session.tokenizer() != nullptr);
  const int exit_code = serve_until_signalled(server, *engine, signals, device_lost);
  engine->stop();
  return exit_code;
}

}  // namespace musaic
