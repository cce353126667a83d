#include "server/routes.h"

#include "server/json_text.h"

namespace musaic {

std::vector<Route> all_routes() {
  std::vector<Route> routes;
  add_health_routes(routes);
  add_info_routes(routes);
  add_program_routes(routes);
  add_generate_routes(routes);
  add_openai_routes(routes);
  add_token_routes(routes);
  add_control_routes(routes);
  return routes;
}

GenerationServices Services::generation() const {
  return {.engine = context.engine,
          .tokenizer = context.tokenizer,
          .metrics = *metrics,
          .registry = registry,
          .pool = pool,
          .context_length = context.model.context_length,
          .vocab_size = context.model.vocab_size,
          .max_token_bytes = max_token_bytes};
}

std::string last_part(const HttpRequest& request) {
  return request.path.substr(request.path.rfind('/') + 1);
}

void send_json(Reply& reply, const Json& value) {
  reply.send({.status = 200, .body = to_text(value), .headers = {}});
}

void send_error(Reply& reply, const ApiError& error) {
  reply.send(error_response(error));
}

bool takes_requests(Services& services, Reply& reply) {
  const ServerState state = services.state;
  if (state == ServerState::kReady) return true;
  const char* why =
      state == ServerState::kStarting ? "the server is starting" : "the server is shutting down";
  send_error(reply, {.status = 503, .message = why, .type = "overloaded_error"});
  return false;
}

}  // namespace musaic
