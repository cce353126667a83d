#include "server/dispatch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "server/json_text.h"

namespace musaic {
namespace {

constexpr std::string_view kAnyPart = "{id}";

bool matches(const Route& route, const std::string& path) {
  if (!std::string_view(route.path).ends_with(kAnyPart)) return route.path == path;
  const std::string_view prefix = std::string_view(route.path).substr(0, route.path.size() - kAnyPart.size());
  return path.size() > prefix.size() && std::string_view(path).starts_with(prefix);
}

std::string allowed_methods(const Route& route) {
  std::string list = "OPTIONS";
  for (const std::string& method : route.methods) list += ", " + method + (method == "GET" ? ", HEAD" : "");
  return list;
}

}  // namespace

const Route* Dispatcher::find(const std::string& path) const {
  const auto it =
      std::find_if(routes_.begin(), routes_.end(), [&](const Route& route) { return matches(route, path); });
  return it == routes_.end() ? nullptr : &*it;
}

void Dispatcher::dispatch(HttpRequest&& request, std::shared_ptr<Reply> reply) {
  if (services_.options.log_requests)
    spdlog::info("{} {} ({} bytes)", request.method, request.path, request.body.size());
  if (!is_allowed_origin(request, services_.options)) {
    return send_error(*reply, {.status = 403,
                               .message = "requests from other origins need --allowed-origins",
                               .type = "permission_error"});
  }
  if (is_cross_origin(request)) {
    reply->add_header("Access-Control-Allow-Origin", request.origin);
    reply->add_header("Vary", "Origin");
  }
  const Route* route = find(request.path);
  if (!route) {
    return send_error(
        *reply, {.status = 404, .message = "there is no route " + request.path, .type = "not_found_error"});
  }
  if (request.method == "OPTIONS") return answer_options(request, *route, *reply);
  if (std::find(route->methods.begin(), route->methods.end(), request.method) == route->methods.end()) {
    reply->add_header("Allow", allowed_methods(*route));
    return send_error(*reply, {.status = 405,
                               .message = fmt::format("{} does not take {}; it takes {}", request.path,
                                                      request.method, fmt::join(route->methods, ", ")),
                               .type = "method_not_allowed"});
  }
  if (const auto error = check_access(request, route->access, services_.options)) {
    if (error->status == 401) reply->add_header("WWW-Authenticate", "Bearer");
    return send_error(*reply, *error);
  }
  run(*route, std::move(request), std::move(reply));
}

void Dispatcher::answer_options(const HttpRequest& request, const Route& route, Reply& reply) const {
  HttpResponse response{.status = 204, .body = "", .headers = {{"Allow", allowed_methods(route)}}};
  if (request.preflight && is_cross_origin(request)) {
    response.headers.emplace_back("Access-Control-Allow-Methods", allowed_methods(route));
    response.headers.emplace_back("Access-Control-Allow-Headers", "authorization, content-type");
    response.headers.emplace_back("Access-Control-Max-Age", "600");
  }
  reply.send(std::move(response));
}

// A mistake of ours in one route must not end the server.
void Dispatcher::handle_safely(const Route& route, HttpRequest&& request,
                               const std::shared_ptr<Reply>& reply) {
  try {
    route.handle(services_, std::move(request), reply);
  } catch (const std::exception& error) {
    spdlog::error("{}: {}", route.path, error.what());
    send_error(
        *reply,
        {.status = 500, .message = "the server could not handle this request", .type = "server_error"});
  }
}

void Dispatcher::run(const Route& route, HttpRequest&& request, std::shared_ptr<Reply> reply) {
  if (route.quick) return route.handle(services_, std::move(request), std::move(reply));
  auto shared = std::make_shared<HttpRequest>(std::move(request));
  services_.pool->post(
      [this, &route, shared, reply = std::move(reply)] { handle_safely(route, std::move(*shared), reply); });
}

}  // namespace musaic
