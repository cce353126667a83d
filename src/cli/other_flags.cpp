#include <fmt/format.h>

#include "cli/serve_flags.h"

namespace musaic {
namespace {

constexpr int kMax = 1 << 20;

Status not_yet(std::string_view flag, std::string_view what) {
  return invalid_argument("{}: {} is not supported yet", flag, what);
}

Status check_devices(const OtherArguments& given) {
  if (given.tp_size > 1) return not_yet(fmt::format("--tp-size {}", given.tp_size), "tensor parallelism");
  if (given.dp_size > 1)
    return not_yet(fmt::format("--dp-size {}", given.dp_size),
                   "data parallelism in one server (put replicas behind sglang-router)");
  if (given.ep_size > 1) return not_yet(fmt::format("--ep-size {}", given.ep_size), "expert parallelism");
  if (given.pp_size > 1) return not_yet(fmt::format("--pp-size {}", given.pp_size), "pipeline parallelism");
  if (given.num_nodes > 1)
    return not_yet(fmt::format("--nnodes {}", given.num_nodes), "serving from several hosts");
  if (given.enable_dp_attention) return not_yet("--enable-dp-attention", "data-parallel attention");
  return {};
}

Status check_features(const OtherArguments& given) {
  if (given.enable_lora || !given.lora_paths.empty())
    return not_yet(given.enable_lora ? "--enable-lora" : "--lora-paths", "serving adapters");
  if (!given.speculative_algorithm.empty())
    return not_yet("--speculative-algorithm " + given.speculative_algorithm, "speculative decoding");
  if (given.is_embedding) return not_yet("--is-embedding", "embedding");
  if (given.enable_multimodal) return not_yet("--enable-multimodal", "input other than text");
  if (!given.tool_call_parser.empty()) return not_yet("--tool-call-parser", "calling tools");
  if (!given.reasoning_parser.empty()) return not_yet("--reasoning-parser", "separating the reasoning");
  if (given.enable_hierarchical_cache)
    return not_yet("--enable-hierarchical-cache", "a cache beyond the device's memory");
  if (given.disaggregation_mode != "null")
    return not_yet("--disaggregation-mode " + given.disaggregation_mode, "splitting prefill and decode");
  return {};
}

void note_backends(const OtherArguments& given, std::vector<std::string>& notes) {
  const auto note = [&](std::string_view flag, const std::string& value, std::string_view instead) {
    if (!value.empty() && value != "auto") notes.push_back(fmt::format("{} {}: {}", flag, value, instead));
  };
  note("--attention-backend", given.attention_backend, "Musaic's own paged attention for the device is used");
  note("--prefill-attention-backend", given.prefill_attention_backend,
       "Musaic's own paged attention for the device is used");
  note("--decode-attention-backend", given.decode_attention_backend,
       "Musaic's own paged attention for the device is used");
  note("--sampling-backend", given.sampling_backend, "sampling is part of Musaic's programs");
  note("--tokenizer-mode", given.tokenizer_mode, "Musaic's own tokenizer is used");
  note("--log-level-http", given.log_level_http, "--log-level and --log-requests decide what is logged");
  note("--grammar-backend", given.grammar_backend, "constrained decoding is not supported yet");
}

void note_switches(const OtherArguments& given, std::vector<std::string>& notes) {
  if (given.sleep_on_idle) notes.emplace_back("--sleep-on-idle: an idle server always sleeps");
  if (given.decode_log_interval > 0)
    notes.emplace_back("--decode-log-interval: a line is logged every few seconds while busy");
  if (given.enable_torch_compile)
    notes.emplace_back("--enable-torch-compile: Musaic's programs are captured without a compiler");
  if (given.trust_remote_code) notes.emplace_back("--trust-remote-code: no code of a model is ever run");
  if (given.enable_mixed_chunk)
    notes.emplace_back("--enable-mixed-chunk: prompt chunks and decoding always share steps");
  if (given.enable_cache_report)
    notes.emplace_back("--enable-cache-report: cached tokens are always reported");
  if (given.disable_custom_all_reduce)
    notes.emplace_back("--disable-custom-all-reduce: there is one device, nothing is reduced");
}

}  // namespace

void add_other_flags(CLI::App& app, OtherArguments& others) {
  FlagGroup instead(app, "Accepted, done otherwise (the log says what is used instead)");
  instead.add_option("--attention-backend", others.attention_backend);
  instead.add_option("--prefill-attention-backend", others.prefill_attention_backend);
  instead.add_option("--decode-attention-backend", others.decode_attention_backend);
  instead.add_option("--sampling-backend", others.sampling_backend);
  instead.add_option("--grammar-backend", others.grammar_backend);
  instead.add_option("--tokenizer-mode", others.tokenizer_mode);
  instead.add_option("--log-level-http", others.log_level_http);
  instead.add_option("--decode-log-interval", others.decode_log_interval)->check(in_range(1, kMax));
  instead.add_flag("--sleep-on-idle", others.sleep_on_idle);
  instead.add_flag("--enable-torch-compile", others.enable_torch_compile);
  instead.add_flag("--trust-remote-code", others.trust_remote_code);
  instead.add_flag("--enable-mixed-chunk", others.enable_mixed_chunk);
  instead.add_flag("--enable-cache-report", others.enable_cache_report);
  instead.add_flag("--disable-custom-all-reduce", others.disable_custom_all_reduce);
  FlagGroup later(app, "Not supported yet (only the default values are taken)");
  const CLI::Validator count = in_range(1, kMax);
  later.add_option("--tp-size,--tensor-parallel-size,--tp", others.tp_size)->check(count);
  later.add_option("--dp-size,--data-parallel-size,--dp", others.dp_size)->check(count);
  later.add_option("--ep-size,--expert-parallel-size,--ep", others.ep_size)->check(count);
  later.add_option("--pp-size,--pipeline-parallel-size", others.pp_size)->check(count);
  later.add_option("--nnodes", others.num_nodes)->check(count);
  later.add_flag("--enable-dp-attention", others.enable_dp_attention);
  later.add_flag("--enable-lora", others.enable_lora);
  later.add_option("--lora-paths", others.lora_paths)->expected(1, 4096);
  later.add_option("--speculative-algorithm", others.speculative_algorithm);
  later.add_flag("--is-embedding", others.is_embedding);
  later.add_flag("--enable-multimodal", others.enable_multimodal);
  later.add_option("--tool-call-parser", others.tool_call_parser);
  later.add_option("--reasoning-parser", others.reasoning_parser);
  later.add_flag("--enable-hierarchical-cache", others.enable_hierarchical_cache);
  later.add_option("--disaggregation-mode", others.disaggregation_mode);
}

Status resolve_others(const OtherArguments& given, ServeOptions& options) {
  if (Status status = check_devices(given); !status.ok()) return status;
  if (Status status = check_features(given); !status.ok()) return status;
  if (given.enable_metrics && given.disable_metrics)
    return invalid_argument("--enable-metrics and --disable-metrics exclude each other");
  options.enable_metrics = !given.disable_metrics;
  note_backends(given, options.notes);
  note_switches(given, options.notes);
  return {};
}

}  // namespace musaic
