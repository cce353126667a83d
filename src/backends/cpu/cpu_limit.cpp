#include "backends/cpu/cpu_limit.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "backends/cpu/thread_pool.h"

namespace musaic {
namespace {

namespace fs = std::filesystem;

void lower(std::optional<double>& limit, double quota, double period) {
  if (quota <= 0 || period <= 0) return;  // v1 spells "no limit" as -1
  limit = std::min(limit.value_or(quota / period), quota / period);
}

std::optional<double> read_number(const fs::path& path) {
  std::ifstream file(path);
  double number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

void lower_by_v2(std::optional<double>& limit, const fs::path& folder) {
  std::ifstream file(folder / "cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max") lower(limit, std::strtod(quota.c_str(), nullptr), period);
}

void lower_by_v1(std::optional<double>& limit, const fs::path& folder) {
  const auto quota = read_number(folder / "cpu.cfs_quota_us");
  const auto period = read_number(folder / "cpu.cfs_period_us");
  if (quota && period) lower(limit, *quota, *period);
}

// The cgroup's folder and every ancestor up to the hierarchy's mount point. In a container the path may be
// that of the host, of which only the mount point exists.
template <class Visit>
void for_each_ancestor(const fs::path& mount, const std::string& cgroup, const Visit& visit) {
  for (fs::path path = fs::path(cgroup).relative_path(); !path.empty(); path = path.parent_path())
    visit(mount / path);
  visit(mount);
}

bool lists_cpu(const std::string& controllers) {
  std::istringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');) {
    if (name == "cpu") return true;
  }
  return false;
}

// 0: unknown.
int affinity_cpus() {
  for (size_t num_cpus = 1024; num_cpus <= (size_t{1} << 20);
       num_cpus *= 2) {  // EINVAL: the mask is too small
    std::vector<cpu_set_t> mask((num_cpus + CPU_SETSIZE - 1) / CPU_SETSIZE);
    const size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, mask.data()) == 0) return CPU_COUNT_S(bytes, mask.data());
  }
  return 0;
}

}  // namespace

std::optional<double> cgroup_cpu_quota(const fs::path& root) {
  std::optional<double> limit;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "hierarchy:controllers:path"
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string cgroup = line.substr(second + 1);
    if (controllers.empty()) {
      for (const char* mount : {"sys/fs/cgroup", "sys/fs/cgroup/unified"})
        for_each_ancestor(root / mount, cgroup, [&](const fs::path& path) { lower_by_v2(limit, path); });
    } else if (lists_cpu(controllers)) {
      for (const std::string& mount : {std::string("cpu"), controllers})
        for_each_ancestor(root / "sys/fs/cgroup" / mount, cgroup,
                          [&](const fs::path& path) { lower_by_v1(limit, path); });
    }
  }
  return limit;
}

int available_cpus() {
  int cpus = std::max(affinity_cpus(), 1);
  if (const auto quota = cgroup_cpu_quota("/")) cpus = std::min(cpus, static_cast<int>(std::ceil(*quota)));
  return std::max(cpus, 1);
}

}  // namespace musaic
