// Steps that are launched before the tokens of the one before are read give what steps one by one give.
#include <gmock/gmock.h>

#include <map>

#include "backends/simulated/simulated_backend.h"
#include "cli/model_session.h"
#include "ops/kernels_cpu.h"
#include "ops/kernels_simulated.h"
#include "ops/op_list.h"

namespace musaic {
namespace {

struct Answer {
  std::vector<TokenId> tokens;
  std::vector<float> logprobs;        // of the drawn tokens
  std::vector<float> input_logprobs;  // of the prompt's
  std::optional<Finish> finish;
  std::string first_reason;

  bool operator==(const Answer& other) const {
    return tokens == other.tokens && logprobs == other.logprobs && input_logprobs == other.input_logprobs &&
           finish->kind == other.finish->kind && finish->matched == other.finish->matched;
  }
};

void PrintTo(const Answer& answer, std::ostream* out) {
  *out << testing::PrintToString(answer.tokens) << " finish " << static_cast<int>(answer.finish->kind);
}

// A request, and after how many tokens its client aborts it; 0: never.
struct Order {
  Request request;
  size_t abort_after = 0;
};

struct Outcome {
  std::vector<Answer> answers;
  int step_tokens = 0;  // rows of all steps
  uint64_t retractions = 0;
};

Order order(int number, int length, SamplingParams sampling) {
  Order order;
  for (int i = 0; i < length; ++i)
    order.request.input_ids.push_back((number * 31 + i * 17 + i * i) % 500 + 2);
  if (!sampling.seed) sampling.seed = number;
  order.request.sampling = std::move(sampling);
  return order;
}

class Overlap : public testing::TestWithParam<const char*> {
 protected:
  Overlap() {
    define_ops(platform_.registry);
    add_cpu_kernels(platform_.registry);
    add_simulated_kernels(platform_.registry);
    platform_.backends = {"cpu", "simulated"};
    platform_.make_backend = [](const BackendRequest& request) -> std::unique_ptr<Backend> {
      const CpuBackendOptions options{.num_threads = 1, .isa = std::nullopt};
      if (request.device == "simulated") return std::make_unique<SimulatedBackend>(options);
      return std::make_unique<CpuBackend>(options);
    };
  }

  Outcome run(bool overlap, const std::vector<Order>& orders, int64_t total_tokens = 4096,
              double verify_share = 0.0) {
    SessionOptions options;
    options.model_path = std::string(MUSAIC_TEST_DATA) + "/tiny/llama";
    options.skip_tokenizer = true;
    options.show_progress = false;
    options.backend.device = GetParam();
    options.max_total_tokens = total_tokens;
    options.max_running_requests = 8;
    options.page_size = 16;
    options.chunked_prefill_size = 24;
    options.overlap = overlap;
    if (verify_share > 0.0) options.graphs.verify_share = {verify_share, "--graph-verify", ""};
    ModelSession session(platform_, options);
    session.load();
    EXPECT_EQ(session.overlaps(), overlap);
    const auto engine = session.make_engine();
    Outcome run{.answers = std::vector<Answer>(orders.size())};
    for (size_t i = 0; i < orders.size(); ++i) submit(*engine, orders[i], run.answers[i]);
    while (engine->step()) {
    }
    EXPECT_TRUE(engine->idle());
    EXPECT_EQ(engine->stats().used_tokens, 0) << "every page came back";
    EXPECT_TRUE(session.runner().verifier().findings().empty());
    for (const StepCount& count : engine->step_counts()) run.step_tokens += count.record.tokens;
    run.retractions = engine->stats().retracted_requests;
    return run;
  }

  Platform platform_;

