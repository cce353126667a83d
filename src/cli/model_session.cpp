#include "cli/model_session.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "base/log.h"
#include "base/status.h"
#include "cli/moe_runner.h"
#include "cli/program_info.h"
#include "cli/progress.h"
#include "cli/size_defaults.h"
#include "device/launch_ahead.h"
#include "device/row_invariant.h"
#include "device/settled_memory.h"
#include "runner/decomposed_ops.h"
#include "runner/weight_rows.h"
#include "tokenizer/tokenizer_files.h"
#include "weights/hub_cache.h"
#include "weights/quantized_weights.h"
#include "weights/random_weights.h"

namespace musaic {
namespace {

constexpr int kUnchunkedStepTokens = 2048;    // with chunking off and no --piecewise-cuda-graph-max-tokens
constexpr double kDefaultMemFraction = 0.88;  // the rest is the driver's and for what others start
constexpr int kContextsOfKv = 64;             // default KV on the host: at most so many full contexts

int64_t free_memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  int64_t kib = 0;
  std::string unit;
  while (file >> key >> kib >> unit) {
    if (key == "MemAvailable:") return kib * 1024;
  }
  return int64_t{sysconf(_SC_AVPHYS_PAGES)} * sysconf(_SC_PAGESIZE);
}

DType parse_kv_dtype(const std::string& name, DType automatic) {
  if (name == "auto") return automatic;
  if (name == "float32") return DType::kF32;
  if (name == "float16" || name == "fp16") return DType::kF16;
  if (name == "bfloat16" || name == "bf16") return DType::kBF16;
  if (name == "fp8_e4m3") return DType::kF8E4M3;
  fail_load("--kv-cache-dtype: expected one of {}, got {}", fmt::join(kv_cache_dtypes(), ", "), name);
}

std::string read_template(const std::string& file_or_source) {
  if (file_or_source.find("{%") != std::string::npos || file_or_source.find("{{") != std::string::npos) {
    return file_or_source;
  }
  std::ifstream file(file_or_source, std::ios::binary);
  if (!file) fail_load("--chat-template: cannot open {}", file_or_source);
  return {std::istreambuf_iterator<char>(file), {}};
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Of weights that were read or made and copied.
void log_rate(size_t bytes, double seconds) {
  constexpr size_t kManyBytes = 1'000'000'000;  // fewer take no time worth a line
  if (bytes < kManyBytes) return;
  const double gigabytes = static_cast<double>(bytes) / 1e9;
  spdlog::info("weights: {:.2f} GB in {:.2f} s, {:.1f} GB/s", gigabytes, seconds, gigabytes / seconds);
}

// Of a GGUF file, a folder with tokenizer.json, that file, or a cached `org/name`.
TokenizerData read_tokenizer(const std::string& path_or_name) {
  namespace fs = std::filesystem;
  const bool is_cached = !fs::exists(path_or_name) && is_hub_name(path_or_name);
  const fs::path path = is_cached ? find_cached_snapshot(path_or_name) : fs::path(path_or_name);
  if (path.extension() == ".gguf") return tokenizer_data_from_gguf(*GgufFile::open(path));
  return tokenizer_data_from_hf(fs::is_directory(path) ? path : path.parent_path());
}

}  // namespace

std::vector<std::string> kv_cache_dtypes() {
  return {"auto", "float32", "float16", "fp16", "bfloat16", "bf16", "fp8_e4m3"};
}

std::string default_model_path() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path root = cache != nullptr && *cache != '\0'
                                         ? cache
                                         : std::filesystem::path(home != nullptr ? home : ".") / ".cache";
  const auto path = root / "musaic" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path)) {
    fail_load("{}: the default model is not there; `make serve` fetches it, or name one with --model-path",
              path.string());
  }
  return path.string();
}

ModelSession::ModelSession(const Platform& platform, SessionOptions options)
    : platform_(platform), options_(std::move(options)) {
  backend_ = platform_.make_backend(options_.backend);
  capabilities_ = backend_->capabilities();
  if (options_.deterministic) capabilities_.features.emplace(kRowInvariant);
  target_ = std::make_unique<Target>(Target{platform_.registry, backend_->device(), capabilities_});
  open_files();
  choose_sizes();
  model_ = make_model(files_.config, files_.weights.get(),
                      {.kv_dtype = kv_dtype_,
                       .page_size = options_.page_size,
                       .deepgemm_layouts = uses_deepgemm_layouts(options_.moe_runner_backend),
                       .one_form = options_.deterministic});
  runner_ = std::make_unique<GraphRunner>(*model_, *target_, *backend_, runner_options());
  choose_kv_capacity();
  decomposed_ops_ = decomposed_ops(runner_->graphs(), *target_);
  check_decomposed_ops(decomposed_ops_, options_.allowed_decompositions, *target_);
}

