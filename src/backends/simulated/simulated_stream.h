#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "backends/cpu/cpu_stream.h"
#include "backends/simulated/live_memory.h"
#include "tensor/tensor.h"

namespace musaic {

class SimulatedStream;

// What the streams of one device share.
struct SimulatedState {
  LiveMemory memory;
  const SimulatedStream* capturing = nullptr;  // the stream of the running capture
  std::string op;                              // name_next's

  // Throws LoadError as "simulated: <op>: <rule>".
  [[noreturn]] void fail(std::string_view rule) const;
  // Throws LoadError inside a capture. `what`: "an allocation".
  void forbid_in_capture(std::string_view what) const;
};

// An address that recorded work uses.
struct UsedAddress {
  std::string op;
  std::string argument;
};
using UsedAddresses = std::map<uint64_t, UsedAddress>;  // the first use of each allocation, by its id

// A stream that runs CPU launches and enforces the rules of captures and addresses.
class SimulatedStream : public CpuStream {
 public:
  SimulatedStream(ThreadPool& pool, SimulatedState& state) : CpuStream(pool), state_(state) {}

  // A kernel says what it is about to use. Throws LoadError: not inside one live allocation.
  void use(std::string_view argument, const void* address, size_t bytes);
  void use(std::string_view argument, const Tensor& tensor);

  void synchronize() override;
  void begin();
  // The recorded launches and what they use.
  std::pair<std::vector<CpuLaunch>, UsedAddresses> end();
  SimulatedState& state() { return state_; }

 protected:
  void enqueue(const CpuLaunch& launch) override;

 private:
  void check_stream() const;

  SimulatedState& state_;
  UsedAddresses used_;
};

inline SimulatedStream& simulated_stream(Stream& stream) {
  return static_cast<SimulatedStream&>(stream);
}

}  // namespace musaic
