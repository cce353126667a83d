#include "server/answer_format.h"
#include "server/json_text.h"
#include "server/routes.h"

namespace musaic {
namespace {

using ReplyPtr = std::shared_ptr<Reply>;

void health(Services& services, HttpRequest&&, ReplyPtr reply) {
  if (takes_requests(services, *reply)) reply->send({});
}

void ping(Services&, HttpRequest&&, ReplyPtr reply) {
  reply->send({});
}

// Says nothing but that a token came.
class HealthFormat : public AnswerFormat {
 public:
  std::string body(const std::vector<Choice>&) override { return ""; }
  void append_events(const Choice&, std::string&) override {}
  void append_end(const std::vector<Choice>&, std::string&) override {}
};

void health_generate(Services& services, HttpRequest&&, ReplyPtr reply) {
  if (!takes_requests(services, *reply)) return;
  PromptSpec prompt{.ids = {0}};
  prompt.sampling.max_new_tokens = 1;
  prompt.sampling.temperature = 0;
  GenerationSpec spec{.prompts = {std::move(prompt)},
                      .stream = false,
                      .stream_interval = 1,
                      .max_tokens_name = "max_new_tokens"};
  Generation::start(services.generation(), std::move(spec), std::make_unique<HealthFormat>(),
                    std::move(reply));
}

}  // namespace

void add_health_routes(std::vector<Route>& routes) {
  routes.push_back({"/health", {"GET"}, Access::kOpen, health, true});
  routes.push_back({"/ready", {"GET"}, Access::kOpen, health, true});
  routes.push_back({"/ping", {"GET"}, Access::kOpen, ping, true});
  routes.push_back({"/health_generate", {"GET"}, Access::kKey, health_generate});
}

}  // namespace musaic
