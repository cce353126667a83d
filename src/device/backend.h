#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "device/capabilities.h"
#include "device/graph_executables.h"
#include "tensor/device.h"

namespace musaic {

// An ordered queue of device work. A kernel enqueues on it; while it captures, work is recorded instead of
// run.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual void synchronize() = 0;  // throws LoadError while a capture is running
};

// Recorded work that can be run again and again at the same addresses.
class CapturedGraph {
 public:
  virtual ~CapturedGraph() = default;
  virtual void replay(Stream& stream) = 0;
  virtual int num_launches() const = 0;
  virtual size_t bytes() const = 0;  // memory that the record itself takes
};

// Device memory, freed with the object. Zeroed; on the CPU, pages are touched on demand.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  virtual void* data() const = 0;
  virtual size_t bytes() const = 0;
};

// One device of a backend. Used by one thread at a time (the engine's), but for allocate.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const Device& device() const = 0;
  virtual const Capabilities& capabilities() const = 0;
  // Kernels may read any address of this process: mapped weights need no copy.
  virtual bool reads_host_memory() const { return false; }
  // Throws LoadError when there is too little memory, and while a capture is running.
  virtual std::unique_ptr<DeviceMemory> allocate(size_t bytes, const std::string& purpose) = 0;
  virtual Stream& stream() = 0;
  virtual void begin_capture(Stream& stream) = 0;
  virtual std::unique_ptr<CapturedGraph> end_capture(Stream& stream) = 0;
  virtual void copy_to_device(void* destination, const void* source, size_t bytes, Stream& stream) = 0;
  virtual void copy_to_host(void* destination, const void* source, size_t bytes, Stream& stream) = 0;
  virtual void zero(void* destination, size_t bytes, Stream& stream) = 0;
  // The node that is about to run or be recorded, for messages and profiles.
  virtual void name_next(const char* op) = 0;
  virtual GraphExecutables graph_executables() const { return {}; }  // any thread
};

}  // namespace musaic