 private:
  static void submit(Engine& engine, const Order& order, Answer& answer) {
    const auto sink = [&engine, &answer, after = order.abort_after](OutputEvent&& event) {
      EXPECT_FALSE(answer.finish.has_value()) << "an event after the last";
      const bool had_enough = after > 0 && answer.tokens.size() >= after;
      EXPECT_TRUE(!had_enough || event.tokens.empty()) << "a token after the abort";
      answer.tokens.insert(answer.tokens.end(), event.tokens.begin(), event.tokens.end());
      for (const PositionLogprobs& one : event.output_logprobs) answer.logprobs.push_back(one.logprob);
      for (const PositionLogprobs& one : event.input_logprobs) answer.input_logprobs.push_back(one.logprob);
      if (answer.first_reason.empty()) answer.first_reason = event.step_reason;
      answer.finish = event.finish;
      if (after > 0 && answer.tokens.size() == after && !event.finish) engine.abort(event.request, true);
    };
    EXPECT_TRUE(engine.submit({order.request}, sink).ok());
  }
};

std::vector<Order> all_kinds() {
  std::vector<Order> orders;
  const auto add = [&](int length, SamplingParams sampling) -> Order& {
    sampling.ignore_eos = true;
    orders.push_back(order(static_cast<int>(orders.size()), length, std::move(sampling)));
    return orders.back();
  };
  add(9, {.max_new_tokens = 20, .temperature = 0.0f});
  add(70, {.max_new_tokens = 12, .temperature = 0.9f, .top_p = 0.9f});
  add(5, {.max_new_tokens = 24, .temperature = 0.0f, .frequency_penalty = 1.5f, .repetition_penalty = 1.3f});
  add(3, {.max_new_tokens = 0, .temperature = 0.0f});
  add(4, {.max_new_tokens = 1, .temperature = 0.0f});
  add(1, {.max_new_tokens = 2, .temperature = 0.7f});
  add(33, {.max_new_tokens = 15, .temperature = 1.0f, .logit_bias = {{7, 5.0f}, {9, -100.0f}}});
  add(12, {.max_new_tokens = 40, .temperature = 0.8f}).abort_after = 3;
  add(40, {.max_new_tokens = 18, .temperature = 0.0f});
  add(20, {.max_new_tokens = 9, .min_new_tokens = 4, .temperature = 0.0f, .stop_token_ids = {11, 12, 13}});
  return orders;
}

TEST_P(Overlap, GivesTheTokensOfStepsOneByOne) {
  std::vector<Order> orders = all_kinds();
  const Outcome first = run(false, orders);
  // Two that end early, by a token that they are known to draw.
  for (const size_t of : {0, 8}) {
    Order stopped = orders[of];
    stopped.request.sampling.stop_token_ids = {first.answers[of].tokens[4]};
    orders.push_back(stopped);
  }
  const Outcome plain = run(false, orders);
  const Outcome overlapped = run(true, orders);
  EXPECT_EQ(overlapped.answers, plain.answers);
  EXPECT_EQ(plain.answers.back().finish->kind, FinishKind::kStopToken);
  EXPECT_EQ(plain.answers[7].tokens.size(), 3u);
  EXPECT_GT(overlapped.step_tokens, plain.step_tokens) << "rows of requests that had ended were dropped";
}

TEST_P(Overlap, AStepThatIsAskedForLogprobsWaitsAndSaysSo) {
  std::vector<Order> orders = all_kinds();
  for (const size_t of : {1, 6}) {
    orders[of].request.logprobs = {.enabled = true, .start = of == 1 ? 0 : -1, .top_n = 3};
  }
  const Outcome plain = run(false, orders);
  const Outcome overlapped = run(true, orders);
  EXPECT_EQ(overlapped.answers, plain.answers);
  EXPECT_EQ(plain.answers[1].logprobs.size(), 12u);
  EXPECT_EQ(plain.answers[1].input_logprobs.size(), 69u);
  EXPECT_THAT(overlapped.answers[6].first_reason, testing::HasSubstr(" waited=logprobs"));
  EXPECT_THAT(plain.answers[6].first_reason, testing::Not(testing::HasSubstr("waited")));
}

TEST_P(Overlap, GivesTheSameTokensWhenRequestsAreSetBack) {
  std::vector<Order> orders;
  for (int i = 0; i < 12; ++i) {
    orders.push_back(order(i, 10 + 3 * i,
                           {.max_new_tokens = 50,
                            .temperature = i % 2 == 0 ? 0.0f : 0.8f,
                            .frequency_penalty = i % 3 == 0 ? 1.0f : 0.0f,
                            .ignore_eos = true}));
  }
  const Outcome plain = run(false, orders, 4096);
  const Outcome tight = run(true, orders, 256);
  EXPECT_GT(tight.retractions, 0u);
  EXPECT_EQ(tight.answers, plain.answers);
}

TEST_P(Overlap, VerifiesReplaysOfStepsThatRunAhead) {
  const std::vector<Order> orders = all_kinds();
  EXPECT_EQ(run(true, orders, 4096, 0.5).answers, run(false, orders).answers);
}

INSTANTIATE_TEST_SUITE_P(Devices, Overlap, testing::Values("cpu", "simulated"),
                         [](const auto& device) { return std::string(device.param); });

}  // namespace
}  // namespace musaic
