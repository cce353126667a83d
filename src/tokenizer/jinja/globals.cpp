#include "tokenizer/jinja/globals.h"

#include "tokenizer/jinja/arguments.h"

namespace musaic::jinja {
namespace {

constexpr size_t kMaxDateBytes = 4096;

Value make_range(const Arguments& arguments, Budget& budget) {
  const auto bound = bind("range", arguments, {"start", "stop", "step"});
  if (!bound[0]) fail("range: expected at least one argument");
  const int64_t begin = bound[1] ? integer_or(bound[0], 0, "range") : 0;
  const int64_t end = integer_or(bound[1] ? bound[1] : bound[0], 0, "range");
  const int64_t step = integer_or(bound[2], 1, "range");
  if (step == 0) fail("range: the step must not be zero");
  List items;
  const auto goes_on = [&](int64_t i) { return step > 0 ? i < end : i > end; };
  for (int64_t i = begin; goes_on(i);) {
    if (items.size() == kMaxItems) fail("range: more than {} numbers", kMaxItems);
    budget.spend(1);
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return Value(std::move(items));
}

Value make_dict(const Arguments& arguments) {
  Dict dict;
  for (const Value& argument : arguments.positional) {
    if (!argument.is_dict()) fail("dict: expected a mapping, got '{}'", type_name(argument));
    dict = argument.dict();
  }
  for (const auto& [name, value] : arguments.named) dict.set(Value(name), value);
  return Value(std::move(dict));
}

Value raise_exception(const Arguments& arguments) {
  const auto bound = bind("raise_exception", arguments, {"message"});
  throw RaisedException(bound[0] ? to_text(*bound[0]) : "the chat template refuses these messages");
}

Value format_time(const Arguments& arguments, std::time_t now) {
  const std::string format = text_or(bind("strftime_now", arguments, {"format"})[0], "", "strftime_now");
  if (format.size() > kMaxDateBytes / 16)
    fail("strftime_now: a format of {} bytes is too long", format.size());
  std::tm time{};
  localtime_r(&now, &time);
  std::string text(kMaxDateBytes, '\0');
  text.resize(std::strftime(text.data(), text.size(), format.c_str(), &time));
  return text;
}

}  // namespace

std::vector<Callable> make_globals(std::time_t now, Budget& budget) {
  return {
      {"range", [&budget](const Arguments& arguments) { return make_range(arguments, budget); }},
      {"dict", make_dict},
      {"raise_exception", raise_exception},
      {"strftime_now", [now](const Arguments& arguments) { return format_time(arguments, now); }},
  };
}

}  // namespace musaic::jinja
