#include "backends/cpu/cpu_stream.h"

#include "base/check.h"
#include "base/status.h"

namespace musaic {
namespace {

void run_launch(const void* context, const Worker& worker, int step) {
  const CpuLaunch& launch = static_cast<const CpuLaunch*>(context)[step];
  launch.run(launch.body.data(), worker);
}

}  // namespace

void CpuStream::synchronize() {
  if (capturing_) fail_load("cpu: {}: a synchronization inside a capture", next_name_);
}

void CpuStream::begin_capture() {
  CHECK(!capturing_, "a capture is running");
  capturing_ = true;
  recorded_.clear();
}

std::vector<CpuLaunch> CpuStream::end_capture() {
  CHECK(capturing_, "no capture is running");
  capturing_ = false;
  return std::move(recorded_);
}

void CpuStream::enqueue(const CpuLaunch& launch) {
  if (capturing_) {
    recorded_.push_back(launch);
  } else {
    pool_.run(run_launch, &launch, 1);
  }
}

void CpuStream::replay(const std::vector<CpuLaunch>& launches) {
  CHECK(!capturing_, "a replay cannot be captured");
  pool_.run(run_launch, launches.data(), static_cast<int>(launches.size()));
}

}  // namespace musaic
