#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/status.h"
#include "cli/command_line.h"
#include "cli/model_flags.h"
#include "cli/model_session.h"
#include "cli/step_batches.h"
#include "cli/step_logits.h"
#include "cli/verbs.h"
#include "formats/safetensors_writer.h"

namespace musaic {
namespace {

constexpr int kChunk = 256;  // tokens a step

void check_ids(const std::vector<TokenId>& ids, int vocab_size) {
  for (TokenId id : ids) {
    if (id < 0 || id >= vocab_size)
      fail_load("--ids: {} is no token of this model: it has {}", id, vocab_size);
  }
}

// [ids.size(), vocab]
std::vector<float> prompt_logits(ModelSession& session, const std::vector<TokenId>& ids) {
  const auto vocab = static_cast<size_t>(session.runner().limits().vocab_size);
  const int page_size = session.runner().limits().page_size;
  std::vector<float> all;
  std::vector<float> chunk(kChunk * vocab);
  for (size_t begin = 0; begin < ids.size(); begin += kChunk) {
    const size_t end = std::min(ids.size(), begin + kChunk);
    const std::vector<TokenId> every_row(end - begin, 0);
    run_for_logits(session,
                   prompt_step(std::span(ids).subspan(begin, end - begin), static_cast<int>(begin), every_row,
                               page_run(0, pages_for(static_cast<int>(end), page_size))),
                   chunk);
    all.insert(all.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>((end - begin) * vocab));
  }
  return all;
}

}  // namespace

int run_logits(Platform& platform, int argc, char** argv) {
  SessionOptions options;
  std::vector<TokenId> ids;
  std::string output;
  CLI::App app("Writes the logits of every token of a prompt.", "logits");
  app.add_option("--ids", ids, "the prompt's tokens, separated by commas")->delimiter(',')->required();
  app.add_option("--output", output, "a safetensors file: logits [tokens, vocabulary]")->required();
  add_model_flags(app, options);
  if (const auto exit_code = parse_command_line(app, platform, argc, argv)) return *exit_code;
  const int tokens = static_cast<int>(ids.size());
  options.skip_tokenizer = true;
  options.chunked_prefill_size = kChunk;
  if (options.context_length < 0) options.context_length = tokens + 1;
  if (options.max_total_tokens < 0) options.max_total_tokens = std::max(2 * tokens, 1024);

  ModelSession session(platform, options);
  check_ids(ids, session.runner().limits().vocab_size);
  session.load();
  const std::vector<float> logits = prompt_logits(session, ids);
  const int64_t vocab = session.runner().limits().vocab_size;
  const FloatTensor tensor{"logits", Shape{tokens, vocab}, [&](int64_t row, float* out) {
                             std::copy_n(logits.data() + row * vocab, vocab, out);
                           }};
  write_safetensors(output, {&tensor, 1});
  return kExitOk;
}

}  // namespace musaic
