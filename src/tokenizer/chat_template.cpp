#include "tokenizer/chat_template.h"

#include "tokenizer/jinja/evaluator.h"
#include "tokenizer/jinja/parser.h"

namespace musaic {
namespace {

using jinja::Value;

Value value_of(const Json& json, int depth);

Value list_of(const Json& json, int depth) {
  jinja::List items;
  items.reserve(json.size());
  for (const Json& item : json) items.push_back(value_of(item, depth));
  return Value(std::move(items));
}

Value dict_of(const Json& json, int depth) {
  jinja::Dict dict;
  dict.entries.reserve(json.size());
  for (const auto& [key, item] : json.items()) dict.entries.emplace_back(Value(key), value_of(item, depth));
  return Value(std::move(dict));
}

Value value_of(const Json& json, int depth) {
  if (depth > jinja::kMaxNesting)
    jinja::fail("the messages are nested more than {} deep", jinja::kMaxNesting);
  switch (json.type()) {
    case Json::value_t::null:
      return Value();
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
      return json.get<int64_t>();
    case Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      return number <= static_cast<uint64_t>(INT64_MAX) ? Value(static_cast<int64_t>(number))
                                                        : Value(static_cast<double>(number));
    }
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::string:
      return json.get_ref<const std::string&>();
    case Json::value_t::array:
      return list_of(json, depth + 1);
    case Json::value_t::object:
      return dict_of(json, depth + 1);
    default:
      jinja::fail("the messages hold binary data");
  }
}

}  // namespace

struct ChatTemplate::Parsed {
  jinja::Body body;
};

ChatTemplate::ChatTemplate(std::unique_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
ChatTemplate::~ChatTemplate() = default;

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::parse(const std::string& source) {
  try {
    auto parsed = std::make_unique<Parsed>(Parsed{jinja::parse_template(source)});
    return std::shared_ptr<const ChatTemplate>(new ChatTemplate(std::move(parsed)));
  } catch (const jinja::TemplateError& error) {
    return invalid_argument("chat template: {}", error.what());
  }
}

Result<std::string> ChatTemplate::render(const Json& context, std::optional<std::time_t> now) const {
  if (!context.is_object())
    return invalid_argument("chat template: the context is {}, expected an object", context.type_name());
  try {
    const Value variables = value_of(context, 0);
    return jinja::Evaluator(variables.dict(), now.value_or(std::time(nullptr))).render(parsed_->body);
  } catch (const jinja::RaisedException& raised) {
    return invalid_argument("{}", raised.what());
  } catch (const jinja::TemplateError& error) {
    return invalid_argument("chat template: {}", error.what());
  }
}

}  // namespace musaic
