#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/engine_client.h"
#include "server/answer_format.h"
#include "server/api_error.h"
#include "server/choice.h"
#include "server/http.h"
#include "server/worker_pool.h"

namespace musaic {

class GenerationRegistry;
class RequestMetrics;
class Tokenizer;

// What every generation works with. The engine outlives the worker pool.
struct GenerationServices {
  EngineClient& engine;
  std::shared_ptr<const Tokenizer> tokenizer;  // nullptr with --skip-tokenizer-init
  RequestMetrics& metrics;
  std::shared_ptr<GenerationRegistry>
      registry;  // shared: a generation that the engine still holds leaves it last
  std::shared_ptr<WorkerPool> pool;
  int context_length = 0;
  int vocab_size = 0;
  size_t max_token_bytes = 0;  // of the longest token's text
};

// One HTTP request's answers from start to end: encodes the prompts, submits them, turns tokens into text,
// ends an answer at a stop string, and writes the reply, whole or streamed. Everything runs on its serial
// queue.
class Generation : public std::enable_shared_from_this<Generation> {
 public:
  // Any thread. The generation keeps itself alive until its last answer has ended.
  static void start(const GenerationServices& services, GenerationSpec spec,
                    std::unique_ptr<AnswerFormat> format, std::shared_ptr<Reply> reply);

  Generation(const GenerationServices& services, GenerationSpec spec, std::unique_ptr<AnswerFormat> format,
             std::shared_ptr<Reply> reply);
  ~Generation();

  // Ends the answers whose rid is `rid`, or `rid` and a number; all of them for an empty one. Any thread.
  void abort(const std::string& rid);

 private:
  void begin();
  bool submit();
  bool make_choices();
  void watch_client();
  void on_event(OutputEvent&& event, Choice::Clock::time_point now);
  void observe(const Choice& choice, size_t tokens_before, Choice::Clock::time_point last_before,
               Choice::Clock::time_point now);
  void show();
  void show_stream();
  void end_with_error(const ApiError& error);
  bool fail(const ApiError& error);
  bool all_finished() const;

  const GenerationServices services_;
  GenerationSpec spec_;
  const std::unique_ptr<AnswerFormat> format_;
  const std::shared_ptr<Reply> reply_;
  const std::shared_ptr<SerialQueue> queue_;
  const Choice::Clock::time_point created_ = Choice::Clock::now();
  std::vector<Choice> choices_;
  bool ended_ = false;  // the reply is complete, or the client has been told why not
  bool waiting_for_drain_ = false;
};

}  // namespace musaic
