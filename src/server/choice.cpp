#include "server/choice.h"

#include <utility>

namespace musaic {
namespace {

// As many of the event's tokens as belong to the answer.
void take_tokens(Choice& choice, OutputEvent& event, size_t count, Choice::Clock::time_point now) {
  if (count == 0) return;
  if (choice.tokens.empty()) choice.first_token_at = now;
  choice.last_token_at = now;
  for (size_t i = 0; i < count; ++i) {
    choice.tokens.push_back(event.tokens[i]);
    if (i < event.output_logprobs.size())
      choice.output_logprobs.push_back(std::move(event.output_logprobs[i]));
  }
}

ChoiceFinish engine_finish(const Finish& finish) {
  switch (finish.kind) {
    case FinishKind::kStopToken:
      return {.kind = ChoiceFinish::Kind::kStop, .matched_token = finish.matched};
    case FinishKind::kLength:
      return {.kind = ChoiceFinish::Kind::kLength};
    case FinishKind::kAbort:
      break;
  }
  const bool asked = finish.message.empty() && finish.status == 0;
  return {.kind = ChoiceFinish::Kind::kAbort,
          .message = asked ? "aborted by the client" : finish.message,
          .status = finish.status};
}

void take_facts(Choice& choice, OutputEvent& event) {
  choice.cached_tokens = event.cached_tokens;
  choice.queue_seconds = event.queue_seconds;
  for (PositionLogprobs& position : event.input_logprobs)
    choice.input_logprobs.push_back(std::move(position));
  if (event.step_reason.empty()) return;
  if (choice.first_step.empty()) choice.first_step = event.step_reason;
  choice.last_step = std::move(event.step_reason);
}

}  // namespace

bool accept(Choice& choice, OutputEvent&& event, Choice::Clock::time_point now) {
  const bool stop_token = event.finish && event.finish->kind == FinishKind::kStopToken;
  size_t count = event.tokens.size();
  if (choice.decoder) {
    Result<TextUpdate> update = choice.decoder->push(event.tokens, stop_token);
    if (!update.ok()) {
      choice.finish = ChoiceFinish{
          .kind = ChoiceFinish::Kind::kAbort, .message = update.status().message(), .status = 400};
    } else {
      choice.text += update->text;
      count = static_cast<size_t>(update->tokens);
      if (update->match)
        choice.finish = ChoiceFinish{.kind = ChoiceFinish::Kind::kStop, .matched_text = update->match->rule};
    }
  }
  const bool ended_by_text = choice.finish.has_value();
  take_tokens(choice, event, count, now);
  if (!ended_by_text && event.finish) {
    if (choice.decoder) choice.text += choice.decoder->finish().text;
    choice.finish = engine_finish(*event.finish);
  }
  if (choice.finish) choice.finished_at = now;
  take_facts(choice, event);
  return ended_by_text && !event.finish;
}

bool has_news(const Choice& choice, int interval) {
  if (choice.shown_finish) return false;
  if (choice.finish) return true;
  const size_t gained = choice.tokens.size() - choice.shown_tokens;
  return gained >= static_cast<size_t>(interval) || (gained > 0 && choice.shown_tokens == 0);
}

void mark_shown(Choice& choice) {
  choice.started = true;
  choice.shown_text = choice.text.size();
  choice.shown_tokens = choice.tokens.size();
  choice.shown_finish = choice.finish.has_value();
}

const char* finish_name(ChoiceFinish::Kind kind) {
  switch (kind) {
    case ChoiceFinish::Kind::kStop:
      return "stop";
    case ChoiceFinish::Kind::kLength:
      return "length";
    case ChoiceFinish::Kind::kAbort:
      return "abort";
  }
  return "abort";
}

}  // namespace musaic
