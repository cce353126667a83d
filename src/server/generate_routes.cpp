#include "server/answer_format.h"
#include "server/generate_request.h"
#include "server/json_text.h"
#include "server/routes.h"

namespace musaic {
namespace {

void generate(Services& services, HttpRequest&& request, std::shared_ptr<Reply> reply) {
  if (!takes_requests(services, *reply)) return;
  auto body = parse_body(request.body);
  if (const auto* error = std::get_if<ApiError>(&body)) return send_error(*reply, *error);
  request.body = {};
  auto parsed = parse_generate_request(std::get<Json>(body));
  if (const auto* error = std::get_if<ApiError>(&parsed)) return send_error(*reply, *error);
  auto& ask = std::get<GenerateRequest>(parsed);
  ask.generation.stream_interval = services.options.stream_interval;
  auto format = make_generate_format(ask, services.context.tokenizer.get());
  Generation::start(services.generation(), std::move(ask.generation), std::move(format), std::move(reply));
}

}  // namespace

void add_generate_routes(std::vector<Route>& routes) {
  routes.push_back({"/generate", {"POST"}, Access::kKey, generate});
}

}  // namespace musaic
