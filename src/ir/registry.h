#pragma once

#include <map>
#include <string>
#include <string_view>

#include "ir/op.h"

namespace musaic {

// The operators that a process knows. Built once at start, then read only.
class OpRegistry {
 public:
  // Throws LoadError: schema does not parse, no fake, name taken.
  void define(std::string_view schema, OpDef definition);
  // REQUIRES: the op is defined.
  void add_kernel(std::string_view op, Kernel kernel);

  const OpDef* find(std::string_view name) const;
  // REQUIRES: the op is defined.
  const OpDef& get(std::string_view name) const;
  // The kernel for a call on a device type, or nullptr.
  const Kernel* find_kernel(const OpDef& op, std::string_view device_type, const KernelQuery& query) const;
  const std::map<std::string, OpDef, std::less<>>& ops() const { return ops_; }

 private:
  std::map<std::string, OpDef, std::less<>> ops_;
};

}  // namespace musaic
