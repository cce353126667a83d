#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "formats/json.h"

namespace musaic {

// A chat template: the subset of Jinja that models' templates use, with the environment that Hugging Face
// gives them (trim_blocks, lstrip_blocks, break and continue, generation, tojson, raise_exception,
// strftime_now, an immutable sandbox). Immutable; safe from any thread.
class ChatTemplate {
 public:
  // Fails with the line of the mistake. Shared, because every request that renders holds it.
  static Result<std::shared_ptr<const ChatTemplate>> parse(const std::string& source);
  ~ChatTemplate();

  // `context` is an object: messages, tools (null when there are none, as Hugging Face passes it),
  // add_generation_prompt, bos_token, eos_token, ... Fails with the
  // template's own message (raise_exception), with the line of an error, or when it exceeds its limits of
  // work, size and depth: always the request's or the template's fault. `now` is for tests: what strftime_now
  // tells.
  Result<std::string> render(const Json& context, std::optional<std::time_t> now = {}) const;

 private:
  struct Parsed;
  explicit ChatTemplate(std::unique_ptr<const Parsed> parsed);

  std::unique_ptr<const Parsed> parsed_;
};

}  // namespace musaic
