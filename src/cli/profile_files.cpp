#include "cli/profile_files.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

namespace musaic {
namespace {

// As SGLang: the folder that its variable names, else /tmp.
std::string usual_folder() {
  const char* named = std::getenv("SGLANG_TORCH_PROFILER_DIR");
  return named == nullptr || *named == '\0' ? "/tmp" : named;
}

int64_t unix_milliseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace

Result<std::string> start_profile(Profiler& profiler, const ProfileQuery& query) {
  const std::filesystem::path folder = query.output_dir.empty() ? usual_folder() : query.output_dir;
  const std::string name = fmt::format("musaic-{}.trace.json", unix_milliseconds());
  const ProfileOptions options{
      .path = (folder / name).string(), .start_step = query.start_step, .num_steps = query.num_steps};
  if (Status status = profiler.start(options); !status.ok()) return status;
  return options.path;
}

}  // namespace musaic
