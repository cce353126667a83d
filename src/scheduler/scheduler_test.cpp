#include "scheduler/scheduler.h"

#include <gmock/gmock.h>

#include <map>
#include <random>

#include "scheduler/paged_model_for_test.h"

namespace musaic {
namespace {

using ::testing::HasSubstr;
using Tokens = std::vector<TokenId>;

constexpr int kVocab = 40;

// What came out for one request.
struct Answer {
  Tokens tokens;
  std::vector<PositionLogprobs> output_logprobs;
  std::vector<PositionLogprobs> input_logprobs;
  std::optional<Finish> finish;
  int events = 0;
  int cached_tokens = 0;
  std::string first_reason;
};

// Steps a scheduler against the paged model as the engine does, `depth` steps ahead.
class Server {
 public:
  Server(const SchedulerOptions& options, const StepLimits& limits, size_t depth = 0)
      : scheduler(options, limits), model(limits, kVocab), depth_(depth) {}

  RequestId add(Tokens prompt, SamplingParams sampling, LogprobParams logprobs = {}) {
    Request request{.id = ++last_id_, .input_ids = std::move(prompt), .sampling = std::move(sampling)};
    request.logprobs = std::move(logprobs);
    if (!request.sampling.seed) request.sampling.seed = static_cast<int64_t>(request.id);
    EXPECT_TRUE(scheduler.check_fits(request).ok()) << scheduler.check_fits(request).message();
    requests[request.id] = request;
    scheduler.add(request, Clock::now());
    return last_id_;
  }

  void abort(RequestId id) {
    if (auto event = scheduler.abort(id, {.kind = FinishKind::kAbort})) take(std::move(*event));
  }

  // Returns the step's batch.
  const Batch& step() {
    const Batch& batch = scheduler.schedule();
    if (!batch.empty()) outputs_.push_back(model.run(batch));
    if (outputs_.empty() || (!batch.empty() && outputs_.size() <= depth_)) return batch;
    StepOutput output = std::move(outputs_.front());
    outputs_.pop_front();
    for (OutputEvent& event : scheduler.commit(std::move(output))) take(std::move(event));
    return batch;
  }

  void run_to_end() {
    for (int steps = 0; !scheduler.idle(); ++steps) {
      ASSERT_LT(steps, 100000) << "the scheduler makes no progress";
      step();
    }
  }

  void take(OutputEvent event) {
    Answer& answer = answers[event.request];
    EXPECT_FALSE(answer.finish.has_value()) << "an event after the last of request " << event.request;
    if (answer.events == 0) {
      answer.input_logprobs = event.input_logprobs;
      answer.first_reason = event.step_reason;
    } else {
      EXPECT_TRUE(event.input_logprobs.empty());
    }
    ++answer.events;
    answer.cached_tokens = event.cached_tokens;
    answer.tokens.insert(answer.tokens.end(), event.tokens.begin(), event.tokens.end());
    for (auto& logprob : event.output_logprobs) answer.output_logprobs.push_back(std::move(logprob));
    answer.finish = event.finish;
  }

  Tokens alone(RequestId id) const { return PagedModel::answer_alone(requests.at(id), end_tokens, kVocab); }

  Scheduler scheduler;
  PagedModel model;
  Tokens end_tokens;
  std::map<RequestId, Request> requests;
  std::map<RequestId, Answer> answers;

