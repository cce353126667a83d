#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <string>

#include "base/status.h"
#include "cli/command_line.h"
#include "cli/model_flags.h"
#include "cli/model_session.h"
#include "cli/sampling_flags.h"
#include "cli/stream_answer.h"
#include "cli/verbs.h"

namespace musaic {
namespace {

constexpr const char* kHelp =
    "/reset forgets the conversation, /system TEXT sets the system message, /quit ends\n";

void show(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

bool read_line(std::string& line) {
  if (isatty(STDIN_FILENO) != 0) show("> ");
  return static_cast<bool>(std::getline(std::cin, line));
}

// One conversation: the messages so far and the engine that answers.
class Conversation {
 public:
  Conversation(ModelSession& session, EngineClient& engine, const SamplingFlags& flags)
      : session_(session), engine_(engine), flags_(flags), render_(session.chat_renderer()) {}

  void reset() { messages_ = Json::array(); }

  void set_system(const std::string& text) {
    reset();
    messages_.push_back({{"role", "system"}, {"content", text}});
  }

  Status answer(const std::string& line) {
    messages_.push_back({{"role", "user"}, {"content", line}});
    const auto prompt = render_(messages_, Json::object(), true);
    if (!prompt.ok()) return prompt.status();
    Request request{.input_ids = session_.tokenizer()->encode(prompt.value(), {.add_special_tokens = false}),
                    .sampling = flags_.sampling};
    clear_interrupt();
    auto answer =
        stream_answer(engine_, session_.tokenizer(), std::move(request), flags_.text, show, interrupt_flag());
    if (!answer.ok()) return answer.status();
    show("\n");
    messages_.push_back({{"role", "assistant"}, {"content", answer->text}});
    return {};
  }

 private:
  ModelSession& session_;
  EngineClient& engine_;
  const SamplingFlags& flags_;
  RenderChat render_;
  Json messages_ = Json::array();
};

}  // namespace

int run_chat(Platform& platform, int argc, char** argv) {
  SessionOptions options;
  SamplingFlags flags;
  flags.sampling.max_new_tokens = 1024;
  std::string system;
  CLI::App app("Talks to a model in the terminal.", "chat");
  app.add_option("--system", system, "the system message");
  add_model_flags(app, options);
  add_sampling_flags(app, flags);
  if (const auto exit_code = parse_command_line(app, platform, argc, argv)) return *exit_code;

  ModelSession session(platform, options);
  session.load();
  if (!session.chat_template())
    fail_load("{}: the model has no chat template; --chat-template gives one", options.model_path);
  const auto engine = session.make_engine();
  engine->start();
  Conversation conversation(session, *engine, flags);
  if (!system.empty()) conversation.set_system(system);
  if (isatty(STDIN_FILENO) != 0) show(kHelp);
  std::string line;
  while (read_line(line)) {
    if (line == "/quit") break;
    if (line.empty()) continue;
    if (line == "/reset") {
      conversation.reset();
    } else if (line.starts_with("/system ")) {
      conversation.set_system(line.substr(8));
    } else if (const Status status = conversation.answer(line); !status.ok()) {
      fmt::print(stderr, "{}\n", status.message());
    }
  }
  engine->stop();
  return kExitOk;
}

}  // namespace musaic
