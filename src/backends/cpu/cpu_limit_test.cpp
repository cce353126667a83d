#include "backends/cpu/cpu_limit.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <string>

namespace musaic {
namespace {

namespace fs = std::filesystem;

class CgroupCpuQuota : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "musaic_cgroup_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  fs::path root_;
};

TEST_F(CgroupCpuQuota, IsAbsentWithoutCgroups) {
  EXPECT_EQ(cgroup_cpu_quota(root_), std::nullopt);
}

TEST_F(CgroupCpuQuota, ReadsVersion2OfTheProcesssOwnGroup) {
  write("proc/self/cgroup", "0::/service/pod\n");
  write("sys/fs/cgroup/service/pod/cpu.max", "150000 100000\n");
  EXPECT_EQ(cgroup_cpu_quota(root_), 1.5);
}

TEST_F(CgroupCpuQuota, TakesTheTightestAncestor) {
  write("proc/self/cgroup", "0::/service/pod\n");
  write("sys/fs/cgroup/service/pod/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/service/cpu.max", "300000 100000\n");
  write("sys/fs/cgroup/cpu.max", "800000 100000\n");
  EXPECT_EQ(cgroup_cpu_quota(root_), 3.0);
}

TEST_F(CgroupCpuQuota, MaxIsNoLimit) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_cpu_quota(root_), std::nullopt);
}

TEST_F(CgroupCpuQuota, ReadsVersion1WhereOnlyTheMountPointExists) {
  write("proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpu_quota(root_), 2.0);
}

TEST_F(CgroupCpuQuota, Version1SpellsNoLimitAsMinusOne) {
  write("proc/self/cgroup", "4:cpu:/\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpu_quota(root_), std::nullopt);
}

TEST_F(CgroupCpuQuota, IgnoresLinesThatAreNone) {
  write("proc/self/cgroup", "nonsense\n3:cpuset:/a\n\n");
  EXPECT_EQ(cgroup_cpu_quota(root_), std::nullopt);
}

}  // namespace
}  // namespace musaic
