#include "ir/registry.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/status.h"

namespace musaic {

const std::byte* WeightRows::row(int64_t index) const {
  int64_t first = 0;
  for (const Part& part : parts) {
    if (index < first + part.rows) return part.data + static_cast<size_t>(index - first) * row_bytes();
    first += part.rows;
  }
  CHECK(false, "row {} of {}", index, rows);
  return nullptr;
}

namespace {

bool gives_views(const Schema& schema) {
  const auto writes = [](const SchemaArgument& argument) { return argument.mutated; };
  const auto is_view = [](const SchemaReturn& result) { return !result.alias.empty(); };
  return std::none_of(schema.arguments.begin(), schema.arguments.end(), writes) &&
         std::all_of(schema.returns.begin(), schema.returns.end(), is_view);
}

}  // namespace

void OpRegistry::define(std::string_view schema, OpDef definition) {
  Result<Schema> parsed = Schema::parse(schema);
  if (!parsed.ok()) fail_load("{}", parsed.status().message());
  definition.schema = std::move(*parsed);
  const std::string name = definition.schema.name;
  if (definition.is_view && !gives_views(definition.schema))
    fail_load("{}: a view op writes nothing and gives views only, this one is {}", name,
              to_string(definition.schema));
  if (!ops_.emplace(name, std::move(definition)).second) fail_load("{}: is already registered", name);
}

bool OpRegistry::register_fake_if_exists(std::string_view op, Fake fake) {
  CHECK(fake, "{}: an empty fake kernel", op);
  const auto found = ops_.find(op);
  if (found == ops_.end()) return false;
  if (found->second.fake) fail_load("{}: has a fake kernel already", op);
  found->second.fake = std::move(fake);
  return true;
}

std::vector<std::string> OpRegistry::missing_fakes() const {
  std::vector<std::string> names;
  for (const auto& [name, op] : ops_) {
    if (!op.fake) names.push_back(name);
  }
  return names;
}

void OpRegistry::add_kernel(std::string_view op, Kernel kernel) {
  const auto found = ops_.find(op);
  CHECK(found != ops_.end(), "kernel {} for the unknown op {}", kernel.name, op);
  found->second.kernels.push_back(std::move(kernel));
}

void OpRegistry::prefer_kernel(std::string_view op, Kernel kernel) {
  const auto found = ops_.find(op);
  CHECK(found != ops_.end(), "kernel {} for the unknown op {}", kernel.name, op);
  found->second.kernels.insert(found->second.kernels.begin(), std::move(kernel));
}

const OpDef* OpRegistry::find(std::string_view name) const {
  const auto found = ops_.find(name);
  return found == ops_.end() ? nullptr : &found->second;
}

const OpDef& OpRegistry::get(std::string_view name) const {
  const OpDef* op = find(name);
  CHECK(op != nullptr, "unknown op {}", name);
  return *op;
}

const Kernel* OpRegistry::find_kernel(const OpDef& op, std::string_view device_type,
                                      const KernelQuery& query) const {
  for (const Kernel& kernel : op.kernels) {
    if (kernel.device_type != device_type || kernel.is_shared_only()) continue;
    if (kernel.supports == nullptr || kernel.supports(query)) return &kernel;
  }
  return nullptr;
}

void require_fakes(const OpRegistry& registry) {
  const std::vector<std::string> names = registry.missing_fakes();
  if (names.empty()) return;
  fail_load("{}: no fake kernel, so a graph cannot be traced; whoever defines {} must add one",
            fmt::join(names, ", "), names.size() == 1 ? "the op" : "these ops");
}

}  // namespace musaic
