#include <charconv>
#include <cmath>

#include "server/fields.h"
#include "server/generation_registry.h"
#include "server/json_text.h"
#include "server/routes.h"

namespace musaic {
namespace {

using ReplyPtr = std::shared_ptr<Reply>;
using std::chrono::milliseconds;

constexpr milliseconds kFlushRetry{20};
constexpr double kMaxFlushTimeout = 3600;  // seconds

void send_text(Reply& reply, std::string text) {
  reply.send(
      {.status = 200, .body = std::move(text), .content_type = "text/plain; charset=utf-8", .headers = {}});
}

// Tries until the cache is flushed or the time is over; between two tries no thread waits.
void flush_until(Services& services, const ReplyPtr& reply, Choice::Clock::time_point deadline) {
  if (services.context.engine.flush_cache()) return send_text(*reply, "Cache flushed.\n");
  if (Choice::Clock::now() + kFlushRetry > deadline) {
    return send_error(*reply, {.status = 400,
                               .message = "the cache cannot be flushed: requests are running or waiting",
                               .type = "busy_error"});
  }
  services.run_later(kFlushRetry, [&services, reply, deadline] {
    services.pool->post([&services, reply, deadline] { flush_until(services, reply, deadline); });
  });
}

void flush_cache(Services& services, HttpRequest&& request, ReplyPtr reply) {
  const std::string text = query_value(request.query, "timeout");
  double timeout = 0;
  if (!text.empty()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), timeout);
    if (error != std::errc() || end != text.data() + text.size() ||
        !(timeout >= 0 && timeout <= kMaxFlushTimeout)) {
      return send_error(
          *reply, {.message = "timeout: expected seconds from 0 to 3600, got " + text, .param = "timeout"});
    }
  }
  flush_until(services, reply, Choice::Clock::now() + milliseconds(std::llround(timeout * 1000)));
}

void abort_request(Services& services, HttpRequest&& request, ReplyPtr reply) {
  auto body = parse_body(request.body);
  if (const auto* error = std::get_if<ApiError>(&body)) return send_error(*reply, *error);
  Fields fields(std::get<Json>(body));
  const auto rid = fields.string("rid");
  const bool all = fields.boolean("abort_all").value_or(false);
  if (!all && rid.value_or("").empty()) fields.fail("rid", "rid or abort_all is required");
  if (fields.error()) return send_error(*reply, *fields.error());
  services.registry->abort(all ? "" : *rid);
  reply->send({});
}

void profile(Services&, HttpRequest&&, ReplyPtr reply) {
  send_error(*reply, {.status = 400, .message = "profiling is not available on this backend"});
}

}  // namespace

void add_control_routes(std::vector<Route>& routes) {
  routes.push_back({"/flush_cache", {"GET", "POST"}, Access::kAdmin, flush_cache});
  routes.push_back({"/abort_request", {"POST"}, Access::kAdmin, abort_request});
  routes.push_back({"/start_profile", {"GET", "POST"}, Access::kAdmin, profile});
  routes.push_back({"/stop_profile", {"GET", "POST"}, Access::kAdmin, profile});
}

}  // namespace musaic
