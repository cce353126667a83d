#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

namespace musaic {

// Key order is kept: tools and templates print objects in the order in which they were written.
using Json = nlohmann::ordered_json;

// For documents of at most some thousand keys an object: inserting is linear in them (vocabularies:
// simdjson). Parses a whole file; throws LoadError with the file and the place of the mistake.
Json read_json_file(const std::filesystem::path& path);

}  // namespace musaic
