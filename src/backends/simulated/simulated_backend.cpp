#include "backends/simulated/simulated_backend.h"

#include <fmt/format.h>

#include <cstring>

namespace musaic {
namespace {

class SimulatedMemory : public DeviceMemory {
 public:
  SimulatedMemory(std::unique_ptr<DeviceMemory> memory, LiveMemory& live)
      : memory_(std::move(memory)),
        live_(live),
        id_(live.add(device_address(memory_->data()), memory_->bytes())) {}
  ~SimulatedMemory() override { live_.remove(id_); }
  SimulatedMemory(const SimulatedMemory&) = delete;
  SimulatedMemory& operator=(const SimulatedMemory&) = delete;

  void* data() const override { return device_address(memory_->data()); }
  size_t bytes() const override { return memory_->bytes(); }

 private:
  std::unique_ptr<DeviceMemory> memory_;
  LiveMemory& live_;
  uint64_t id_;
};

class SimulatedGraph : public CapturedGraph {
 public:
  SimulatedGraph(std::vector<CpuLaunch> launches, UsedAddresses used)
      : launches_(std::move(launches)), used_(std::move(used)) {}

  void replay(Stream& stream) override {
    SimulatedStream& own = simulated_stream(stream);
    own.state().forbid_in_capture("a replay");
    for (const auto& [allocation, use] : used_) {
      if (own.state().memory.is_live(allocation)) continue;
      own.state().op = use.op;
      own.state().fail(fmt::format("replay of a piece whose {} was freed since its capture", use.argument));
    }
    own.replay(launches_);
  }
  int num_launches() const override { return static_cast<int>(launches_.size()); }
  size_t bytes() const override { return launches_.size() * sizeof(CpuLaunch); }

 private:
  std::vector<CpuLaunch> launches_;
  UsedAddresses used_;
};

}  // namespace

SimulatedBackend::SimulatedBackend(const CpuBackendOptions& options)
    : cpu_(options), stream_(cpu_.pool(), state_) {}

std::unique_ptr<DeviceMemory> SimulatedBackend::allocate(size_t bytes, const std::string& purpose) {
  state_.forbid_in_capture(fmt::format("an allocation of {} bytes for {}", bytes, purpose));
  return std::make_unique<SimulatedMemory>(cpu_.allocate(bytes, purpose), state_.memory);
}

void SimulatedBackend::begin_capture(Stream& stream) {
  simulated_stream(stream).begin();
}

std::unique_ptr<CapturedGraph> SimulatedBackend::end_capture(Stream& stream) {
  auto [launches, used] = simulated_stream(stream).end();
  return std::make_unique<SimulatedGraph>(std::move(launches), std::move(used));
}

void SimulatedBackend::copy_to_device(void* destination, const void* source, size_t bytes, Stream& stream) {
  state_.forbid_in_capture("a copy from the host");
  simulated_stream(stream).use("the destination of a copy", destination, bytes);
  std::memcpy(host_address(destination), source, bytes);
  copied_to_device_bytes_ += bytes;
}

void SimulatedBackend::copy_to_host(void* destination, const void* source, size_t bytes, Stream& stream) {
  state_.forbid_in_capture("a copy to the host");
  simulated_stream(stream).use("the source of a copy", source, bytes);
  std::memcpy(destination, host_address(source), bytes);
}

void SimulatedBackend::zero(void* destination, size_t bytes, Stream& stream) {
  SimulatedStream& own = simulated_stream(stream);
  own.use("the memory to be zeroed", destination, bytes);
  own.launch([to = host_address(destination), bytes](const Worker& worker) {
    if (worker.index == 0) std::memset(to, 0, bytes);
  });
}

void SimulatedBackend::name_next(const char* op) {
  state_.op = op;
  stream_.name_next(op);
}

std::unique_ptr<Stream> SimulatedBackend::make_stream() {
  return std::make_unique<SimulatedStream>(cpu_.pool(), state_);
}

}  // namespace musaic
