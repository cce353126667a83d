#include "opcheck/check_kernel.h"

#include <fmt/format.h>

#include "base/status.h"
#include "opcheck/device_call.h"

namespace musaic {
namespace {

using Memory = std::vector<std::byte>;
using Duty = CallImage::Duty;

// The comparisons of one call; each adds at most one sentence.
class Comparisons {
 public:
  Comparisons(const CallImage& image, std::vector<std::string>& problems)
      : image_(image), problems_(problems) {}

  void kept(const Memory& before, const Memory& after) {
    for (size_t i = 0; i < after.size(); ++i) {
      if (image_.duty(i) != Duty::kKeep || before[i] == after[i]) continue;
      problems_.push_back(fmt::format("wrote {}, which it must leave alone", image_.place(i)));
      return;
    }
  }

  // Two runs from memory that differs in what the kernel must not read.
  void independent(const Memory& before_a, const Memory& a, const Memory& before_b, const Memory& b) {
    for (size_t i = 0; i < a.size(); ++i) {
      if (image_.duty(i) == Duty::kKeep || a[i] == b[i]) continue;
      const bool untouched = a[i] == before_a[i] && b[i] == before_b[i];
      if (untouched && image_.duty(i) == Duty::kMayWrite) continue;
      problems_.push_back(
          untouched ? fmt::format("left {} unwritten", image_.place(i))
                    : fmt::format("{} depends on pad rows, gaps, the workspace or what outputs held before",
                                  image_.place(i)));
      return;
    }
  }

  void equal(const Memory& expected, const Memory& got, const std::string& what) {
    for (size_t i = 0; i < got.size(); ++i) {
      if (expected[i] == got[i]) continue;
      problems_.push_back(fmt::format("{} differs from the eager run: {}", what, image_.place(i)));
      return;
    }
  }

 private:
  const CallImage& image_;
  std::vector<std::string>& problems_;
};

Memory run(DeviceCall& call, const Memory& before, Poison poison) {
  call.load(before, poison);
  call.enqueue();
  return call.read();
}

// The recorded call, or nullptr and a sentence: what it did that a capture forbids.
std::unique_ptr<CapturedGraph> capture(DeviceCall& call, const CallImage& image,
                                       std::vector<std::string>& problems) {
  Backend& backend = call.backend();
  const Memory before = image.without_data();
  call.load(before, Poison::kLarge);
  backend.begin_capture(backend.stream());
  std::string problem;
  try {
    call.enqueue();
  } catch (const LoadError& error) {
    problem = fmt::format("cannot be captured: {}", error.what());
  }
  auto graph = backend.end_capture(backend.stream());
  if (problem.empty() && call.read() != before) problem = "ran while it was captured";
  if (problem.empty()) return graph;
  problems.push_back(problem);
  return nullptr;
}

void check_replays(DeviceCall& call, const CallImage& image, const Memory& eager, KernelCheck& result) {
  const auto graph = capture(call, image, result.problems);
  if (graph == nullptr) return;
  for (const char* what : {"the first replay", "the second replay"}) {
    call.load(image.before(Poison::kNaN), Poison::kNaN);
    graph->replay(call.backend().stream());
    const size_t known = result.problems.size();
    Comparisons(image, result.problems).equal(eager, call.read(), what);
    if (result.problems.size() > known) return;
  }
}

}  // namespace

KernelCheck run_kernel(const CheckedCall& call, Backend& backend) {
  const CallImage image(call);
  DeviceCall device(call, image, backend);
  const Memory after = run(device, image.before(Poison::kNaN), Poison::kNaN);
  return {.problems = {}, .inputs = image.inputs_after(after), .outputs = image.outputs_after(after)};
}

KernelCheck check_kernel(const CheckedCall& call, Backend& backend, Backend* one_thread) {
  KernelCheck result;
  const CallImage image(call);
  Comparisons compare(image, result.problems);
  DeviceCall device(call, image, backend);
  const Memory before = image.before(Poison::kNaN);
  const Memory other_before = image.before(Poison::kLarge);
  const Memory eager = run(device, before, Poison::kNaN);
  const Memory other = run(device, other_before, Poison::kLarge);
  compare.kept(before, eager);
  if (result.problems.empty()) compare.kept(other_before, other);
  if (result.problems.empty()) compare.independent(before, eager, other_before, other);
  if (device.left_workspace()) result.problems.push_back("wrote behind its workspace");
  check_replays(device, image, eager, result);
  if (one_thread != nullptr) {
    DeviceCall serial(call, image, *one_thread);
    compare.equal(eager, run(serial, before, Poison::kNaN), "one thread");
  }
  result.inputs = image.inputs_after(eager);
  result.outputs = image.outputs_after(eager);
  return result;
}

}  // namespace musaic
