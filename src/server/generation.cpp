#include "server/generation.h"

#include <fmt/format.h>

#include <algorithm>

#include "metrics/request_metrics.h"
#include "server/generation_registry.h"
#include "server/prompt_check.h"
#include "tokenizer/tokenizer.h"

namespace musaic {
namespace {

constexpr size_t kMaxQueuedBytes =
    64u << 10;  // more than this unsent: wait, and send what has gathered as one event

ApiError bad_request(std::string message, std::string param) {
  return {.status = 400, .message = std::move(message), .param = std::move(param)};
}

int64_t add_wrapping(int64_t a, int b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

ApiError abort_error(const ChoiceFinish& finish) {
  return {.status = finish.status,
          .message = finish.message,
          .type = finish.status >= 500 ? "server_error" : "invalid_request_error"};
}

}  // namespace

void Generation::start(const GenerationServices& services, GenerationSpec spec,
                       std::unique_ptr<AnswerFormat> format, std::shared_ptr<Reply> reply) {
  auto self = std::make_shared<Generation>(services, std::move(spec), std::move(format), std::move(reply));
  services.registry->add(self);
  self->queue_->post([self] { self->begin(); });
}

Generation::Generation(const GenerationServices& services, GenerationSpec spec,
                       std::unique_ptr<AnswerFormat> format, std::shared_ptr<Reply> reply)
    : services_(services),
      spec_(std::move(spec)),
      format_(std::move(format)),
      reply_(std::move(reply)),
      queue_(std::make_shared<SerialQueue>(services.pool)) {}

Generation::~Generation() {
  services_.registry->remove(this);
}

void Generation::abort(const std::string& rid) {
  queue_->post([self = shared_from_this(), rid] {
    for (const Choice& choice : self->choices_) {
      const bool meant = rid.empty() || choice.rid == rid || choice.rid.starts_with(rid + "_");
      if (meant && !choice.finish) self->services_.engine.abort(choice.request);
    }
  });
}

void Generation::begin() {
  const PromptLimits limits{.tokenizer = services_.tokenizer.get(),
                            .context_length = services_.context_length,
                            .vocab_size = services_.vocab_size,
                            .max_token_bytes = services_.max_token_bytes,
                            .max_tokens_name = spec_.max_tokens_name};
  for (PromptSpec& prompt : spec_.prompts) {
    if (const auto error = prepare_prompt(prompt, limits)) return static_cast<void>(fail(*error));
  }
  if (!make_choices() || !submit()) return;
  if (spec_.stream) reply_->begin_stream("text/event-stream; charset=utf-8");
  watch_client();
}

bool Generation::fail(const ApiError& error) {
  ended_ = true;
  choices_.clear();
  reply_->send(error_response(error));
  return false;
}

bool Generation::make_choices() {
  for (size_t p = 0; p < spec_.prompts.size(); ++p) {
    PromptSpec& prompt = spec_.prompts[p];
    if (prompt.rid.empty()) prompt.rid = make_rid();
    for (int i = 0; i < prompt.n; ++i) {
      Choice choice;
      choice.index = static_cast<int>(choices_.size());
      choice.prompt_index = static_cast<int>(p);
      choice.prompt = &prompt;
      choice.rid = prompt.n == 1 ? prompt.rid : fmt::format("{}_{}", prompt.rid, i);
      choice.created = created_;
      if (services_.tokenizer) {
        auto decoder = TextStream::create(services_.tokenizer, prompt.rules);
        if (!decoder.ok()) return fail(bad_request(decoder.status().message(), "stop_regex"));
        choice.decoder.emplace(std::move(*decoder));
      }
      choices_.push_back(std::move(choice));
    }
  }
  return true;
}

bool Generation::submit() {
  std::vector<Request> requests;
  int draw = 0;  // among the answers to one prompt
  for (const Choice& choice : choices_) {
    const PromptSpec& prompt = *choice.prompt;
    draw = !requests.empty() && choices_[requests.size() - 1].prompt == &prompt ? draw + 1 : 0;
    Request request{
        .id = 0, .input_ids = prompt.ids, .sampling = prompt.sampling, .logprobs = prompt.logprobs};
    if (request.sampling.seed)
      request.sampling.seed = add_wrapping(*request.sampling.seed, draw);  // else they are equal
    requests.push_back(std::move(request));
  }
  auto ids = services_.engine.submit(std::move(requests), [self = shared_from_this()](OutputEvent&& event) {
    self->queue_->post([self, event = std::make_shared<OutputEvent>(std::move(event)),
                        now = Choice::Clock::now()] { self->on_event(std::move(*event), now); });
  });
  if (!ids.ok()) return fail(api_error(ids.status()));
  for (size_t i = 0; i < choices_.size(); ++i) {
    choices_[i].request = (*ids)[i];
    services_.metrics.add_request(choices_[i].prompt_tokens());
  }
  return true;
}

void Generation::watch_client() {
  reply_->when_closed([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->abort("");
  });
}

void Generation::on_event(OutputEvent&& event, Choice::Clock::time_point now) {
  const auto choice = std::find_if(choices_.begin(), choices_.end(),
                                   [&](const Choice& one) { return one.request == event.request; });
  if (choice == choices_.end() || choice->finish || ended_) return;
  const size_t tokens_before = choice->tokens.size();
  const auto last_before = choice->last_token_at;
  if (accept(*choice, std::move(event), now)) services_.engine.abort(choice->request, /*quiet=*/true);
  observe(*choice, tokens_before, last_before, now);
  if (choice->finish && choice->finish->status != 0) return end_with_error(abort_error(*choice->finish));
  show();
}

void Generation::observe(const Choice& choice, size_t tokens_before, Choice::Clock::time_point last_before,
                         Choice::Clock::time_point now) {
  RequestMetrics& metrics = services_.metrics;
  const int gained = static_cast<int>(choice.tokens.size() - tokens_before);
  if (gained > 0 && tokens_before == 0) {
    metrics.observe_queue(choice.queue_seconds);
    metrics.observe_first_token(choice.seconds_since_created(now));
  } else if (gained > 0) {
    metrics.observe_token_gap(std::chrono::duration<double>(now - last_before).count(), gained);
  }
  metrics.add_generated(gained);
  if (choice.finish) metrics.observe_end(choice.seconds_since_created(now));
}

void Generation::show() {
  if (spec_.stream) return show_stream();
  if (!all_finished()) return;
  ended_ = true;
  reply_->send({.status = 200, .body = format_->body(choices_), .headers = {}});
}

void Generation::show_stream() {
  if (ended_ || waiting_for_drain_) return;
  if (reply_->queued_bytes() > kMaxQueuedBytes) {
    waiting_for_drain_ = true;
    reply_->when_drained([self = shared_from_this()] {
      self->queue_->post([self] {
        self->waiting_for_drain_ = false;
        self->show_stream();
      });
    });
    return;
  }
  std::string events;
  for (Choice& choice : choices_) {
    if (!has_news(choice, spec_.stream_interval)) continue;
    format_->append_events(choice, events);
    mark_shown(choice);
  }
  const bool last = all_finished();
  if (last) {
    format_->append_end(choices_, events);
    events += "data: [DONE]\n\n";
  }
  if (!events.empty()) reply_->write(std::move(events));
  if (!last) return;
  ended_ = true;
  reply_->end_stream();
}

void Generation::end_with_error(const ApiError& error) {
  ended_ = true;
  for (const Choice& choice : choices_) {
    if (!choice.finish) services_.engine.abort(choice.request);
  }
  if (!spec_.stream) return reply_->send(error_response(error));
  reply_->write(error_event(error) + "data: [DONE]\n\n");
  reply_->end_stream();
}

bool Generation::all_finished() const {
  return std::all_of(choices_.begin(), choices_.end(),
                     [](const Choice& choice) { return choice.finish.has_value(); });
}

}  // namespace musaic
