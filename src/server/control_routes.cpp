#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

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

ProfileQuery read_profile_query(Fields& fields) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  ProfileQuery query;
  query.output_dir = fields.string("output_dir").value_or("");
  query.start_step = static_cast<uint64_t>(fields.integer("start_step", 0, kMost).value_or(0));
  query.num_steps = static_cast<int>(fields.integer("num_steps", 1, kMost).value_or(0));
  for (const std::string& activity : fields.strings("activities")) {
    if (activity != "CPU" && activity != "GPU")
      fields.fail("activities", "expected CPU or GPU, which are always recorded, got " + activity);
  }
  for (const char* name : {"profile_by_stage", "with_stack", "record_shapes", "merge_profiles"})
    fields.reject(name, "a trace has segments and steps only");
  return query;
}

// What SGLang says, then where the trace is.
void send_profile(Reply& reply, const char* text, const Result<std::string>& path) {
  if (!path.ok()) return send_error(reply, {.status = 400, .message = path.status().message()});
  send_text(reply, fmt::format("{}\n{}\n", text, path.value()));
}

void start_profile(Services& services, HttpRequest&& request, ReplyPtr reply) {
  auto body = parse_body(request.body.empty() ? "{}" : request.body);
  if (const auto* error = std::get_if<ApiError>(&body)) return send_error(*reply, *error);
  Fields fields(std::get<Json>(body));
  const ProfileQuery query = read_profile_query(fields);
  if (fields.error()) return send_error(*reply, *fields.error());
  send_profile(*reply, "Start profiling.", services.context.start_profile(query));
}

void stop_profile(Services& services, HttpRequest&&, ReplyPtr reply) {
  send_profile(*reply, "Stop profiling. This will take some time.", services.context.stop_profile());
}

}  // namespace

void add_control_routes(std::vector<Route>& routes) {
  routes.push_back({"/flush_cache", {"GET", "POST"}, Access::kAdmin, flush_cache});
  routes.push_back({"/abort_request", {"POST"}, Access::kAdmin, abort_request});
  routes.push_back({"/start_profile", {"GET", "POST"}, Access::kAdmin, start_profile});
  routes.push_back({"/stop_profile", {"GET", "POST"}, Access::kAdmin, stop_profile});
}

}  // namespace musaic