ModelSession::~ModelSession() = default;

void ModelSession::open_files() {
  if (options_.model_path.empty()) options_.model_path = default_model_path();
  files_ = open_model(options_.model_path);
  const bool is_gguf = files_.format == ModelFormat::kGguf;
  if (options_.load_format == "gguf" && !is_gguf)
    fail_load("{}: is no GGUF file (--load-format gguf)", files_.path.string());
  if (options_.load_format == "safetensors" && files_.format != ModelFormat::kSafetensors) {
    fail_load("{}: has no safetensors (--load-format safetensors)", files_.path.string());
  }
  const bool quantizes = options_.quantization == "fp8" && !files_.config.fp8;
  if (quantizes) files_.config.fp8.emplace();
  if (options_.load_format == "dummy") {
    files_.weights = make_random_weights(files_.config, DType::kBF16, options_.engine.random_seed);
    spdlog::warn("--load-format dummy: the weights are random, so the text means nothing");
  }
  if (files_.weights == nullptr) {
    fail_load("{}: has a configuration but no weights; --load-format dummy runs it with random ones",
              files_.path.string());
  }
  if (quantizes && options_.load_format != "dummy") {
    files_.weights = quantize_weights(std::move(files_.weights), files_.config);
    spdlog::info("--quantization fp8: linears are quantized as they are loaded, in blocks of {0} x {0}",
                 BlockFp8::kBlock);
  }
}

void ModelSession::choose_sizes() {
  const ModelConfig& config = files_.config;
  const SizeDefaults defaults = size_defaults(config, !backend_->reads_host_memory());
  kv_dtype_ = parse_kv_dtype(options_.kv_cache_dtype, exact() ? DType::kF32 : defaults.kv_dtype);
  if (options_.page_size < 0) options_.page_size = defaults.page_size;
  if (options_.page_size % 8 != 0) fail_load("--page-size: {} is no multiple of 8", options_.page_size);
  context_length_ = options_.context_length > 0 ? options_.context_length : config.max_position_embeddings;
  if (context_length_ > config.max_position_embeddings) {
    fail_load("--context-length: {} is above the model's {}", context_length_,
              config.max_position_embeddings);
  }
  max_running_requests_ =
      options_.max_running_requests > 0 ? options_.max_running_requests : defaults.max_running_requests;
  max_queued_requests_ =
      options_.max_queued_requests >= 0 ? options_.max_queued_requests : defaults.max_queued_requests;
  chunk_ = options_.chunked_prefill_size == 0 ? defaults.chunked_prefill_size : options_.chunked_prefill_size;
  const MaybeAsked<int>& max_tokens = options_.graphs.prefill.max_size;
  if (chunk_ < 0) chunk_ = max_tokens ? max_tokens->value : kUnchunkedStepTokens;
  chunk_ = std::min(chunk_, context_length_);
  overlap_ = options_.overlap.value_or(!backend_->reads_host_memory());
  const Capabilities& device = backend_->capabilities();
  graphs_ = resolve_graphs(options_.graphs, {.device = to_string(backend_->device()),
                                             .whole_extend = captures_whole(device, StepKind::kExtend),
                                             .whole_decode = captures_whole(device, StepKind::kDecode),
                                             .context_length = context_length_,
                                             .max_step_tokens = chunk_,
                                             .default_graph_tokens = defaults.max_graph_tokens,
                                             .max_running_requests = max_running_requests_,
                                             .quantizes_activations = !exact(),
                                             .executable_budget = backend_->graph_executables().budget,
                                             .memory_limits_executables = memory_limits_executables()});
}

bool ModelSession::memory_limits_executables() const {
  const LaunchAhead* ahead = launch_ahead(*backend_);
  if (ahead == nullptr || !options_.graphs.memory_budget) return false;
  const size_t budget = static_cast<size_t>(backend_->graph_executables().budget);
  return budget > 0 && budget == options_.graphs.memory_budget->value / ahead->executable_bytes();
}