 private:
  size_t depth_;
  RequestId last_id_ = 0;
  std::deque<StepOutput> outputs_;
};

StepLimits small_limits(int num_pages) {
  return {.max_tokens_per_step = 64,
          .max_sequences = 16,
          .max_context = 512,
          .page_size = 4,
          .num_pages = num_pages};
}

Tokens random_tokens(std::mt19937& random, int length) {
  Tokens tokens(static_cast<size_t>(length));
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % kVocab);
  return tokens;
}

SamplingParams draw_exactly(int count) {
  return {.max_new_tokens = count, .ignore_eos = true};
}

void expect_no_page_held(Server& server) {
  EXPECT_TRUE(server.scheduler.idle());
  EXPECT_EQ(server.scheduler.counts().used_tokens, 0);
  EXPECT_TRUE(server.scheduler.flush_cache());
  EXPECT_EQ(server.scheduler.counts().cached_tokens, 0);
}

void expect_logprobs(const Answer& answer, const Request& request) {
  const int prompt = static_cast<int>(request.input_ids.size());
  if (!request.logprobs.enabled) return;
  ASSERT_EQ(answer.output_logprobs.size(), answer.tokens.size());
  const int start = request.logprobs.start;
  const int expected = start < 0 ? 0 : std::max(0, prompt - 1 - start);
  ASSERT_EQ(static_cast<int>(answer.input_logprobs.size()), expected);
  for (int i = 0; i < expected; ++i) {
    const int position = start + 1 + i;
    const Tokens history(request.input_ids.begin(), request.input_ids.begin() + position);
    const PositionLogprobs& logprob = answer.input_logprobs[static_cast<size_t>(i)];
    EXPECT_EQ(logprob.token, request.input_ids[static_cast<size_t>(position)]);
    EXPECT_EQ(logprob.logprob, PagedModel::logprob(history, logprob.token));
  }
}

void expect_answer(const Server& server, RequestId id, bool aborted) {
  const Answer& answer = server.answers.at(id);
  const Tokens alone = server.alone(id);
  ASSERT_TRUE(answer.finish.has_value());
  if (answer.finish->kind == FinishKind::kAbort) {
    EXPECT_TRUE(aborted) << answer.finish->message;
    ASSERT_LE(answer.tokens.size(), alone.size());
    EXPECT_TRUE(std::equal(answer.tokens.begin(), answer.tokens.end(), alone.begin()));
    return;
  }
  EXPECT_EQ(answer.tokens, alone) << "request " << id;
  const Request& request = server.requests.at(id);
  const bool reached_length = static_cast<int>(alone.size()) == request.sampling.max_new_tokens;
  const bool stopped = answer.finish->kind == FinishKind::kStopToken;
  EXPECT_TRUE(stopped || reached_length);
  EXPECT_EQ(answer.finish->matched, stopped ? alone.back() : -1);
  EXPECT_LT(answer.cached_tokens, static_cast<int>(request.input_ids.size()));
  expect_logprobs(answer, request);
}

struct Workload {
  SchedulerOptions options;
  StepLimits limits;
  size_t depth = 0;
  int num_requests = 0;
};

Workload random_workload(std::mt19937& random) {
  Workload w;
  const int pages_for_longest[] = {20, 24, 40, 100, 400};
  const int chunks[] = {-1, 4, 7, 16, 64, 512};
  w.limits = {.max_tokens_per_step = 16 + static_cast<int>(random() % 64),
              .max_sequences = 1 + static_cast<int>(random() % 16),
              .max_context = 80,
              .page_size = 1 + static_cast<int>(random() % 8)};
  w.limits.num_pages = (pages_for_longest[random() % 5] * 4 + w.limits.page_size - 1) / w.limits.page_size;
  w.options = {.chunked_prefill_size = chunks[random() % 6],
               .max_prefill_tokens = random() % 4 == 0 ? 10 : 16384,
               .max_running_requests = 1 + static_cast<int>(random() % 20),
               .schedule_policy = random() % 2 == 0 ? SchedulePolicy::kFcfs : SchedulePolicy::kLpm,
               .schedule_conservativeness = random() % 2 == 0 ? 0.0 : 1.0,
               .disable_radix_cache = random() % 5 == 0,
               .end_tokens = {1, 2}};
  w.depth = random() % 3;
  w.num_requests = 20 + static_cast<int>(random() % 60);
  return w;
}

SamplingParams random_sampling(std::mt19937& random) {
  SamplingParams sampling{.max_new_tokens = static_cast<int>(random() % 40)};
  if (random() % 4 == 0) sampling.min_new_tokens = static_cast<int>(random()) % (sampling.max_new_tokens + 1);
  sampling.min_new_tokens = std::abs(sampling.min_new_tokens);
  sampling.ignore_eos = random() % 3 == 0;
  if (random() % 4 == 0) sampling.stop_token_ids = {7, 5};
  sampling.seed = static_cast<int64_t>(random() % 3);
  return sampling;
}

// A prompt that often starts like an earlier one, or goes on where an earlier answer ended.
Tokens random_prompt(std::mt19937& random, const Server& server) {
  Tokens prompt = random_tokens(random, 1 + static_cast<int>(random() % 40));
  if (server.requests.empty() || random() % 3 == 0) return prompt;
  auto entry = server.requests.begin();
  std::advance(entry, static_cast<long>(random() % server.requests.size()));
  Tokens start = entry->second.input_ids;
  const auto answer = server.answers.find(entry->first);
  if (answer != server.answers.end()) {
    start.insert(start.end(), answer->second.tokens.begin(), answer->second.tokens.end());
  }
  start.resize(std::min<size_t>(start.size(), 1 + random() % 40));
  if (random() % 4 == 0) return start;
  start.insert(start.end(), prompt.begin(), prompt.begin() + static_cast<long>(random() % prompt.size()));
  start.resize(std::min<size_t>(start.size(), 40));
  return start;
}

void run_workload(uint32_t seed) {
  std::mt19937 random(seed);
  const Workload w = random_workload(random);
  Server server(w.options, w.limits, w.depth);
  server.end_tokens = w.options.end_tokens;
  std::set<RequestId> aborted;
  for (int i = 0; i < w.num_requests; ++i) {
    LogprobParams logprobs{.enabled = random() % 4 == 0};
    Tokens prompt = random_prompt(random, server);
    if (logprobs.enabled) logprobs.start = static_cast<int>(random() % (prompt.size() + 1)) - 1;
    const RequestId id = server.add(std::move(prompt), random_sampling(random), logprobs);
    if (random() % 12 == 0) aborted.insert(1 + random() % id);
    for (uint32_t steps = random() % 6; steps > 0; --steps) server.step();
    if (random() % 3 == 0 && !aborted.empty()) server.abort(*aborted.rbegin());
  }
  for (const RequestId id : aborted) server.abort(id);
  server.run_to_end();
  for (const auto& [id, request] : server.requests) expect_answer(server, id, aborted.count(id) > 0);
  expect_no_page_held(server);
}

TEST(Scheduler, GivesEachRequestTheTokensItHasAloneInRandomWorkloads) {
  for (uint32_t seed = 0; seed < 400 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(::testing::Message() << "workload " << seed);
    run_workload(seed);
  }
}

TEST(Scheduler, FinishesEveryRequestWhenTheMemoryIsAQuarterOfTheNeed) {
  std::mt19937 random(3);
  for (const bool cached : {true, false}) {
    // 16 running requests of 40 + 60 tokens need 400 pages.
    Server server({.schedule_conservativeness = 0.0, .disable_radix_cache = !cached}, small_limits(100));
    for (int i = 0; i < 64; ++i) server.add(random_tokens(random, 40), draw_exactly(60));
    server.run_to_end();
    EXPECT_GT(server.scheduler.counts().retractions, 0u);
    for (const auto& [id, request] : server.requests) expect_answer(server, id, false);
    expect_no_page_held(server);
  }
}

TEST(Scheduler, ResumesARetractedRequestFromTheCache) {
  std::mt19937 random(4);
  Server server({.schedule_conservativeness = 0.0}, small_limits(20));
  server.add(random_tokens(random, 20), draw_exactly(40));
  server.add(random_tokens(random, 20), draw_exactly(30));
  int prompt_tokens = 0;
  while (!server.scheduler.idle()) {
    server.step();
    prompt_tokens += server.scheduler.last_step().prompt_tokens;
  }
  EXPECT_EQ(server.scheduler.counts().retractions, 1u);
  EXPECT_LT(prompt_tokens, 20 + 20 + 25) << "most of the retracted request's pages were still there";
  for (const auto& [id, request] : server.requests) expect_answer(server, id, false);
}

TEST(Scheduler, StartsThePromptsLogprobsAnewWhenItIsRetractedHalfway) {
  std::mt19937 random(12);
  // The stream takes a page every 4 steps while the prompt, 2 tokens a step, takes the rest.
  Server server({.chunked_prefill_size = 2, .schedule_conservativeness = 0.0}, small_limits(20));
  server.add(random_tokens(random, 4), draw_exactly(60));
  server.step();
  server.step();
  const RequestId id = server.add(random_tokens(random, 60), draw_exactly(2), {.enabled = true, .start = 10});
  while (server.scheduler.counts().retractions == 0) {
    ASSERT_EQ(server.answers[id].events, 0);
    server.step();
  }
  server.run_to_end();
  expect_answer(server, id, false);
}

TEST(Scheduler, RunsALongPromptInChunksBesideStreamsThatGetATokenEveryStep) {
  std::mt19937 random(5);
  const StepLimits limits{.max_tokens_per_step = 512,
                          .max_sequences = 16,
                          .max_context = 8192,
                          .page_size = 16,
                          .num_pages = 2000};
  Server server({.chunked_prefill_size = 512}, limits);
  std::vector<RequestId> streams;
  for (int i = 0; i < 8; ++i) streams.push_back(server.add(random_tokens(random, 20), draw_exactly(200)));
  server.step();
  const RequestId prompt = server.add(random_tokens(random, 4000), draw_exactly(4));
  for (int steps = 0; server.answers[prompt].tokens.empty(); ++steps) {
    ASSERT_LT(steps, 8);
    const size_t before = server.answers[streams[0]].tokens.size();
    const Batch& batch = server.step();
    EXPECT_LE(batch.num_tokens(), 512);
    EXPECT_EQ(batch.kind, StepKind::kExtend);
    for (const RequestId id : streams) EXPECT_EQ(server.answers[id].tokens.size(), before + 1);
  }
  server.run_to_end();
  EXPECT_LE(server.model.max_tokens_seen(), 512);
  for (const auto& [id, request] : server.requests) expect_answer(server, id, false);
}

class PacedPrompts : public ::testing::Test {
 protected:
  static constexpr double kTargetMs = 60.0;

