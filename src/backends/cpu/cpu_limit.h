#pragma once

#include <filesystem>
#include <optional>

namespace musaic {

// The smallest CPU quota (in CPUs) of this process's cgroup and its ancestors, v1 and v2; nullopt: no limit.
// `root` holds proc/ and sys/: "/" but in tests.
std::optional<double> cgroup_cpu_quota(const std::filesystem::path& root);

}  // namespace musaic
