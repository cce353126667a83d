#include "server/sampling_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace musaic {
namespace {

constexpr std::string_view kNotServed = "is not supported by this server";

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::vector<std::string> read_stops(Fields& fields, std::string_view name) {
  std::vector<std::string> stops = fields.strings(name);
  if (stops.size() > kMaxStops)
    fields.fail(name, fmt::format("has {} entries, at most {} are taken", stops.size(), kMaxStops));
  for (const std::string& stop : stops) {
    const size_t length = count_characters(stop);
    if (length > kMaxStopCharacters)
      fields.fail(
          name, fmt::format("an entry has {} characters, at most {} are taken", length, kMaxStopCharacters));
  }
  std::erase(stops, "");
  return stops;
}

void read_penalties(Fields& fields, SamplingParams& sampling) {
  if (auto x = fields.number("frequency_penalty", -2, 2)) sampling.frequency_penalty = static_cast<float>(*x);
  if (auto x = fields.number("presence_penalty", -2, 2)) sampling.presence_penalty = static_cast<float>(*x);
  if (auto x = fields.number("repetition_penalty", 0, 2)) {
    if (*x == 0) fields.fail("repetition_penalty", "expected a number above 0 and up to 2, got 0");
    sampling.repetition_penalty = static_cast<float>(*x);
  }
}

void read_truncation(Fields& fields, SamplingParams& sampling) {
  if (auto x = fields.number("top_p", 0, 1)) {
    if (*x == 0) fields.fail("top_p", "expected a number above 0 and up to 1, got 0");
    sampling.top_p = static_cast<float>(*x);
  }
  if (auto x = fields.integer("top_k", -1, std::numeric_limits<int32_t>::max())) {
    if (*x == 0) fields.fail("top_k", "expected -1 (off) or at least 1, got 0");
    sampling.top_k = static_cast<int>(*x);
  }
  if (auto x = fields.number("min_p", 0, 1)) sampling.min_p = static_cast<float>(*x);
}

}  // namespace

void read_sampling(Fields& fields, PromptSpec& prompt) {
  SamplingParams& sampling = prompt.sampling;
  if (auto x = fields.number("temperature", 0, 100)) sampling.temperature = static_cast<float>(*x);
  read_truncation(fields, sampling);
  read_penalties(fields, sampling);
  if (auto x =
          fields.integer("seed", std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()))
    sampling.seed = *x;
  if (auto x = fields.boolean("ignore_eos")) sampling.ignore_eos = *x;
  sampling.stop_token_ids = fields.token_ids("stop_token_ids");
  sampling.logit_bias = fields.logit_bias("logit_bias");
  if (auto x = fields.integer("n", 1, kMaxAnswers)) prompt.n = static_cast<int>(*x);
  prompt.rules.stop = read_stops(fields, "stop");
  prompt.rules.stop_regex = read_stops(fields, "stop_regex");
  if (auto x = fields.boolean("skip_special_tokens")) prompt.rules.skip_special_tokens = *x;
  if (auto x = fields.boolean("no_stop_trim")) prompt.rules.no_stop_trim = *x;
  fields.boolean("spaces_between_special_tokens");  // byte-level tokens carry their own spaces
}

void reject_unsupported_sampling(Fields& fields) {
  for (const char* name : {"json_schema", "regex", "ebnf", "structural_tag"}) {
    fields.reject(name, "constrained decoding is not supported by this server");
  }
  for (const char* name : {"custom_params", "custom_logit_processor"}) fields.reject(name, kNotServed);
}

void reject_unsupported_request(Fields& fields) {
  fields.reject("lora_path", "adapters are not supported by this server");
  for (const char* name : {"image_data", "video_data", "audio_data", "modalities"}) {
    fields.reject(name, "only text is supported by this server", {Json::array({"text"}), Json("text")});
  }
  for (const char* name : {"input_embeds", "session_params", "custom_logit_processor", "return_hidden_states",
                           "return_routed_experts", "bootstrap_host", "bootstrap_room"}) {
    fields.reject(name, kNotServed);
  }
}

}  // namespace musaic
