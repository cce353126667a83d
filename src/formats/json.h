#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

namespace musaic {

// Key order is kept: tools and templates print objects in the order in which they were written.
using Json = nlohmann::ordered_json;

// Parses a whole file; throws LoadError with the file and the place of the mistake. For documents of at most
// some thousand keys an object: inserting one is linear in their number.
Json read_json_file(const std::filesystem::path& path);

// The same with sorted keys, for long lists of names. A vocabulary is better read with simdjson.
nlohmann::json read_large_json_file(const std::filesystem::path& path);

}  // namespace musaic
