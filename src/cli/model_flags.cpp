#include "cli/model_flags.h"

#include <CLI/CLI.hpp>

#include "cli/device_flag.h"
#include "cli/moe_runner.h"

namespace musaic {

void add_model_flags(CLI::App& app, SessionOptions& options) {
  app.add_option(
      "--model-path,--model,-m", options.model_path,
      "a GGUF file, a Hugging Face folder, or org/name in the hub cache; default: the default model");
  app.add_option("--tokenizer-path", options.tokenizer_path,
                 "a GGUF file, a folder with tokenizer.json, or org/name in the hub cache");
  app.add_option("--load-format", options.load_format)
      ->check(CLI::IsMember({"auto", "gguf", "safetensors", "dummy"}));
  app.add_option("--dtype", options.dtype,
                 "auto: quantized weights meet quantized activations, bf16 ones on a GPU rounded ones; "
                 "float32: exact")
      ->check(CLI::IsMember({"auto", "half", "float16", "bfloat16", "float", "float32"}));
  app.add_option("--quantization", options.quantization, "fp8: linears are quantized as they are loaded")
      ->check(CLI::IsMember({"none", "fp8"}));
  app.add_option("--kv-cache-dtype", options.kv_cache_dtype)->check(CLI::IsMember(kv_cache_dtypes()));
  app.add_option("--device", options.backend.device)->check(is_device());
  app.add_option("--threads", options.backend.num_threads, "0: the CPUs that the process may use");
  app.add_option("--cpu-isa", options.backend.cpu_isa, "a lower instruction set than the processor's");
  app.add_option("--context-length", options.context_length);
  app.add_option("--mem-fraction-static", options.mem_fraction_static,
                 "share of a GPU's memory for all that it holds; default: 0.88");
  app.add_option("--max-total-tokens", options.max_total_tokens, "tokens in the KV cache");
  app.add_option("--max-running-requests", options.max_running_requests);
  app.add_option("--chunked-prefill-size", options.chunked_prefill_size, "tokens a step; -1: off");
  const char* max_tokens = "--piecewise-cuda-graph-max-tokens";
  app.add_option_function<int>(
      max_tokens,
      [&options, max_tokens](int max) {
        options.graphs.prefill.max_size = {max, max_tokens, ""};
      },
      "larger steps run eagerly");
  const char* prefill_mode = "--cuda-graph-backend-prefill";
  app.add_option_function<std::string>(
         prefill_mode,
         [&options, prefill_mode](const std::string& mode) {
           options.graphs.prefill.mode = {*parse_graph_mode(mode), prefill_mode, ""};
         },
         "how prompts run: " + std::string(kGraphModes) + "; default: piecewise")
      ->check([](const std::string& mode) {
        return parse_graph_mode(mode) ? "" : "expected one of " + std::string(kGraphModes);
      });
  app.add_option("--page-size", options.page_size);
  app.add_flag_function(
      "--enable-overlap-schedule,!--disable-overlap-schedule",
      [&options](int64_t asked) { options.overlap = asked > 0; },
      "launch a step before the tokens of the one before are read; default: on a GPU");
  app.add_option("--disable-pass", options.disabled_passes, "graph passes to leave out");
  app.add_option("--allow-decomposed-ops", options.allowed_decompositions,
                 "fused ops that the device may lack: simpler ones run in their place");
  add_moe_runner_flag(app, options.moe_runner_backend);
  app.add_flag("--enable-deterministic-inference", options.deterministic, kDeterministicHelp);
  app.add_option("--chat-template", options.chat_template, "a file, or the template itself");
  app.add_option("--random-seed", options.engine.random_seed);
}

}  // namespace musaic
