#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/op.h"

namespace musaic {

// The operators that a process knows. Built once at start, then read only.
class OpRegistry {
 public:
  // The definition's schema is the text's. Without a fake the op waits for register_fake_if_exists. Throws
  // LoadError: schema does not parse, name taken, a view that is none.
  void define(std::string_view schema, OpDef definition);
  // Gives the op its fake kernel where the op is defined; false: it is not. Throws LoadError when the op has
  // one already.
  bool register_fake_if_exists(std::string_view op, Fake fake);
  // Names of the ops that no graph may contain because they have no fake kernel.
  std::vector<std::string> missing_fakes() const;
  // REQUIRES: the op is defined.
  void add_kernel(std::string_view op, Kernel kernel);
  // Adds a kernel that is asked before those that the op has. REQUIRES: the op is defined.
  void prefer_kernel(std::string_view op, Kernel kernel);

  const OpDef* find(std::string_view name) const;
  // REQUIRES: the op is defined.
  const OpDef& get(std::string_view name) const;
  // The kernel for a call on a device type, or nullptr; none that only shares another's packed weight.
  const Kernel* find_kernel(const OpDef& op, std::string_view device_type, const KernelQuery& query) const;
  const std::map<std::string, OpDef, std::less<>>& ops() const { return ops_; }

 private:
  std::map<std::string, OpDef, std::less<>> ops_;
};

// Throws LoadError naming the ops without a fake kernel: nothing is traced with a registry that has one.
void require_fakes(const OpRegistry& registry);

}  // namespace musaic
