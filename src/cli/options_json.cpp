#include "cli/options.h"

namespace musaic {
namespace {

template <class Number>
Json given(Number value) {
  return value < 0 ? Json() : Json(value);
}

Json given(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

}  // namespace

Json to_json(const ServeOptions& options) {
  return {{"model_path", given(options.model_path)},
          {"served_model_name", given(options.served_model_name)},
          {"tokenizer_path", given(options.tokenizer_path)},
          {"skip_tokenizer_init", options.skip_tokenizer_init},
          {"load_format", options.load_format},
          {"dtype", options.dtype},
          {"quantization", given(options.quantization)},
          {"kv_cache_dtype", options.kv_cache_dtype},
          {"device", options.device},
          {"context_length", given(options.context_length)},
          {"mem_fraction_static", given(options.mem_fraction_static)},
          {"max_total_tokens", given(options.max_total_tokens)},
          {"max_running_requests", given(options.max_running_requests)},
          {"max_queued_requests", given(options.max_queued_requests)},
          {"max_prefill_tokens", given(options.max_prefill_tokens)},
          {"page_size", given(options.page_size)},
          {"chunked_prefill_size",
           options.chunked_prefill_size == 0 ? Json() : Json(options.chunked_prefill_size)},
          {"itl_target_ms", given(options.itl_target_ms)},
          {"schedule_policy", options.schedule_policy},
          {"schedule_conservativeness", options.schedule_conservativeness},
          {"disable_radix_cache", options.disable_radix_cache},
          {"disable_overlap_schedule", options.disable_overlap_schedule},
          {"enable_deterministic_inference", options.enable_deterministic_inference},
          {"random_seed", options.random_seed ? Json(*options.random_seed) : Json()},
          {"watchdog_timeout", options.watchdog_timeout_seconds},
          {"profile", given(options.profile)},
          {"disable_pass", options.disabled_passes},
          {"allow_decomposed_ops", options.allowed_decompositions},
          {"moe_runner_backend", options.moe_runner_backend},
          {"plugin", options.plugins},
          {"cpu_isa", given(options.cpu_isa)},
          {"threads", options.threads},
          {"skip_server_warmup", options.skip_server_warmup},
          {"host", options.host},
          {"port", options.port},
          {"allowed_origins", options.allowed_origins},
          {"stream_interval", options.stream_interval},
          {"enable_metrics", options.enable_metrics},
          {"log_level", options.log_level},
          {"log_requests", options.log_requests},
          {"tp_size", 1},
          {"dp_size", 1},
          {"ep_size", 1},
          {"pp_size", 1}};
}

}  // namespace musaic
