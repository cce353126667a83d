#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "formats/json.h"

namespace musaic {

// Reads the keys of one JSON object of a file. A null counts as absent. Throws LoadError with the file, the
// key, expected and got when a value has another type or does not fit.
// REQUIRES: `object` outlives this.
class JsonFields {
 public:
  JsonFields(std::string file, const Json& object);

  const std::string& file() const { return file_; }

  std::optional<int> find_int(const char* key) const;
  std::optional<double> find_number(const char* key) const;
  std::optional<bool> find_bool(const char* key) const;
  std::optional<std::string> find_string(const char* key) const;
  std::optional<JsonFields> find_object(const char* key) const;
  std::vector<std::string> strings(const char* key) const;  // empty when absent
  std::vector<int> ints(const char* key) const;  // one number or an array of them; empty when absent

  int require_int(const char* key) const;

 private:
  const Json* find(const char* key) const;
  [[noreturn]] void fail_type(const char* key, const Json& got, const char* expected) const;
  int to_int(const char* key, const Json& value) const;

  std::string file_;
  const Json* object_;
};

}  // namespace musaic
