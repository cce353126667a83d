#include "weights/hub_cache.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "base/status.h"

namespace musaic {
namespace {

bool is_name_part(std::string_view part) {
  const auto is_allowed = [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '-' || c == '_'; };
  return !part.empty() && part != "." && part != ".." && std::all_of(part.begin(), part.end(), is_allowed);
}

// Empty when unset or empty.
std::filesystem::path path_from_environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? std::filesystem::path() : std::filesystem::path(value);
}

// The commit in refs/main; empty when it is not there.
std::string read_main_commit(const std::filesystem::path& repository) {
  std::ifstream file(repository / "refs" / "main");
  std::string commit;
  file >> commit;
  return is_name_part(commit) ? commit : std::string();
}

}  // namespace

bool is_hub_name(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return false;
  return is_name_part(std::string_view(text).substr(0, slash)) &&
         is_name_part(std::string_view(text).substr(slash + 1));
}

std::filesystem::path hub_cache_folder() {
  for (const char* variable : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (auto folder = path_from_environment(variable); !folder.empty()) return folder;
  }
  if (auto folder = path_from_environment("HF_HOME"); !folder.empty()) return folder / "hub";
  if (auto folder = path_from_environment("XDG_CACHE_HOME"); !folder.empty())
    return folder / "huggingface" / "hub";
  return path_from_environment("HOME") / ".cache" / "huggingface" / "hub";
}

std::filesystem::path find_cached_snapshot(const std::string& name) {
  std::string folder_name = "models--" + name;
  folder_name.replace(folder_name.find('/'), 1, "--");
  const auto repository = hub_cache_folder() / folder_name;
  const std::string commit = read_main_commit(repository);
  const auto snapshot = repository / "snapshots" / commit;
  if (!commit.empty() && std::filesystem::is_directory(snapshot)) return snapshot;
  fail_load("{}: neither a file or folder, nor in the hub cache {}; download it with: hf download {}", name,
            hub_cache_folder().string(), name);
}

}  // namespace musaic