// A quarter of what a host has free; of a GPU, what its share leaves beside what others hold, the weights,
// the arena, the steps' buffers and the captures.
int64_t ModelSession::kv_budget_bytes() const {
  const DeviceMemorySize memory = settled_memory([this] {
    return platform_.memory_size ? platform_.memory_size(backend_->device()) : DeviceMemorySize{};
  });
  if (memory.total_bytes == 0) return free_memory_bytes() / 4;
  const double share = options_.mem_fraction_static > 0 ? options_.mem_fraction_static : kDefaultMemFraction;
  const GraphRunner::Memory planned = runner_->planned_memory();
  const size_t steps_bytes = planned.arena_bytes + planned.io_bytes + planned.graph_bytes;
  const double used = static_cast<double>(memory.total_bytes - memory.free_bytes) +
                      static_cast<double>(planned.weight_bytes + steps_bytes);
  const double budget = share * static_cast<double>(memory.total_bytes) - used;
  constexpr double kGiB = 1 << 30;
  if (budget <= 0)
    fail_load(
        "{}: too little memory: {:.2f} GiB of weights and {:.2f} for steps and captures, {:.2f} of {:.1f} "
        "GiB "
        "free, of which --mem-fraction-static {} may be used",
        to_string(backend_->device()), static_cast<double>(planned.weight_bytes) / kGiB,
        static_cast<double>(steps_bytes) / kGiB, static_cast<double>(memory.free_bytes) / kGiB,
        static_cast<double>(memory.total_bytes) / kGiB, share);
  return static_cast<int64_t>(budget);
}

// On a host a few contexts, lest what is free be taken from others; on a GPU, what kernels can address: they
// count the values of a state in 32 bits.
int64_t ModelSession::most_kv_tokens() const {
  if (backend_->reads_host_memory()) return int64_t{kContextsOfKv} * context_length_;
  int64_t widest = 1;
  for (const CacheState& state : model_->cache().states)
    widest = std::max(widest, int64_t{state.heads} * state.width);
  return std::numeric_limits<int32_t>::max() / widest / options_.page_size * options_.page_size;
}

void ModelSession::choose_kv_capacity() {
  max_total_tokens_ = options_.max_total_tokens;
  if (max_total_tokens_ <= 0) {
    const int64_t fit = kv_budget_bytes() / static_cast<int64_t>(model_->cache().bytes_per_token());
    max_total_tokens_ = std::min(fit, most_kv_tokens()) / options_.page_size * options_.page_size;
    if (max_total_tokens_ < options_.page_size)
      fail_load("too little memory for the KV cache: {} tokens fit", fit);
  }
  max_total_tokens_ = (max_total_tokens_ + options_.page_size - 1) / options_.page_size * options_.page_size;
  runner_->set_num_pages(static_cast<int>(max_total_tokens_ / options_.page_size));
}

GraphRunnerOptions ModelSession::runner_options() const {
  GraphRunnerOptions runner;
  runner.graphs.quantize_activations = !exact();
  runner.graphs.disabled_passes = options_.disabled_passes;
  runner.max_tokens_per_step = std::max(chunk_, max_running_requests_);
  runner.max_sequences = max_running_requests_;
  runner.max_context = context_length_;
  runner.overlap = overlap_;
  runner.num_pages = 1;  // until the capacity is chosen
  apply(graphs_, runner);
  return runner;
}

std::string ModelSession::tokenizer_path() const {
  return options_.tokenizer_path.empty() ? files_.path.string() : options_.tokenizer_path;
}

void ModelSession::load_tokenizer() {
  if (options_.skip_tokenizer) return;
  const bool own = options_.tokenizer_path.empty();
  tokenizer_ = std::make_shared<const Tokenizer>(
      own && files_.gguf ? tokenizer_data_from_gguf(*files_.gguf)
                         : read_tokenizer(own ? files_.path.string() : options_.tokenizer_path));
  load_chat_template();
}

void ModelSession::load_chat_template() {
  const bool given = !options_.chat_template.empty();
  const std::string source = given ? read_template(options_.chat_template) : tokenizer_->data().chat_template;
  if (source.empty()) return;
  auto parsed = ChatTemplate::parse(source);
  if (parsed.ok()) {
    chat_template_ = *parsed;
  } else if (given) {
    fail_load("--chat-template: {}", parsed.status().message());
  } else {
    spdlog::warn("the model's chat template is not understood, so there is no chat: {}",
                 parsed.status().message());
  }
}

void ModelSession::load() {
  const auto start = std::chrono::steady_clock::now();
  std::exception_ptr tokenizer_error;
  std::jthread tokenizer_thread([&] {
    try {
      load_tokenizer();
    } catch (...) {
      tokenizer_error = std::current_exception();
    }
  });
  const WeightReader reader = read_weights(*files_.weights, *target_, *backend_);
  LoadBar bar("loading weights", options_.show_progress, ProgressUnit::kBytes);
  const int threads = options_.backend.num_threads > 0
                          ? options_.backend.num_threads
                          : static_cast<int>(std::thread::hardware_concurrency());
  size_t loaded_bytes = 0;
  double seconds = 0.0;
  runner_->load(reader, threads, [&](size_t done, size_t total) {
    bar.show(done, total);
    loaded_bytes = done;
    seconds = seconds_since(start);
  });
  bar.finish();
  log_rate(loaded_bytes, seconds);
  tokenizer_thread.join();
  if (tokenizer_error) std::rethrow_exception(tokenizer_error);
  description_ = describe_programs(*runner_);
  load_seconds_ = seconds_since(start);
}

