#include <ctime>

#include "server/answer_format.h"
#include "server/generation_registry.h"
#include "server/json_text.h"
#include "server/openai_request.h"
#include "server/routes.h"
#include "tokenizer/tokenizer.h"

namespace musaic {
namespace {

using ReplyPtr = std::shared_ptr<Reply>;

ApiError no_tokenizer() {
  return {
      .status = 400,
      .message = "the server runs without a tokenizer (--skip-tokenizer-init); use /generate with input_ids"};
}

// The parsed body, or nothing when the error was sent.
std::optional<Json> read_body(Services& services, const HttpRequest& request, Reply& reply) {
  if (!takes_requests(services, reply)) return std::nullopt;
  if (!services.context.tokenizer) return send_error(reply, no_tokenizer()), std::nullopt;
  auto body = parse_body(request.body);
  if (const auto* error = std::get_if<ApiError>(&body)) return send_error(reply, *error), std::nullopt;
  return std::move(std::get<Json>(body));
}

AnswerHeader make_header(const Services& services, const char* prefix, const GenerationSpec& generation) {
  const std::string& rid = generation.prompts.front().rid;
  return {.id = rid.empty() ? prefix + make_rid() : rid,
          .model = services.context.model.served_model_name,
          .created = std::time(nullptr)};
}

void completions(Services& services, HttpRequest&& request, ReplyPtr reply) {
  const auto body = read_body(services, request, *reply);
  if (!body) return;
  auto parsed = parse_completion_request(*body, services.context.model.default_sampling);
  if (const auto* error = std::get_if<ApiError>(&parsed)) return send_error(*reply, *error);
  auto& ask = std::get<CompletionRequest>(parsed);
  ask.generation.stream_interval = services.options.stream_interval;
  auto format = make_completion_format(ask, make_header(services, "cmpl-", ask.generation),
                                       *services.context.tokenizer);
  Generation::start(services.generation(), std::move(ask.generation), std::move(format), std::move(reply));
}

void chat_completions(Services& services, HttpRequest&& request, ReplyPtr reply) {
  const auto body = read_body(services, request, *reply);
  if (!body) return;
  auto parsed = parse_chat_request(*body, services.context.model.default_sampling);
  if (const auto* error = std::get_if<ApiError>(&parsed)) return send_error(*reply, *error);
  auto& ask = std::get<ChatRequest>(parsed);
  if (!services.context.render_chat)
    return send_error(*reply, {.message = "the model has no chat template; give one with --chat-template",
                               .param = "messages"});
  auto text = services.context.render_chat(ask.messages, ask.template_arguments, ask.add_generation_prompt);
  if (!text.ok()) return send_error(*reply, {.message = text.status().message(), .param = "messages"});
  ask.generation.prompts.front().text = std::move(*text);
  ask.generation.stream_interval = services.options.stream_interval;
  auto format =
      make_chat_format(ask, make_header(services, "chatcmpl-", ask.generation), *services.context.tokenizer);
  Generation::start(services.generation(), std::move(ask.generation), std::move(format), std::move(reply));
}

Json model_card(const Services& services) {
  const ModelInfo& model = services.context.model;
  return {{"id", model.served_model_name},
          {"object", "model"},
          {"created", static_cast<int64_t>(services.started_at)},
          {"owned_by", "musaic"},
          {"root", model.served_model_name},
          {"parent", nullptr},
          {"max_model_len", model.context_length}};
}

void models(Services& services, HttpRequest&&, ReplyPtr reply) {
  send_json(*reply, {{"object", "list"}, {"data", Json::array({model_card(services)})}});
}

void model(Services& services, HttpRequest&& request, ReplyPtr reply) {
  const std::string name = request.path.substr(std::string_view("/v1/models/").size());  // names have slashes
  if (name == services.context.model.served_model_name) return send_json(*reply, model_card(services));
  send_error(*reply, {.status = 404,
                      .message = "there is no model " + name + "; this server serves " +
                                 services.context.model.served_model_name,
                      .type = "not_found_error",
                      .param = "model"});
}

}  // namespace

void add_openai_routes(std::vector<Route>& routes) {
  routes.push_back({"/v1/completions", {"POST"}, Access::kKey, completions});
  routes.push_back({"/v1/chat/completions", {"POST"}, Access::kKey, chat_completions});
  routes.push_back({"/v1/models", {"GET"}, Access::kKey, models});
  routes.push_back({"/v1/models/{id}", {"GET"}, Access::kKey, model});
}

}  // namespace musaic
