#include <fmt/format.h>

#include <algorithm>

#include "server/fields.h"
#include "server/json_text.h"
#include "server/openai_request.h"
#include "server/routes.h"
#include "tokenizer/tokenizer.h"

namespace musaic {
namespace {

using ReplyPtr = std::shared_ptr<Reply>;

// The parsed body, or nothing when the error was sent.
std::optional<Json> read_body(const Services& services, const HttpRequest& request, Reply& reply) {
  if (!services.context.tokenizer) {
    send_error(reply,
               {.status = 400, .message = "the server runs without a tokenizer (--skip-tokenizer-init)"});
    return std::nullopt;
  }
  auto body = parse_body(request.body);
  if (const auto* error = std::get_if<ApiError>(&body)) return send_error(reply, *error), std::nullopt;
  return std::move(std::get<Json>(body));
}

// What `prompt` or `messages` say, as texts; `is_list` when there were several prompts.
std::vector<std::string> texts_to_encode(const Services& services, Fields& fields, bool& is_list,
                                         bool& add_special) {
  if (const Json* prompt = fields.find("prompt")) {
    is_list = prompt->is_array();
    return fields.strings("prompt");
  }
  if (!fields.find("messages"))
    return fields.fail("prompt", "prompt or messages is required"), std::vector<std::string>();
  const Json messages = read_messages(fields);
  if (!fields.ok()) return {};
  add_special = false;  // the template writes them
  if (!services.context.render_chat)
    return fields.fail("messages", "the model has no chat template"), std::vector<std::string>();
  const bool add_generation_prompt = fields.boolean("add_generation_prompt").value_or(true);
  auto text = services.context.render_chat(messages, Json::object(), add_generation_prompt);
  if (!text.ok()) return fields.fail("messages", text.status().message()), std::vector<std::string>();
  return {std::move(*text)};
}

void tokenize(Services& services, HttpRequest&& request, ReplyPtr reply) {
  const auto body = read_body(services, request, *reply);
  if (!body) return;
  Fields fields(*body);
  bool is_list = false, add_special = true;
  const std::vector<std::string> texts = texts_to_encode(services, fields, is_list, add_special);
  if (auto x = fields.boolean("add_special_tokens")) add_special = *x;
  if (fields.error()) return send_error(*reply, *fields.error());
  Json tokens = Json::array(), counts = Json::array();
  for (const std::string& text : texts) {
    const auto ids =
        services.context.tokenizer->encode(text, {.parse_special = true, .add_special_tokens = add_special});
    counts.push_back(ids.size());
    tokens.push_back(ids);
  }
  send_json(*reply, {{"tokens", is_list ? tokens : tokens[0]},
                     {"count", is_list ? counts : counts[0]},
                     {"max_model_len", services.context.model.context_length}});
}

// Nothing, with the mistake kept in `fields`, when an id is neither the tokenizer's nor the model's.
std::optional<std::string> decode(const Services& services, const Json& value, bool skip_special,
                                  Fields& fields) {
  const auto ids = to_token_ids(value);
  if (!ids)
    return fields.fail("tokens", "expected a list of token ids or a list of such lists"), std::nullopt;
  const int vocab_size =
      std::max(services.context.tokenizer->vocab_size(), services.context.model.vocab_size);
  for (const TokenId id : *ids) {
    if (id >= 0 && id < vocab_size) continue;
    return fields.fail("tokens",
                       fmt::format("token id {} is not in the vocabulary of {} tokens", id, vocab_size)),
           std::nullopt;
  }
  return services.context.tokenizer->decode(*ids, skip_special);
}

void detokenize(Services& services, HttpRequest&& request, ReplyPtr reply) {
  const auto body = read_body(services, request, *reply);
  if (!body) return;
  Fields fields(*body);
  const bool skip_special = fields.boolean("skip_special_tokens").value_or(true);
  const Json* tokens = fields.find("tokens");
  if (!tokens) fields.fail("tokens", "is required");
  Json text;
  if (tokens && tokens->is_array() && !tokens->empty() && tokens->front().is_array()) {
    text = Json::array();
    for (const Json& one : *tokens) {
      if (auto decoded = decode(services, one, skip_special, fields)) text.push_back(*decoded);
    }
  } else if (tokens) {
    if (auto decoded = decode(services, *tokens, skip_special, fields)) text = *decoded;
  }
  if (fields.error()) return send_error(*reply, *fields.error());
  send_json(*reply, {{"text", text}});
}

}  // namespace

void add_token_routes(std::vector<Route>& routes) {
  for (const char* path : {"/tokenize", "/v1/tokenize"})
    routes.push_back({path, {"POST"}, Access::kKey, tokenize});
  for (const char* path : {"/detokenize", "/v1/detokenize"})
    routes.push_back({path, {"POST"}, Access::kKey, detokenize});
}

}  // namespace musaic
