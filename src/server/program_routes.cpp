#include <charconv>
#include <optional>

#include "server/json_text.h"
#include "server/routes.h"

namespace musaic {
namespace {

using ReplyPtr = std::shared_ptr<Reply>;

// A whole number of the query; `absent` when it is not given, nullopt when it is something else.
std::optional<int> whole_number(const std::string& text, int absent) {
  if (text.empty()) return absent;
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

void refuse(Reply& reply, const std::string& param, const std::string& message) {
  send_error(reply, {.status = 400, .message = message, .param = param});
}

HttpResponse answer(const std::string& format, std::string body) {
  if (format == "svg") {
    return {.status = 200,
            .body = std::move(body),
            .content_type = "image/svg+xml",
            .headers = {{"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"},
                        {"X-Content-Type-Options", "nosniff"}}};
  }
  return {.status = 200,
          .body = std::move(body),
          .content_type = format == "text" ? "text/plain; charset=utf-8" : "application/json",
          .headers = {}};
}

void program(Services& services, HttpRequest&& request, ReplyPtr reply) {
  const auto value = [&](std::string_view key, const char* absent) {
    std::string text = query_value(request.query, key);
    return text.empty() ? absent : text;
  };
  ProgramQuery query{
      .graph = value("graph", "extend"), .format = value("format", "json"), .roof = value("roof", "")};
  for (const auto& [name, number] : {std::pair{"bucket", &query.bucket}, std::pair{"past", &query.past}}) {
    const std::string text = query_value(request.query, name);
    const auto parsed = whole_number(text, -1);
    if (!parsed) return refuse(*reply, name, fmt::format("{}: expected a whole number, got {}", name, text));
    *number = *parsed;
  }
  if (query.format != "json" && query.format != "text" && query.format != "svg")
    return refuse(*reply, "format", "format: expected json, text or svg, got " + query.format);
  if (!services.context.explain_program) {
    return send_error(
        *reply, {.status = 404, .message = "there is no program to explain", .type = "not_found_error"});
  }
  auto text = services.context.explain_program(query);
  if (!text.ok()) return send_error(*reply, api_error(text.status()));
  reply->send(answer(query.format, std::move(*text)));
}

}  // namespace

void add_program_routes(std::vector<Route>& routes) {
  routes.push_back({"/musaic/program", {"GET"}, Access::kKey, program});
}

}  // namespace musaic
