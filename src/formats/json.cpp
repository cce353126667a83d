#include "formats/json.h"

#include <string_view>

#include "base/status.h"
#include "formats/mapped_file.h"

namespace musaic {
namespace {

// The parser's sentence without its "[json.exception...]" prefix.
std::string_view reason_of(const nlohmann::json::exception& error) {
  std::string_view text = error.what();
  const size_t end = text.find("] ");
  return end == std::string_view::npos ? text : text.substr(end + 2);
}

template <class Document>
Document parse_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  try {
    return Document::parse(text);
  } catch (const nlohmann::json::exception& error) {
    fail_load("{}: not valid JSON: {}", path.string(), reason_of(error));
  }
}

}  // namespace

Json read_json_file(const std::filesystem::path& path) {
  return parse_file<Json>(path);
}

nlohmann::json read_large_json_file(const std::filesystem::path& path) {
  return parse_file<nlohmann::json>(path);
}

}  // namespace musaic
