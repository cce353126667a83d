#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/engine_client.h"
#include "formats/json.h"
#include "server/http_server.h"

namespace musaic {

class Tokenizer;

// What is told about the model.
struct ModelInfo {
  std::string model_path;
  std::string served_model_name;
  std::string tokenizer_path;
  std::string model_type;                  // "llama"
  std::vector<std::string> architectures;  // "LlamaForCausalLM"
  std::string load_format;                 // "gguf"
  std::string dtype;
  int context_length = 0;
  int vocab_size = 0;
  int64_t weight_bytes = 0;
  int64_t kv_cache_bytes = 0;
  SamplingParams default_sampling;  // of generation_config, for the OpenAI routes
};

// Messages, further arguments of the template, whether an answer is to be begun → the prompt's text, or one
// sentence.
using RenderChat = std::function<Result<std::string>(const Json& messages, const Json& arguments,
                                                     bool add_generation_prompt)>;

// Which program is to be explained, and how.
struct ProgramQuery {
  std::string graph = "extend";  // or decode, head
  int bucket = -1;               // -1: the largest of extend, the smallest of the others
  int past = -1;                 // positions in the cache before the step; -1: the usual
  std::string format = "json";   // or text, svg
  std::string roof;              // the machine that times are predicted for; empty: the usual
};

// What is to be recorded, under SGLang's names.
struct ProfileQuery {
  std::string output_dir;   // empty: the usual folder
  uint64_t start_step = 0;  // since the start of the server
  int num_steps = 0;        // 0: until it is stopped
};

// What the server serves; everything outlives it.
struct ServerContext {
  EngineClient& engine;
  std::shared_ptr<const Tokenizer>
      tokenizer;           // nullptr with --skip-tokenizer-init; shared with answers under way
  RenderChat render_chat;  // empty without a chat template
  ModelInfo model;
  Json flags = Json::object();         // the resolved flags, for /server_info; without keys
  std::function<Json()> program_info;  // programs, buckets, capture state; may be empty. Any thread
  // A program made readable, or one sentence; may be empty. Any thread.
  std::function<Result<std::string>(const ProgramQuery&)> explain_program;
  // Begin and complete a trace; the file's path, or one sentence. May be empty. Any thread.
  std::function<Result<std::string>(const ProfileQuery&)> start_profile;
  std::function<Result<std::string>()> stop_profile;
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 30000;  // 0: any free one
  std::string api_key;    // empty: none
  std::string admin_api_key;
  std::vector<std::string> allowed_origins;  // "*": all
  bool enable_metrics = true;
  bool log_requests = false;
  int stream_interval = 1;  // tokens an event
  int num_workers = 2;
  std::string version;              // of the program
  std::string accelerator = "CPU";  // as /v1/loads names it
  HttpLimits limits;
};

}  // namespace musaic
