#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "server/client_for_test.h"
#include "server/eventually_for_test.h"
#include "server/fake_engine_for_test.h"
#include "server/json_text.h"
#include "server/server.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/tokenizer.h"

namespace musaic {

// One token a byte, then <end> (256), <fail> (257) and two more special ones.
inline std::shared_ptr<const Tokenizer> byte_tokenizer() {
  TokenizerData data;
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(alphabet_from_bytes(std::string(1, static_cast<char>(byte))));
    data.types.push_back(TokenizerData::TokenType::kNormal);
  }
  for (const char* special : {"<end>", "<fail>", "<user>", "<bot>"}) {
    data.tokens.push_back(special);
    data.types.push_back(TokenizerData::TokenType::kControl);
  }
  data.pre_tokenizer = "gpt2";
  data.eos = FakeEngine::kEnd;
  return std::make_shared<const Tokenizer>(std::move(data));
}

inline Result<std::string> render_chat_for_test(const Json& messages, const Json& arguments,
                                                bool add_generation_prompt) {
  std::string text;
  for (const Json& message : messages) {
    if (message["role"] == "broken") return Status(StatusCode::kInvalidArgument, "roles must alternate");
    text += message["content"].get<std::string>();
  }
  if (arguments.contains("suffix")) text += arguments["suffix"].get<std::string>();
  return add_generation_prompt ? text : text + "!";
}

struct ServedOptions {
  ServerOptions server = {};
  std::chrono::microseconds step{0};
  int max_queued = 1024;
  bool with_tokenizer = true;
  int vocab_size = FakeEngine::kVocab;  // of the model
  bool ready = true;
};

// A server over the fake engine, on a free port.
struct ServedEngine {
  explicit ServedEngine(ServedOptions options = {}) : engine(options.step, options.max_queued) {
    ServerContext context{.engine = engine};
    if (options.with_tokenizer) context.tokenizer = byte_tokenizer();
    context.render_chat = render_chat_for_test;
    context.model.model_path = "/models/tiny.gguf";
    context.model.served_model_name = "org/tiny";
    context.model.model_type = "llama";
    context.model.architectures = {"LlamaForCausalLM"};
    context.model.context_length = FakeEngine::kContext;
    context.model.vocab_size = options.vocab_size;
    context.flags = {{"page_size", 16}};
    context.program_info = [] { return Json{{"captured", 3}, {"graph_bytes", 1024}}; };
    context.explain_program = [](const ProgramQuery& query) -> Result<std::string> {
      if (query.bucket == 50) return invalid_argument("bucket 50: no bucket of {}", query.graph);
      return fmt::format("{} {} {} {} {}", query.graph, query.bucket, query.past, query.format, query.roof);
    };
    context.start_profile = [this](const ProfileQuery& query) -> Result<std::string> {
      if (!profile.empty()) return invalid_argument("a profile is being written: stop it first");
      const std::string folder = query.output_dir.empty() ? "/traces" : query.output_dir;
      return profile = fmt::format("{}/{}-{}.json", folder, query.start_step, query.num_steps);
    };
    context.stop_profile = [this]() -> Result<std::string> {
      if (profile.empty()) return invalid_argument("no profile was started");
      return std::exchange(profile, "");
    };
    options.server.port = 0;
    server = std::make_unique<Server>(std::move(context), std::move(options.server));
    EXPECT_TRUE(server->listen().ok());
    if (options.ready) server->set_ready();
  }

  // One request on a connection of its own.
  ClientAnswer ask(const std::string& method, const std::string& target, const std::string& body = "",
                   const std::string& headers = "") {
    Client client(server->port());
    client.request(method, target, body, headers + "Connection: close\r\n");
    return client.read_answer();
  }
  Json post(const std::string& target, const Json& body) {
    const ClientAnswer answer = ask("POST", target, body.dump());
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json::parse(answer.body);
  }
  Json get(const std::string& target) {
    const ClientAnswer answer = ask("GET", target);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json::parse(answer.body);
  }
  // The events of a stream, [DONE] checked and left out.
  std::vector<Json> stream(const std::string& target, const Json& body) {
    const ClientAnswer answer = ask("POST", target, body.dump());
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.headers.at("content-type"), "text/event-stream; charset=utf-8");
    std::vector<Json> events;
    size_t begin = 0;
    bool done = false;
    for (size_t end; (end = answer.body.find("\n\n", begin)) != std::string::npos; begin = end + 2) {
      EXPECT_FALSE(done) << "an event after [DONE]";
      const std::string event = answer.body.substr(begin, end - begin);
      EXPECT_EQ(event.substr(0, 6), "data: ");
      done = event == "data: [DONE]";
      if (!done) events.push_back(Json::parse(event.substr(6)));
    }
    EXPECT_TRUE(done) << "no [DONE]";
    EXPECT_EQ(begin, answer.body.size());
    return events;
  }

  FakeEngine engine;
  std::string profile;  // that is being written
  std::unique_ptr<Server> server;
};

}  // namespace musaic
