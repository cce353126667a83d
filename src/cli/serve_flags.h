#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/options.h"

namespace musaic {

// Flags of SGLang whose thing Musaic does otherwise, and flags of what it does not do yet.
struct OtherArguments {
  std::string attention_backend, prefill_attention_backend, decode_attention_backend, sampling_backend;
  std::string grammar_backend, tokenizer_mode, log_level_http, speculative_algorithm, tool_call_parser,
      reasoning_parser, disaggregation_mode = "null";
  std::vector<std::string> lora_paths;
  int tp_size = 1, dp_size = 1, ep_size = 1, pp_size = 1, num_nodes = 1;
  bool enable_lora = false, is_embedding = false, enable_multimodal = false, enable_dp_attention = false;
  int decode_log_interval = 0;  // 0: not given
  bool sleep_on_idle = false, enable_torch_compile = false, trust_remote_code = false,
       enable_mixed_chunk = false, enable_cache_report = false;
  bool enable_hierarchical_cache = false, enable_metrics = false, disable_metrics = false,
       disable_custom_all_reduce = false;
};

// Options that the help shows under one heading.
class FlagGroup {
 public:
  FlagGroup(CLI::App& app, std::string heading) : app_(app), heading_(std::move(heading)) {}

  template <class Value>
  CLI::Option* add_option(const std::string& names, Value& value, const std::string& text = "") {
    return app_.add_option(names, value, text)->group(heading_);
  }
  CLI::Option* add_flag(const std::string& names, bool& value, const std::string& text = "") {
    return app_.add_flag(names, value, text)->group(heading_);
  }

 private:
  CLI::App& app_;
  const std::string heading_;
};

// Numbers from `low` to `high`; the help does not spell the range out.
template <class Number>
CLI::Validator in_range(Number low, Number high) {
  CLI::Validator validator = CLI::Range(low, high);
  validator.description("");
  return validator;
}

// The command line of `musaic serve`. The app writes into the other members.
struct ServeCommandLine {
  ServeCommandLine();
  ServeCommandLine(const ServeCommandLine&) = delete;

  ServeOptions options;
  GraphArguments graphs;
  OtherArguments others;
  CLI::App app;
};

void add_graph_flags(CLI::App& app, GraphArguments& graphs);
void add_other_flags(CLI::App& app, OtherArguments& others);

// What is used instead of the compiler that was named.
void note_compiler(const GraphRequest& request, std::vector<std::string>& notes);
Status resolve_others(const OtherArguments& given, ServeOptions& options);

}  // namespace musaic
