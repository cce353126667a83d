#include "cli/stream_answer.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

namespace musaic {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kInterruptPoll{50};

// Events on their way from the engine's thread to the caller's.
class EventQueue {
 public:
  void push(OutputEvent&& event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_one();
  }
  std::optional<OutputEvent> pop_within(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, timeout, [&] { return !events_.empty(); })) return std::nullopt;
    OutputEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<OutputEvent> events_;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Result<Answer> stream_answer(EngineClient& engine, const std::shared_ptr<const Tokenizer>& tokenizer,
                             Request request, TextRules rules,
                             const std::function<void(std::string_view)>& show,
                             const std::atomic<bool>& interrupted) {
  auto stream = TextStream::create(tokenizer, std::move(rules));
  if (!stream.ok()) return stream.status();
  const auto events = std::make_shared<EventQueue>();  // the sink may outlive this call
  const auto start = Clock::now();
  const auto ids =
      engine.submit({std::move(request)}, [events](OutputEvent&& event) { events->push(std::move(event)); });
  if (!ids.ok()) return ids.status();
  const RequestId id = ids.value()[0];

  Answer answer;
  bool asked_to_stop = false;
  while (true) {
    if (interrupted && !asked_to_stop) {
      engine.abort(id);
      asked_to_stop = true;
    }
    auto event = events->pop_within(kInterruptPoll);
    if (!event) continue;
    if (answer.tokens.empty() && !event->tokens.empty()) answer.seconds_to_first_token = seconds_since(start);
    answer.prompt_tokens = event->prompt_tokens;
    answer.cached_tokens = event->cached_tokens;
    const bool stop_token = event->finish && event->finish->kind == FinishKind::kStopToken;
    auto update = stream->push(event->tokens, stop_token);
    if (!update.ok()) {
      engine.abort(id, true);
      return update.status();
    }
    answer.tokens.insert(answer.tokens.end(), event->tokens.begin(), event->tokens.begin() + update->tokens);
    show(update->text);
    if (update->match) {
      engine.abort(id, true);
      answer.finish = {.kind = FinishKind::kStopToken, .message = update->match->rule};
      break;
    }
    if (event->finish) {
      answer.finish = *event->finish;
      show(stream->finish().text);
      break;
    }
  }
  answer.text = stream->text();
  answer.seconds = seconds_since(start);
  if (answer.finish.kind == FinishKind::kAbort && answer.finish.status != 0) {
    return Status(StatusCode::kInternal, answer.finish.message);
  }
  return answer;
}

}  // namespace musaic
