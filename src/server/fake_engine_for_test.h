#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine_client.h"

namespace musaic {

// An engine without a model: the i-th token of an answer is the i-th token of its prompt, again and again;
// `kEnd` ends it. One thread steps over all live requests, one token each.
class FakeEngine : public EngineClient {
 public:
  static constexpr TokenId kEnd = 256;
  static constexpr TokenId kFail = 257;  // in an answer: the device fails
  static constexpr int kContext = 4096;
  static constexpr int kVocab = 260;

  explicit FakeEngine(std::chrono::microseconds step = std::chrono::microseconds(0), int max_queued = 1024)
      : step_(step), max_queued_(max_queued), thread_([this] { run(); }) {}

  ~FakeEngine() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  Result<std::vector<RequestId>> submit(std::vector<Request> requests, OutputSink sink) override {
    const std::lock_guard lock(mutex_);
    if (draining_) return Status(StatusCode::kUnavailable, "the server is shutting down");
    if (static_cast<int>(live_.size() + requests.size()) > max_queued_)
      return Status(StatusCode::kOverloaded, "the queue is full");
    std::vector<RequestId> ids;
    for (Request& request : requests) {
      request.id = ++last_id_;
      ids.push_back(last_id_);
      seen_.push_back(request);
      live_.emplace(last_id_, Live{std::move(request), sink, 0, false});
    }
    wake_.notify_all();
    return ids;
  }

  void abort(RequestId request, bool quiet) override {
    const std::lock_guard lock(mutex_);
    const auto it = live_.find(request);
    if (it == live_.end()) return;
    it->second.aborted = true;
    ++(quiet ? quiet_aborts_ : aborts_);
  }

  bool flush_cache() override {
    const std::lock_guard lock(mutex_);
    return live_.empty();
  }

  EngineStats stats() const override {
    const std::lock_guard lock(mutex_);
    EngineStats stats;
    stats.running_requests = static_cast<int>(live_.size());
    for (const auto& [id, live] : live_)
      stats.used_tokens += static_cast<int64_t>(live.request.input_ids.size()) + live.generated;
    stats.token_capacity = 100'000;
    stats.max_running_requests = 64;
    stats.max_queued_requests = max_queued_;
    stats.context_length = kContext;
    stats.aborted_requests = static_cast<uint64_t>(aborts_);
    return stats;
  }

  std::vector<StepCount> step_counts() const override {
    return {{.record = {.kind = StepKind::kDecode,
                        .replayed = true,
                        .tokens = 1,
                        .bucket = 8,
                        .reason = "bucket",
                        .seconds = 0.5},
             .steps = 3,
             .pad_rows = 21}};
  }

  void drain() override {
    const std::lock_guard lock(mutex_);
    draining_ = true;
  }
  bool idle() const override {
    const std::lock_guard lock(mutex_);
    return live_.empty();
  }

  // What the tests look at.
  std::vector<Request> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  int aborts() const {
    const std::lock_guard lock(mutex_);
    return aborts_;
  }
  int quiet_aborts() const {
    const std::lock_guard lock(mutex_);
    return quiet_aborts_;
  }

 private:
  struct Live {
    Request request;
    OutputSink sink;
    int generated = 0;
    bool aborted = false;
  };

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stopping_ || !live_.empty(); });
      if (stopping_) return;
      std::vector<std::pair<OutputSink, OutputEvent>> events;
      for (auto it = live_.begin(); it != live_.end();) {
        events.emplace_back(it->second.sink, advance(it->first, it->second));
        it = events.back().second.finish ? live_.erase(it) : std::next(it);
      }
      lock.unlock();
      for (auto& [sink, event] : events) sink(std::move(event));
      events.clear();
      if (step_.count() > 0) std::this_thread::sleep_for(step_);
      lock.lock();
    }
  }

  static PositionLogprobs logprobs_of(const Request& request, TokenId token) {
    PositionLogprobs out{.token = token, .logprob = -0.5f, .top = {}, .probes = {}};
    for (int i = 0; i < request.logprobs.top_n; ++i)
      out.top.emplace_back((token + i) % kVocab, -0.5f - static_cast<float>(i));
    for (const TokenId probe : request.logprobs.probes) out.probes.emplace_back(probe, -2.0f);
    return out;
  }

  static OutputEvent advance(RequestId id, Live& live) {
    const Request& request = live.request;
    const auto& prompt = request.input_ids;
    OutputEvent event{.request = id,
                      .tokens = {},
                      .output_logprobs = {},
                      .input_logprobs = {},
                      .finish = {},
                      .prompt_tokens = static_cast<int>(prompt.size()),
                      .cached_tokens = 1,
                      .queue_seconds = 0.001,
                      .step_reason = ""};
    if (live.generated == 0) {
      event.step_reason = "extend bucket=64 replayed pad=3";
      for (size_t i = request.logprobs.start + 1; request.logprobs.start >= 0 && i < prompt.size(); ++i) {
        event.input_logprobs.push_back(logprobs_of(request, prompt[i]));
      }
    }
    if (live.aborted) {
      event.finish = Finish{.kind = FinishKind::kAbort, .matched = -1, .message = "", .status = 0};
    } else if (live.generated >= request.sampling.max_new_tokens) {
      event.finish = Finish{.kind = FinishKind::kLength, .matched = -1, .message = "", .status = 0};
    } else {
      add_token(prompt[static_cast<size_t>(live.generated) % prompt.size()], live, event);
    }
    return event;
  }

  static void add_token(TokenId token, Live& live, OutputEvent& event) {
    const SamplingParams& sampling = live.request.sampling;
    if (token == kFail) {
      event.finish =
          Finish{.kind = FinishKind::kAbort, .matched = -1, .message = "the device failed", .status = 500};
      return;
    }
    event.tokens = {token};
    if (live.request.logprobs.enabled) event.output_logprobs = {logprobs_of(live.request, token)};
    ++live.generated;
    const auto& stops = sampling.stop_token_ids;
    const bool stops_here = std::find(stops.begin(), stops.end(), token) != stops.end();
    if (stops_here || (token == kEnd && !sampling.ignore_eos)) {
      event.finish = Finish{.kind = FinishKind::kStopToken, .matched = token, .message = "", .status = 0};
    } else if (live.generated >= sampling.max_new_tokens) {
      event.finish = Finish{.kind = FinishKind::kLength, .matched = -1, .message = "", .status = 0};
    }
  }

  const std::chrono::microseconds step_;
  const int max_queued_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<RequestId, Live> live_;
  std::vector<Request> seen_;
  RequestId last_id_ = 0;
  int aborts_ = 0;
  int quiet_aborts_ = 0;
  bool draining_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace musaic
