#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"
#include "request/request.h"
#include "server/api_error.h"

namespace musaic {

// Reads typed parameters out of a JSON object. `null` and absent are the same. The first mistake is kept,
// with the parameter's name, and ends all reading: later calls return nothing, and the caller looks at
// `error()` once.
class Fields {
 public:
  // `path` is put before names in messages: "sampling_params[2]".
  explicit Fields(const Json& object, std::string path = "");

  const Json* find(std::string_view name) const;  // nullptr when absent or null
  std::optional<bool> boolean(std::string_view name);
  std::optional<int64_t> integer(std::string_view name, int64_t low, int64_t high);
  std::optional<double> number(std::string_view name, double low, double high);
  std::optional<std::string> string(std::string_view name);
  const Json* object(std::string_view name);
  // A string, or a list of strings.
  std::vector<std::string> strings(std::string_view name);
  std::vector<TokenId> token_ids(std::string_view name);
  std::vector<std::pair<TokenId, float>> logit_bias(std::string_view name);
  // `false`, `null`, "", [], {} and, where given, `allowed` are accepted; all else is an error that names it.
  void reject(std::string_view name, std::string_view why, std::initializer_list<Json> allowed = {});

  void fail(std::string_view name, const std::string& message);  // "NAME: MESSAGE"
  bool ok() const { return !error_.has_value(); }
  const std::optional<ApiError>& error() const { return error_; }
  std::string name_of(std::string_view name) const;

 private:
  void expected(std::string_view name, std::string_view what, const Json& got);

  const Json& object_;
  const std::string path_;
  std::optional<ApiError> error_;
};

// A value as a message shows it: whole numbers and short texts as they are, large things by their kind.
std::string describe(const Json& value);
// A list of token ids; nothing when it is none. `what` names it in the message.
std::optional<std::vector<TokenId>> to_token_ids(const Json& value);

}  // namespace musaic