  PacedPrompts() : server_({.chunked_prefill_size = 512, .itl_target_ms = kTargetMs}, limits()) {
    server_.model.seconds_per_step = 2e-3;
    server_.model.seconds_per_token = 0.5e-3;
  }

  static StepLimits limits() {
    return {.max_tokens_per_step = 512,
            .max_sequences = 16,
            .max_context = 8192,
            .page_size = 16,
            .num_pages = 2000};
  }

  void start_streams() {
    for (int i = 0; i < 8; ++i) server_.add(random_tokens(random_, 20), draw_exactly(200));
    server_.step();
  }

  // Milliseconds of the next `count` steps.
  std::vector<double> milliseconds(int count) {
    std::vector<double> steps;
    for (int i = 0; i < count; ++i) {
      const int tokens = server_.step().num_tokens();
      steps.push_back(1e3 * (server_.model.seconds_per_step + server_.model.seconds_per_token * tokens));
    }
    return steps;
  }

  std::mt19937 random_{21};
  Server server_;
};

TEST_F(PacedPrompts, TakeWhatTheInterTokenLatencyOfRunningAnswersLeaves) {
  start_streams();
  server_.add(random_tokens(random_, 4000), draw_exactly(4));
  for (const double ms : milliseconds(20)) {
    EXPECT_LE(ms, 1.02 * kTargetMs);
    EXPECT_GE(ms, 0.9 * kTargetMs);
  }
  server_.run_to_end();
  for (const auto& [id, request] : server_.requests) expect_answer(server_, id, false);
}

TEST_F(PacedPrompts, FollowAMachineThatSlowsDownAndRecovers) {
  start_streams();
  server_.add(random_tokens(random_, 4000), draw_exactly(4));
  milliseconds(3);
  server_.model.seconds_per_token = 1.5e-3;
  EXPECT_LE(milliseconds(12).back(), 1.1 * kTargetMs);
  server_.model.seconds_per_token = 0.5e-3;
  EXPECT_GE(milliseconds(12).back(), 0.9 * kTargetMs);
}

TEST_F(PacedPrompts, StillMoveWhereEvenASmallStepIsLate) {
  server_.model.seconds_per_step = 0.5;
  start_streams();
  const RequestId prompt = server_.add(random_tokens(random_, 200), draw_exactly(4));
  milliseconds(10);
  EXPECT_FALSE(server_.answers[prompt].tokens.empty());
}

TEST_F(PacedPrompts, TakeWholeChunksWhenNoAnswerRuns) {
  server_.add(random_tokens(random_, 2048), draw_exactly(4));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(server_.step().num_tokens(), 512);
}

TEST(Scheduler, CutsALongerPromptAtTheRunnersLimitWhenChunkingIsOff) {
  Server server({.chunked_prefill_size = -1}, small_limits(200));
  std::mt19937 random(6);
  server.add(random_tokens(random, 150), draw_exactly(1));
  server.add(random_tokens(random, 50), draw_exactly(1));
  std::vector<int> rows;
  while (!server.scheduler.idle()) rows.push_back(server.step().num_tokens());
  EXPECT_EQ(rows, (std::vector<int>{64, 64, 22, 50})) << "a prompt that fits a step is not cut";
}

TEST(Scheduler, StillMovesPromptsWhenDecodeRowsFillTheChunk) {
  std::mt19937 random(7);
  Server server({.chunked_prefill_size = 4}, small_limits(400));
  for (int i = 0; i < 6; ++i) server.add(random_tokens(random, 4), draw_exactly(100));
  for (int i = 0; i < 12; ++i) server.step();
  const RequestId late = server.add(random_tokens(random, 40), draw_exactly(1));
  for (int i = 0; i < 11; ++i) server.step();
  EXPECT_TRUE(server.answers[late].finish.has_value());
}

TEST(Scheduler, CallsAStepDecodeOnlyWhenEveryRowIs) {
  Server server({}, small_limits(100));
  server.add({1, 2, 3}, draw_exactly(5));
  EXPECT_EQ(server.step().kind, StepKind::kExtend);
  EXPECT_EQ(server.step().kind, StepKind::kDecode);
  server.add({9}, draw_exactly(5));
  EXPECT_EQ(server.step().kind, StepKind::kExtend);
  EXPECT_EQ(server.step().kind, StepKind::kDecode);
}

TEST(Scheduler, AnswersAPrefillOnlyRequestRightAfterItsPrompt) {
  Server server({}, small_limits(100));
  const RequestId id = server.add({1, 2, 3, 4, 5}, draw_exactly(0), {.enabled = true, .start = 0});
  EXPECT_FALSE(server.step().sequences.front().sample);
  ASSERT_TRUE(server.answers[id].finish.has_value());
  EXPECT_EQ(server.answers[id].finish->kind, FinishKind::kLength);
  EXPECT_TRUE(server.answers[id].tokens.empty());
  EXPECT_EQ(server.answers[id].input_logprobs.size(), 4u);
  EXPECT_EQ(server.answers[id].first_reason, "extend bucket=6 replayed pad=1");
  const RequestId again = server.add({1, 2, 3, 4, 5}, draw_exactly(1));
  server.run_to_end();
  EXPECT_EQ(server.answers[again].cached_tokens, 4) << "its prompt is cached";
}

TEST(Scheduler, TakesOnlyThePrefixBeforeTheWantedLogprobsFromTheCache) {
  Server server({}, small_limits(100));
  std::mt19937 random(8);
  const Tokens prompt = random_tokens(random, 40);
  server.add(prompt, draw_exactly(4));
  server.run_to_end();
  const RequestId id = server.add(prompt, draw_exactly(4), {.enabled = true, .start = 18});
  server.run_to_end();
  EXPECT_EQ(server.answers[id].cached_tokens, 16);
  EXPECT_EQ(server.answers[id].input_logprobs.size(), 21u);
  expect_answer(server, id, false);
}

TEST(Scheduler, LetsRequestsWaitForAPrefixThatIsBeingComputed) {
  StepLimits limits = small_limits(200);
  limits.max_tokens_per_step = 128;
  Server server({}, limits);
  std::mt19937 random(9);
  const Tokens prompt = random_tokens(random, 100);
  for (int i = 0; i < 4; ++i) server.add(prompt, draw_exactly(8));
  int prompt_tokens = 0;
  while (!server.scheduler.idle()) {
    server.step();
    prompt_tokens += server.scheduler.last_step().prompt_tokens;
  }
  EXPECT_EQ(prompt_tokens, 100 + 3 * 4) << "computed once, then the last page of each";
  for (const auto& [id, request] : server.requests) expect_answer(server, id, false);
}

TEST(Scheduler, AdmitsTheLongestCachedPrefixFirstUnderLpmAndTheOldestUnderFcfs) {
  for (const SchedulePolicy policy : {SchedulePolicy::kFcfs, SchedulePolicy::kLpm}) {
    Server server({.max_running_requests = 1, .schedule_policy = policy}, small_limits(100));
    std::mt19937 random(10);
    const Tokens known = random_tokens(random, 20);
    server.add(known, draw_exactly(1));
    server.run_to_end();
    const RequestId unknown_first = server.add(random_tokens(random, 20), draw_exactly(3));
    const RequestId known_second = server.add(known, draw_exactly(3));
    server.step();
    const bool fcfs = policy == SchedulePolicy::kFcfs;
    EXPECT_EQ(server.answers[unknown_first].events, fcfs ? 1 : 0);
    EXPECT_EQ(server.answers[known_second].events, fcfs ? 0 : 1);
  }
}

TEST(Scheduler, NeverStarvesARequestUnderLpm) {
  Server server({.max_running_requests = 1, .schedule_policy = SchedulePolicy::kLpm}, small_limits(100));
  std::mt19937 random(11);
  const Tokens known = random_tokens(random, 20);
  server.add(known, draw_exactly(1));
  server.run_to_end();
  const RequestId unknown = server.add(random_tokens(random, 20), draw_exactly(1));
  int steps = 0;
  for (; server.answers[unknown].events == 0 && steps < 200; ++steps) {
    server.add(known, draw_exactly(1));
    server.step();
  }
  EXPECT_LE(steps, 66);
}

TEST(Scheduler, BansTheEndTokensUntilMinNewTokens) {
  Server server({.end_tokens = {3}}, small_limits(100));
  server.add({1, 2}, {.max_new_tokens = 4, .min_new_tokens = 2, .stop_token_ids = {9}});
  EXPECT_EQ(server.step().sequences.front().banned, (Tokens{3, 9}));
  EXPECT_EQ(server.step().sequences.front().banned, (Tokens{3, 9}));
  EXPECT_TRUE(server.step().sequences.front().banned.empty());
}

TEST(Scheduler, FreesAnAbortedRequestAtOnceWhenNothingIsInFlight) {
  Server server({}, small_limits(100));
  const RequestId id = server.add({1, 2, 3}, draw_exactly(50));
  const RequestId waiting = server.add({1, 2, 3}, draw_exactly(50));
  server.step();
  server.abort(id);
  server.abort(waiting);
  EXPECT_EQ(server.answers[id].finish->kind, FinishKind::kAbort);
  EXPECT_EQ(server.answers[waiting].finish->kind, FinishKind::kAbort);
  expect_no_page_held(server);
  server.abort(id);
  server.abort(12345);
  EXPECT_EQ(server.answers[id].events, 2);
}

TEST(Scheduler, KeepsThePagesOfAnAbortedRequestUntilItsStepIsCollected) {
  Server server({}, small_limits(100), 1);
  const RequestId id = server.add({1, 2, 3}, draw_exactly(50));
  server.step();
  server.abort(id);
  EXPECT_GT(server.scheduler.counts().used_tokens, 0);
  EXPECT_FALSE(server.scheduler.idle());
  server.step();
  expect_no_page_held(server);
}

TEST(Scheduler, EndsTheRequestsOfAFailedStepAndGoesOn) {
  Scheduler scheduler({.max_running_requests = 1}, small_limits(100));
  PagedModel model(small_limits(100), kVocab);
  SamplingParams sampling = draw_exactly(1);
  sampling.seed = 1;
  scheduler.add({.id = 1, .input_ids = {1, 2, 3, 4, 5}, .sampling = sampling}, Clock::now());
  scheduler.add({.id = 2, .input_ids = {1, 2, 3, 4, 5}, .sampling = sampling}, Clock::now());
  scheduler.schedule();
  const auto events = scheduler.fail_step(Status(StatusCode::kInternal, "the device fell over"));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].request, 1u);
  EXPECT_EQ(events[0].finish->status, 500);
  EXPECT_EQ(events[0].finish->message, "the device fell over");
  const auto next = scheduler.commit(model.run(scheduler.schedule()));
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].request, 2u);
  EXPECT_EQ(next[0].cached_tokens, 0) << "what the failed step wrote is not trusted";
  EXPECT_EQ(next[0].finish->kind, FinishKind::kLength);
}

TEST(Scheduler, RefusesWhatCanNeverFitWithBothNumbers) {
  const Scheduler scheduler({}, small_limits(50));
  Request request{.input_ids = Tokens(400, 1), .sampling = draw_exactly(113)};
  EXPECT_THAT(scheduler.check_fits(request).message(),
              HasSubstr("= 513 tokens, more than the context of 512"));
  request.sampling.max_new_tokens = 10;
  EXPECT_THAT(scheduler.check_fits(request).message(),
              HasSubstr("= 410 tokens, more than the KV memory of 200"));
  request.input_ids.clear();
  EXPECT_EQ(scheduler.check_fits(request).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace musaic
