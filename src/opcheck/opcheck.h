#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "device/backend.h"
#include "ir/registry.h"

namespace musaic {

// What was checked of one op on one device with one dtype.
struct OpCheckResult {
  std::string op;
  std::string device;             // its type
  std::string dtype;              // of the weight or cache where it is not f32, else of the first argument
  int cases = 0;                  // calls times kernels times variants of the device
  int without_kernel = 0;         // calls that no kernel of the device takes
  std::set<std::string> kernels;  // that ran
  std::vector<std::string> failures;  // "sample, kernel (variant): sentence"

  bool ok() const { return failures.empty(); }
};

// Hears of each case as it begins: "op: sample, kernel (variant)".
using CaseListener = std::function<void(const std::string&)>;

// Holds ops to their samples (OpDef::samples), the way PyTorch's opcheck does: the fake against the contract
// and the schema (check_fake.h), every kernel whose predicate holds against the rules of kernels
// (check_kernel.h). The registry outlives it.
class OpChecks {
 public:
  // REQUIRES: the ops are defined.
  OpChecks(const OpRegistry& registry, std::vector<std::string> ops, CaseListener on_case = {});

  // Checks all ops on a device; call it again for its variants. `one_thread`: the same device with one
  // thread, nullptr: threads are not compared. `variant`: "avx2", for messages; may be empty.
  void run(Backend& backend, Backend* one_thread, const std::string& variant);

  // By op, device and dtype. An op without samples is a failure.
  std::vector<OpCheckResult> results() const;
  // Kernels of the devices that no sample has reached, as "op: kernel".
  std::vector<std::string> unreached_kernels() const;

 private:
  using Key = std::tuple<std::string, std::string, std::string>;

  void check_op(const OpDef& op, Backend& backend, Backend* one_thread, const std::string& variant);

  const OpRegistry& registry_;
  std::vector<std::string> ops_;
  CaseListener on_case_;
  std::map<Key, OpCheckResult> results_;
  std::set<std::string> devices_;
};

}  // namespace musaic
