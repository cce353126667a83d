#include "engine/engine.h"

#include <gmock/gmock.h>

#include <ctime>
#include <future>
#include <map>

#include "base/log.h"
#include "device/device_lost.h"
#include "scheduler/paged_model_for_test.h"

namespace musaic {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using namespace std::chrono_literals;
using Tokens = std::vector<TokenId>;

constexpr int kVocab = 40;

RunnerLimits small_limits(int num_pages = 500) {
  return {.max_tokens_per_step = 64,
          .max_sequences = 16,
          .max_context = 512,
          .page_size = 4,
          .num_pages = num_pages,
          .vocab_size = kVocab};
}

// Runs steps at launch, as a device would in order, and hands them out at collect.
class FakeRunner final : public Runner {
 public:
  explicit FakeRunner(const RunnerLimits& limits)
      : limits_(limits),
        model_({limits.max_tokens_per_step, limits.max_sequences, limits.max_context, limits.page_size,
                limits.num_pages},
               limits.vocab_size) {}

  const RunnerLimits& limits() const override { return limits_; }

  Ticket launch(const Batch& batch) override {
    if (launches + 1 == losing_launch) throw DeviceLost("the device is lost");
    if (++launches == failing_launch) throw std::runtime_error("a kernel refused its call");
    outputs_.push_back(model_.run(batch));
    max_in_flight = std::max(max_in_flight, outputs_.size());
    return launched_++;
  }

  Result<StepOutput> collect(Ticket ticket) override {
    EXPECT_EQ(ticket, collected_++) << "tickets are collected in launch order";
    if (delay.count() > 0) std::this_thread::sleep_for(delay);
    StepOutput output = std::move(outputs_.front());
    outputs_.pop_front();
    if (ticket == failing_ticket) return Status(StatusCode::kInternal, "the device fell over");
    return output;
  }

  bool work_while_idle() override {
    if (++idle_calls == failing_idle_call) throw std::runtime_error("no capture today");
    return idle_calls < 4;
  }

  Ticket failing_ticket = ~Ticket{0};
  int launches = 0;
  int failing_launch = -1;
  int failing_idle_call = -1;
  int losing_launch = -1;
  std::chrono::milliseconds delay{0};
  size_t max_in_flight = 0;
  std::atomic<int> idle_calls{0};

 private:
  RunnerLimits limits_;
  PagedModel model_;
  std::deque<StepOutput> outputs_;
  Ticket launched_ = 0;
  Ticket collected_ = 0;
};

// The events of one request, which a test may wait for.
class Answer {
 public:
  OutputSink sink() {
    return [this](OutputEvent&& event) {
      const std::lock_guard lock(mutex_);
      EXPECT_FALSE(finish_.has_value()) << "an event after the last";
      tokens_.insert(tokens_.end(), event.tokens.begin(), event.tokens.end());
      finish_ = event.finish;
      cached_tokens_ = event.cached_tokens;
      changed_.notify_all();
    };
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 60s, [this] { return finish_.has_value(); });
  }
  bool wait_for_tokens(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 60s, [&] { return tokens_.size() >= count; });
  }
  Tokens tokens() const {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }
  std::optional<Finish> finish() const {
    const std::lock_guard lock(mutex_);
    return finish_;
  }
  int cached_tokens() const {
    const std::lock_guard lock(mutex_);
    return cached_tokens_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Tokens tokens_;
  std::optional<Finish> finish_;
  int cached_tokens_ = 0;
};

Request request_of(Tokens prompt, int max_new_tokens, std::optional<int64_t> seed = 1) {
  Request request{.input_ids = std::move(prompt)};
  request.sampling = {.max_new_tokens = max_new_tokens, .seed = seed, .ignore_eos = true};
  return request;
}

Tokens prompt_of(int number, int length) {
  Tokens prompt;
  for (int i = 0; i < length; ++i) prompt.push_back((number * 7 + i * i + i * number) % kVocab);
  return prompt;
}

RequestId submit(Engine& engine, const Request& request, Answer& answer) {
  auto ids = engine.submit({request}, answer.sink());
  EXPECT_TRUE(ids.ok()) << ids.status().message();
  return ids.ok() ? ids->front() : 0;
}

void run_to_end(Engine& engine) {
  while (engine.step()) continue;
}

Tokens alone(const Request& request) {
  return PagedModel::answer_alone(request, {}, kVocab);
}

EngineOptions quiet_options(int overlap_depth = 0) {
  EngineOptions options{.overlap_depth = overlap_depth};
  options.scheduler.schedule_conservativeness = 0.3;
  return options;
}

