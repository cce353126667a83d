#include <algorithm>

#include "base/status.h"
#include "plugin/callbacks.h"
#include "plugin/context.h"
#include "plugin/host_functions.h"

namespace musaic {
namespace {

constexpr uint32_t kKnownFlags = MUSAIC_OP_IS_BREAK | MUSAIC_OP_IS_VIEW;

bool is_empty(const char* text) {
  return text == nullptr || *text == '\0';
}

// Runs `action` on the registry of an init callback; what it throws becomes the context's error.
template <class Action>
MusaicStatus change(MusaicContext& context, const char* function, const Action& action) {
  if (context.kind != CallbackKind::kInit)
    return context.fail(fmt::format("{}: only the init function may call it", function));
  try {
    action(*context.registry);
    return context.error.empty() ? MUSAIC_OK : MUSAIC_ERROR;
  } catch (const LoadError& error) {
    return context.fail(error.what());
  }
}

MusaicStatus define_op(MusaicContext* context, const MusaicOpDefinition* definition) {
  return change(*context, "define_op", [&](OpRegistry& registry) {
    if (definition == nullptr || definition->schema == nullptr) fail_load("define_op: without a schema");
    if ((definition->flags & ~kKnownFlags) != 0)
      fail_load("define_op: {}: unknown flags {:#x}", definition->schema, definition->flags & ~kKnownFlags);
    OpDef op;
    if (definition->fake != nullptr) op.fake = make_fake(definition->fake, definition->user_data);
    if (definition->samples != nullptr) {
      const auto schema = Schema::parse(definition->schema);
      if (!schema.ok()) fail_load("{}", schema.status().message());
      op.samples = make_samples(definition->samples, definition->user_data, schema.value());
    }
    op.is_break = (definition->flags & MUSAIC_OP_IS_BREAK) != 0;
    op.is_view = (definition->flags & MUSAIC_OP_IS_VIEW) != 0;
    registry.define(definition->schema, std::move(op));
  });
}

MusaicStatus register_fake_if_exists(MusaicContext* context, const char* op, MusaicFake fake, void* user_data,
                                     int32_t* attached) {
  return change(*context, "register_fake_if_exists", [&](OpRegistry& registry) {
    if (is_empty(op) || fake == nullptr) fail_load("register_fake_if_exists: without an op or a fake kernel");
    const bool found = registry.register_fake_if_exists(op, make_fake(fake, user_data));
    if (attached != nullptr) *attached = found ? 1 : 0;
  });
}

void check_kernel(const MusaicKernelDefinition* definition, const OpRegistry& registry) {
  if (definition == nullptr || is_empty(definition->op) || is_empty(definition->name))
    fail_load("add_kernel: without an op or a name");
  if (is_empty(definition->device_type)) fail_load("kernel {}: without a device type", definition->name);
  if (definition->run == nullptr) fail_load("kernel {}: without a run function", definition->name);
  const OpDef* op = registry.find(definition->op);
  if (op == nullptr) fail_load("kernel {}: there is no op {}", definition->name, definition->op);
  if (op->is_view) fail_load("kernel {}: {} is a view, which has none", definition->name, definition->op);
  const auto same_name = [&](const Kernel& kernel) { return kernel.name == definition->name; };
  if (std::any_of(op->kernels.begin(), op->kernels.end(), same_name))
    fail_load("kernel {}: {} has one of that name already", definition->name, definition->op);
}

MusaicStatus add_kernel(MusaicContext* context, const MusaicKernelDefinition* definition) {
  return change(*context, "add_kernel", [&](OpRegistry& registry) {
    check_kernel(definition, registry);
    const auto threads = context->devices->find(std::string_view(definition->device_type));
    const Schema& schema = registry.get(definition->op).schema;
    registry.prefer_kernel(
        definition->op,
        make_kernel(*definition, schema,
                    threads == context->devices->end() ? std::nullopt : std::optional(threads->second)));
  });
}

int32_t has_op(MusaicContext* context, const char* op) {
  bool found = false;
  change(*context, "has_op",
         [&](OpRegistry& registry) { found = op != nullptr && registry.find(op) != nullptr; });
  return found ? 1 : 0;
}

}  // namespace

void add_registration_functions(MusaicHost& host) {
  host.define_op = define_op;
  host.register_fake_if_exists = register_fake_if_exists;
  host.add_kernel = add_kernel;
  host.has_op = has_op;
}

}  // namespace musaic
