#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "device/host_threads.h"
#include "ir/op_sample.h"
#include "ir/registry.h"
#include "musaic/plugin.h"

namespace musaic {

// By device type: how plugin kernels for it enqueue work.
using HostThreadsByDevice = std::map<std::string, HostThreads, std::less<>>;

enum class CallbackKind { kInit, kFake, kQuery, kRun, kSamples };

}  // namespace musaic

// The host's side of one callback: what its functions work on. Pointers that the callback's kind has no use
// for are nullptr. Lives as long as the callback.
struct MusaicContext {
  musaic::CallbackKind kind;
  std::string error = {};  // the first; empty: none

  // Init.
  musaic::OpRegistry* registry = nullptr;
  const musaic::HostThreadsByDevice* devices = nullptr;

  // All but init; attributes are nullptr for samples.
  const musaic::Schema* schema = nullptr;
  const musaic::Attributes* attributes = nullptr;
  std::deque<musaic::Dim> dims = {};  // what the callback has made; addresses stay
  std::deque<std::string> texts = {};

  // Queries.
  const musaic::Capabilities* capabilities = nullptr;

  // Runs. `threads` is nullptr where kernels do not run on host threads.
  const musaic::HostThreads* threads = nullptr;
  musaic::Stream* stream = nullptr;

  // Samples.
  std::vector<musaic::OpSample>* samples = nullptr;

  MusaicStatus fail(std::string message) {
    if (error.empty()) error = std::move(message);
    return MUSAIC_ERROR;
  }
};
