#include "backends/cpu/cpu_host_threads.h"

#include <array>
#include <cstring>

#include "backends/cpu/cpu_stream.h"
#include "base/check.h"

namespace musaic {
namespace {

struct PartsBody {
  void (*body)(const void* arguments, int64_t part, int64_t num_parts);
  int64_t num_parts;
  alignas(16) std::array<std::byte, PartsLaunch::kMaxArgumentBytes> arguments;

  void operator()(const Worker& worker) const {
    if (num_parts == 0) return body(arguments.data(), worker.index, worker.count);
    for (int64_t part = worker.next_chunk(); part < num_parts; part = worker.next_chunk())
      body(arguments.data(), part, num_parts);
  }
};

void launch_parts(Stream& stream, const PartsLaunch& launch) {
  CHECK(launch.argument_bytes <= PartsLaunch::kMaxArgumentBytes, "{} bytes of arguments",
        launch.argument_bytes);
  PartsBody body{.body = launch.body, .num_parts = launch.num_parts, .arguments = {}};
  if (launch.argument_bytes > 0) std::memcpy(body.arguments.data(), launch.arguments, launch.argument_bytes);
  cpu_stream(stream).launch(body);
}

int count_threads(Stream& stream) {
  return cpu_stream(stream).num_workers();
}

}  // namespace

HostThreads cpu_host_threads() {
  return {.launch = launch_parts, .count = count_threads};
}

}  // namespace musaic
