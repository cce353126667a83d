#include <fmt/format.h>

#include "server/openai_common.h"
#include "server/openai_request.h"

namespace musaic {
namespace {

// The text of a message's content: a string, or a list of {"type": "text", "text": ...}.
std::string read_content(Fields& fields, const Json& content, size_t index) {
  if (content.is_string()) return content.get<std::string>();
  const auto fail = [&](const std::string& what) {
    fields.fail("messages", fmt::format("message {}: {}", index, what));
    return std::string();
  };
  if (!content.is_array())
    return fail(fmt::format("expected a string or a list of parts as content, got {}", describe(content)));
  std::string text;
  for (const Json& part : content) {
    const bool is_text = part.is_object() && part.contains("type") && part["type"] == "text";
    if (!is_text) return fail("only content parts of type text are supported by this server");
    if (!part.contains("text") || !part["text"].is_string())
      return fail("a content part of type text has no text");
    text += part["text"].get<std::string>();
  }
  return text;
}

Json read_message(Fields& fields, const Json& message, size_t index) {
  if (!message.is_object())
    return fields.fail("messages",
                       fmt::format("message {} is {}, expected an object", index, describe(message))),
           Json();
  Json read = message;
  if (!message.contains("role") || !message["role"].is_string())
    return fields.fail("messages", fmt::format("message {} has no role", index)), Json();
  for (const char* name : {"tool_calls", "function_call"}) {
    if (message.contains(name) && !message[name].empty())
      fields.fail("messages", fmt::format("message {}: {} is not supported by this server", index, name));
  }
  if (!message.contains("content") || message["content"].is_null())
    return fields.fail("messages", fmt::format("message {} has no content", index)), Json();
  read["content"] = read_content(fields, message["content"], index);
  return read;
}

void reject_unsupported_chat(Fields& fields) {
  for (const char* name : {"tools", "functions"})
    fields.reject(name, "calling tools is not supported by this server");
  for (const char* name : {"tool_choice", "function_call"})
    fields.reject(name, "calling tools is not supported by this server", {Json("none"), Json("auto")});
  for (const char* name : {"audio", "prediction", "web_search_options"})
    fields.reject(name, "is not supported by this server");
  fields.reject("continue_final_message", "is not supported by this server");
}

void read_logprobs(Fields& fields, PromptSpec& prompt) {
  const auto enabled = fields.boolean("logprobs");
  const auto top_n = fields.integer("top_logprobs", 0, kMaxOpenAiTopLogprobs);
  if (top_n && *top_n > 0 && !enabled.value_or(false))
    return fields.fail("top_logprobs", "needs logprobs to be true");
  if (enabled.value_or(false))
    prompt.logprobs = {
        .enabled = true, .start = -1, .top_n = static_cast<int>(top_n.value_or(0)), .probes = {}};
}

}  // namespace

Json read_messages(Fields& fields) {
  Json list = Json::array();
  const Json* messages = fields.find("messages");
  if (!messages || !messages->is_array() || messages->empty()) {
    fields.fail("messages", messages ? fmt::format("expected a list with at least one message, got {}",
                                                   describe(*messages))
                                     : "is required");
    return list;
  }
  for (size_t i = 0; i < messages->size() && fields.ok(); ++i)
    list.push_back(read_message(fields, (*messages)[i], i));
  return list;
}

std::variant<ChatRequest, ApiError> parse_chat_request(const Json& body, const SamplingParams& defaults) {
  ChatRequest request;
  Fields fields(body);
  request.messages = read_messages(fields);
  request.generation.prompts.push_back(
      {.is_text = true, .add_special_tokens = false, .sampling = defaults, .max_new_tokens_given = false});
  request.generation.max_tokens_name =
      fields.find("max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
  read_max_tokens(fields, request.generation.max_tokens_name, request.generation);
  read_openai_common(fields, request.generation, request.options);
  read_logprobs(fields, request.generation.prompts[0]);
  reject_unsupported_chat(fields);
  if (const Json* arguments = fields.object("chat_template_kwargs")) request.template_arguments = *arguments;
  if (auto x = fields.boolean("add_generation_prompt")) request.add_generation_prompt = *x;
  if (fields.error()) return *fields.error();
  return request;
}

}  // namespace musaic