RenderChat ModelSession::chat_renderer() const {
  if (!chat_template_) return {};
  Json base = {{"tools", nullptr},
               {"documents", nullptr}};  // as Hugging Face passes them; arguments replace them
  const TokenizerData& data = tokenizer_->data();
  base["bos_token"] = data.bos ? data.tokens[*data.bos] : "";
  base["eos_token"] = data.eos ? data.tokens[*data.eos] : "";
  return [parsed = chat_template_, base](const Json& messages, const Json& arguments,
                                         bool add_generation_prompt) {
    Json context = base;
    context["messages"] = messages;
    context["add_generation_prompt"] = add_generation_prompt;
    for (const auto& [key, value] : arguments.items()) context[key] = value;
    return parsed->render(context);
  };
}

// A tokenizer may be another model's.
void ModelSession::log_tokenizer() const {
  if (tokenizer_ == nullptr) return;
  const int known = tokenizer_->vocab_size();
  const int of_model = files_.config.vocab_size;
  if (known < of_model)
    spdlog::info("tokenizer {}: {} of the model's {} tokens; ids from {} on decode to the empty string",
                 tokenizer_path(), known, of_model, known);
  if (known > of_model)
    spdlog::warn("tokenizer {}: {} tokens, but the model has {}: prompts with ids from {} on are refused",
                 tokenizer_path(), known, of_model, of_model);
}

void ModelSession::log_summary() const {
  for (const std::string& line : table_lines(graphs_.table)) spdlog::info("{}", line);
  for (const std::string& op : decomposed_ops_)
    spdlog::warn("{} has no kernel of {}: simpler ops run in its place", to_string(backend_->device()), op);
  const GraphRunner::Memory memory = runner_->memory();
  const ModelGraph& extend = runner_->graphs().extend;
  constexpr double kMiB = 1 << 20;
  spdlog::info(
      "{}: {} layers, {} on {}, loaded in {:.2f} s; weights {:.0f} MiB ({:.0f} MiB of them read where the "
      "file is mapped)",
      files_.config.model_type, files_.config.num_hidden_layers, dtype(), to_string(backend_->device()),
      load_seconds_, (memory.weight_bytes + memory.mapped_weight_bytes) / kMiB,
      memory.mapped_weight_bytes / kMiB);
  spdlog::info(
      "KV cache for {} tokens ({:.0f} MiB reserved, touched on demand), context {}, {} requests at once, "
      "steps of {} tokens",
      max_total_tokens_, memory.kv_bytes / kMiB, context_length_, max_running_requests_, chunk_);
  spdlog::info(
      "graph extend: {} nodes in {} pieces{}, traced in {:.1f} ms; {} buckets to capture; arena {:.1f} MiB",
      extend.graph.nodes.size(), runner_->extend().num_pieces(),
      runner_->extend().launches_pieces_together() ? " that are launched together" : "",
      extend.trace_milliseconds, runner_->captures().totals().buckets, memory.arena_bytes / kMiB);
  if (options_.deterministic)
    spdlog::info("deterministic: kernels are chosen whatever the number of rows{}",
                 files_.config.latent_attention ? ", and prompts attend to latents as decode steps do" : "");
  log_tokenizer();
}

std::unique_ptr<Engine> ModelSession::make_engine() {
  EngineOptions engine = options_.engine;
  engine.max_queued_requests = max_queued_requests_;
  engine.overlap_depth = overlap_ ? 1 : 0;
  engine.scheduler.chunked_prefill_size = chunked_prefill_size();
  engine.scheduler.max_running_requests = max_running_requests_;
  engine.scheduler.end_tokens = files_.config.eos_token_ids;
  return std::make_unique<Engine>(*runner_, engine);
}

Json ModelSession::program_info() const {
  Json info = description_;
  info.update(describe_captures(*runner_));
  info["graph_executables"] = describe_executables(backend_->graph_executables());
  if (const LaunchAhead* ahead = launch_ahead(*backend_))
    info["device_calls"] = describe_calls(ahead->device_calls());
  info["load_seconds"] = load_seconds_;
  info["decomposed_ops"] = decomposed_ops_;
  return info;
}

void ModelSession::capture_all() {
  LoadBar bar("capturing", options_.show_progress);
  do {
    const CaptureSchedule::Totals totals = runner_->captures().totals();
    bar.show(totals.buckets - totals.waiting, totals.buckets);
  } while (runner_->work_while_idle());
  bar.finish();
}

}  // namespace musaic
