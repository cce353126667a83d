#pragma once

#include <filesystem>
#include <string>

namespace musaic {

// True for `org/name` as the hub spells repositories.
bool is_hub_name(const std::string& text);

// Where the hub's tools keep downloads: HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub or
// ~/.cache/huggingface/hub, the first that is set.
std::filesystem::path hub_cache_folder();

// The folder of the cached snapshot that `main` names. Throws LoadError, with the command that downloads the
// model, when there is none. REQUIRES: is_hub_name(name).
std::filesystem::path find_cached_snapshot(const std::string& name);

}  // namespace musaic