TEST(Engine, GivesEachRequestItsTokensWhenManyThreadsSubmitAndAbort) {
  for (const int depth : {0, 1}) {
    FakeRunner runner(small_limits(120));
    Engine engine(runner, quiet_options(depth));
    engine.start();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&engine, t] {
        for (int i = 0; i < 25; ++i) {
          const Request request = request_of(prompt_of(t * 100 + i, 5 + i), 20);
          const Request aborted = request_of(prompt_of(i, 30), 100);
          Answer answer;
          Answer cut;
          submit(engine, request, answer);
          engine.abort(submit(engine, aborted, cut));
          ASSERT_TRUE(answer.wait() && cut.wait());
          EXPECT_EQ(answer.tokens(), alone(request));
          engine.stats();
          engine.step_counts();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    while (!engine.idle()) std::this_thread::sleep_for(1ms);
    EXPECT_TRUE(engine.flush_cache());
    engine.stop();
    EXPECT_EQ(engine.stats().used_tokens, 0);
    EXPECT_EQ(engine.stats().cached_tokens, 0);
    EXPECT_EQ(runner.max_in_flight, static_cast<size_t>(depth) + 1);
  }
}

TEST(Engine, DrawsTheSameTokensWithAndWithoutOverlapThoughTheMemoryIsTight) {
  for (const int depth : {0, 1, 2}) {
    FakeRunner runner(small_limits(60));
    Engine engine(runner, quiet_options(depth));
    std::vector<Answer> answers(40);
    std::vector<Request> requests;
    for (int i = 0; i < 40; ++i) {
      requests.push_back(request_of(prompt_of(i, 10 + i), 60));
      submit(engine, requests.back(), answers[static_cast<size_t>(i)]);
    }
    run_to_end(engine);
    for (size_t i = 0; i < answers.size(); ++i) EXPECT_EQ(answers[i].tokens(), alone(requests[i]));
    EXPECT_GT(engine.stats().retracted_requests, 0u);
    EXPECT_TRUE(engine.idle());
    EXPECT_EQ(engine.stats().used_tokens, 0);
  }
}

TEST(Engine, RefusesMoreRequestsThanTheQueueHoldsAllOrNone) {
  FakeRunner runner(small_limits());
  EngineOptions options;
  options.scheduler.max_running_requests = 2;
  options.max_queued_requests = 3;
  Engine engine(runner, options);
  Answer answer;
  const Request request = request_of({1, 2, 3}, 4);
  EXPECT_TRUE(engine.submit({4, request}, [](OutputEvent&&) {}).ok());
  const auto refused = engine.submit({request, request}, answer.sink());
  EXPECT_EQ(refused.status().code(), StatusCode::kOverloaded);
  EXPECT_THAT(refused.status().message(), HasSubstr("4 requests run or wait, 2 more came, the limit is 5"));
  submit(engine, request, answer);
  run_to_end(engine);
  EXPECT_EQ(answer.tokens(), alone(request));
  EXPECT_TRUE(engine.submit({5, request}, [](OutputEvent&&) {}).ok());
}

TEST(Engine, APlaceInTheQueueIsFreeWhenTheLastEventIsHandedOver) {
  FakeRunner runner(small_limits(50));
  EngineOptions options;
  options.scheduler.max_running_requests = 1;
  options.max_queued_requests = 0;
  Engine engine(runner, options);
  std::optional<bool> next_is_taken;
  const Request request = request_of({1, 2}, 1);
  const auto sink = [&](OutputEvent&& event) {
    if (event.finish) next_is_taken = engine.submit({request}, [](OutputEvent&&) {}).ok();
  };
  ASSERT_TRUE(engine.submit({request}, sink).ok());
  EXPECT_FALSE(engine.submit({request}, [](OutputEvent&&) {}).ok());
  run_to_end(engine);
  EXPECT_EQ(next_is_taken, true);
}

TEST(Engine, RefusesWhatCanNeverBeServed) {
  FakeRunner runner(small_limits(50));
  Engine engine(runner, {});
  const auto code_of = [&](const Request& request) {
    return engine.submit({request_of({1}, 1), request}, [](OutputEvent&&) {}).status().code();
  };
  EXPECT_EQ(code_of(request_of(Tokens(100, 1), 101)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of(request_of({}, 1)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of(request_of({1, kVocab}, 1)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of(request_of({1, -1}, 1)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of(request_of({1, 2}, -1)), StatusCode::kInvalidArgument);
  EXPECT_TRUE(engine.idle()) << "none of a refused group is taken";
}

TEST(Engine, RefusesOptionsThatCannotWork) {
  FakeRunner runner(small_limits());
  EngineOptions options;
  options.scheduler.max_running_requests = 0;
  EXPECT_THROW(Engine(runner, options), LoadError);
}

TEST(Engine, FreesTheTokensOfAnAbortedRequestWithinAStep) {
  FakeRunner runner(small_limits());
  Engine engine(runner, {});
  Answer answer;
  Answer quiet;
  const RequestId id = submit(engine, request_of(prompt_of(1, 40), 100), answer);
  const RequestId quiet_id = submit(engine, request_of(prompt_of(2, 20), 100), quiet);
  engine.step();
  EXPECT_GT(engine.stats().used_tokens, 0);
  engine.abort(id);
  engine.abort(quiet_id, true);
  engine.step();
  EXPECT_EQ(engine.stats().used_tokens, 0);
  EXPECT_EQ(engine.stats().running_requests, 0);
  EXPECT_EQ(engine.stats().aborted_requests, 1u);
  ASSERT_TRUE(answer.finish().has_value());
  EXPECT_EQ(answer.finish()->kind, FinishKind::kAbort);
  EXPECT_EQ(answer.finish()->status, 0);
  engine.abort(id);
  EXPECT_FALSE(engine.step());
}

TEST(Engine, EndsOnlyTheRequestsOfAFailedStep) {
  for (const int depth : {0, 1}) {
    FakeRunner runner(small_limits());
    runner.failing_ticket = 2;
    Engine engine(runner, quiet_options(depth));
    Answer failed;
    Answer later;
    submit(engine, request_of({1, 2, 3}, 20), failed);
    for (int i = 0; i < 3; ++i) engine.step();
    const Request request = request_of({1, 2, 3, 4}, 20);
    submit(engine, request, later);
    run_to_end(engine);
    EXPECT_THAT(failed.tokens(), SizeIs(2));
    ASSERT_TRUE(failed.finish().has_value());
    EXPECT_EQ(failed.finish()->status, 500);
    EXPECT_EQ(failed.finish()->message, "the device fell over");
    EXPECT_EQ(later.tokens(), alone(request));
    EXPECT_EQ(engine.stats().used_tokens, 0);
  }
}

TEST(Engine, AStepThatCannotBeEnqueuedFailsAsOneThatRan) {
  for (const int depth : {0, 1}) {
    FakeRunner runner(small_limits());
    runner.failing_launch = 3;
    Engine engine(runner, quiet_options(depth));
    Answer failed;
    Answer later;
    submit(engine, request_of({1, 2, 3}, 20), failed);
    for (int i = 0; i < 3; ++i) engine.step();
    const Request request = request_of({1, 2, 3, 4}, 20);
    submit(engine, request, later);
    run_to_end(engine);
    ASSERT_TRUE(failed.finish().has_value());
    EXPECT_EQ(failed.finish()->status, 500);
    EXPECT_EQ(failed.finish()->message, "a kernel refused its call");
    EXPECT_EQ(later.tokens(), alone(request));
    EXPECT_EQ(engine.stats().used_tokens, 0);
  }
}

TEST(Engine, ALostDeviceEndsEveryRequestAndRefusesNewOnes) {
  FakeRunner runner(small_limits());
  runner.losing_launch = 4;
  Engine engine(runner, quiet_options(0));
  std::promise<void> lost;
  engine.on_device_lost([&] { lost.set_value(); });
  Answer running;
  Answer waiting;
  submit(engine, request_of({1, 2, 3}, 20), running);
  submit(engine, request_of({1, 2, 3, 4}, 20), waiting);
  engine.start();
  ASSERT_EQ(lost.get_future().wait_for(std::chrono::minutes(5)), std::future_status::ready);
  for (const Answer* answer : {&running, &waiting}) {
    ASSERT_TRUE(answer->finish().has_value());
    EXPECT_EQ(answer->finish()->status, 500);
    EXPECT_EQ(answer->finish()->message, "the device is lost");
  }
  const auto refused = engine.submit({request_of({1}, 1)}, [](const OutputEvent&) {});
  EXPECT_EQ(refused.status().code(), StatusCode::kUnavailable);
}

TEST(Engine, FinishesWhatItTookWhenItDrains) {
  FakeRunner runner(small_limits());
  Engine engine(runner, {});
  Answer answer;
  const Request request = request_of({1, 2, 3}, 20);
  submit(engine, request, answer);
  engine.drain();
  EXPECT_FALSE(engine.idle());
  const auto refused = engine.submit({request}, [](OutputEvent&&) {});
  EXPECT_EQ(refused.status().code(), StatusCode::kUnavailable);
  run_to_end(engine);
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(answer.tokens(), alone(request));
}

TEST(Engine, EndsLiveRequestsWithStatus503WhenItIsStopped) {
  FakeRunner runner(small_limits());
  runner.delay = 1ms;
  Engine engine(runner, quiet_options(1));
  engine.start();
  std::vector<Answer> answers(20);
  for (Answer& answer : answers) submit(engine, request_of(prompt_of(3, 20), 400), answer);
  ASSERT_TRUE(answers[0].wait_for_tokens(2));
  engine.stop();
  for (const Answer& answer : answers) {
    ASSERT_TRUE(answer.finish().has_value());
    EXPECT_EQ(answer.finish()->status, 503);
  }
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(engine.submit({request_of({1}, 1)}, [](OutputEvent&&) {}).status().code(),
            StatusCode::kUnavailable);
}

TEST(Engine, DrawsMissingSeedsFromItsOwn) {
  std::map<uint64_t, Tokens> tokens;
  for (const uint64_t seed : {5, 5, 6}) {
    FakeRunner runner(small_limits());
    Engine engine(runner, {.random_seed = seed});
    std::vector<Answer> answers(2);
    const Request request = request_of({1, 2, 3}, 30, std::nullopt);
    submit(engine, request, answers[0]);
    submit(engine, request, answers[1]);
    run_to_end(engine);
    EXPECT_NE(answers[0].tokens(), answers[1].tokens());
    const auto [entry, is_new] = tokens.emplace(seed, answers[0].tokens());
    EXPECT_EQ(entry->second, answers[0].tokens());
  }
  EXPECT_NE(tokens[5], tokens[6]);
}

TEST(Engine, ForgetsThePrefixCacheOnlyWhenNothingLives) {
  FakeRunner runner(small_limits());
  runner.delay = 1ms;
  Engine engine(runner, quiet_options(1));
  engine.start();
  Answer first;
  const Request request = request_of(prompt_of(4, 40), 8);
  Answer busy;
  const RequestId id = submit(engine, request_of(prompt_of(5, 40), 400), busy);
  submit(engine, request, first);
  ASSERT_TRUE(first.wait());
  EXPECT_FALSE(engine.flush_cache());
  Answer second;
  submit(engine, request, second);
  ASSERT_TRUE(second.wait());
  EXPECT_EQ(second.cached_tokens(), 36);
  engine.abort(id);
  ASSERT_TRUE(busy.wait());
  EXPECT_TRUE(engine.flush_cache());
  EXPECT_EQ(engine.stats().cached_tokens, 0);
}

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

TEST(Engine, SleepsWhenItHasNothingToDoAfterTheRunnersIdleWork) {
  FakeRunner runner(small_limits());
  Engine engine(runner, {});
  engine.start();
  while (runner.idle_calls < 4) std::this_thread::sleep_for(1ms);
  const double before = cpu_seconds();
  std::this_thread::sleep_for(300ms);
  EXPECT_LT(cpu_seconds() - before, 0.03);
  EXPECT_EQ(runner.idle_calls, 4);
}

TEST(Engine, GoesOnWithoutIdleWorkWhenThatFails) {
  FakeRunner runner(small_limits());
  runner.failing_idle_call = 2;
  Engine engine(runner, {});
  engine.start();
  while (runner.idle_calls < 2) std::this_thread::sleep_for(1ms);
  Answer answer;
  const Request request = request_of({1, 2, 3}, 5);
  submit(engine, request, answer);
  while (!answer.finish()) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(answer.tokens(), alone(request));
  engine.stop();
  EXPECT_EQ(runner.idle_calls, 2);
}

TEST(Engine, CountsStepsAndRates) {
  FakeRunner runner(small_limits());
  runner.delay = 1ms;
  Engine engine(runner, {});
  engine.start();
  Answer first;
  Answer second;
  const Request request = request_of(prompt_of(6, 40), 11);
  submit(engine, request, first);
  ASSERT_TRUE(first.wait());
  submit(engine, request, second);
  ASSERT_TRUE(second.wait());
  const auto deadline = Clock::now() + 60s;  // the rates of a window are there once the engine goes idle
  while (engine.stats().cache_hit_rate < 0.3 && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
  engine.stop();
  uint64_t decodes = 0;
  uint64_t extends = 0;
  for (const StepCount& count : engine.step_counts()) {
    (count.record.kind == StepKind::kDecode ? decodes : extends) += count.steps;
    EXPECT_GT(count.record.seconds, 0.0);
  }
  EXPECT_EQ(extends, 2u);
  EXPECT_EQ(decodes, 20u);
  EXPECT_GT(engine.stats().last_gen_throughput, 0.0);
  EXPECT_GT(engine.stats().cache_hit_rate, 0.3);
}

TEST(Watchdog, CountsAStepThatTakesTooLongOnce) {
  Watchdog watchdog(0.05);
  {
    const Watchdog::Watch watch(watchdog);
    std::this_thread::sleep_for(300ms);
  }
  EXPECT_EQ(watchdog.late_steps(), 1);
  { const Watchdog::Watch watch(watchdog); }
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(watchdog.late_steps(), 1);
}

}  // namespace
}  // namespace musaic
