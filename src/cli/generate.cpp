#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "base/status.h"
#include "cli/command_line.h"
#include "cli/model_flags.h"
#include "cli/model_session.h"
#include "cli/sampling_flags.h"
#include "cli/stream_answer.h"
#include "cli/verbs.h"

namespace musaic {
namespace {

std::string read_all(std::istream& input) {
  return {std::istreambuf_iterator<char>(input), {}};
}

void show(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

int run_generate(Platform& platform, int argc, char** argv) {
  SessionOptions options;
  SamplingFlags flags;
  std::string prompt;
  bool verbose = false;
  CLI::App app("Continues a prompt and prints the text.", "generate");
  app.add_option("prompt", prompt, "the text; - reads standard input")->required();
  app.add_flag("--verbose,-v", verbose, "figures on standard error");
  add_model_flags(app, options);
  add_sampling_flags(app, flags);
  if (const auto exit_code = parse_command_line(app, platform, argc, argv)) return *exit_code;
  if (prompt == "-") prompt = read_all(std::cin);

  ModelSession session(platform, options);
  session.load();
  const auto engine = session.make_engine();
  engine->start();
  Request request{.input_ids = session.tokenizer()->encode(prompt), .sampling = flags.sampling};
  const auto& interrupted = interrupt_flag();
  auto answer =
      stream_answer(*engine, session.tokenizer(), std::move(request), flags.text, show, interrupted);
  if (!answer.ok()) fail_load("{}", answer.status().message());
  std::fputs("\n", stdout);
  if (verbose) {
    const double decode_seconds = answer->seconds - answer->seconds_to_first_token;
    fmt::print(
        stderr, "{} prompt tokens, first token after {:.3f} s; {} tokens, {:.1f} tok/s after the first\n",
        answer->prompt_tokens, answer->seconds_to_first_token, answer->tokens.size(),
        answer->tokens.size() > 1 ? static_cast<double>(answer->tokens.size() - 1) / decode_seconds : 0.0);
  }
  engine->stop();
  return kExitOk;
}

}  // namespace musaic
