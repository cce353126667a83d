#include "plugin/context.h"
#include "plugin/host_functions.h"

namespace musaic {
namespace {

static_assert(PartsLaunch::kMaxArgumentBytes == MUSAIC_MAX_LAUNCH_BYTES);

// Whether the callback may launch; else the context has the error.
bool may_launch(MusaicContext& context, const char* function) {
  if (context.kind != CallbackKind::kRun) {
    context.fail(fmt::format("{}: only a kernel's run may call it", function));
    return false;
  }
  if (context.threads == nullptr)
    context.fail(fmt::format("{}: kernels of this device do not run on host threads", function));
  return context.threads != nullptr;
}

MusaicStatus launch(MusaicContext* context, MusaicBody body, const void* arguments, size_t bytes,
                    int64_t num_parts) {
  if (!may_launch(*context, "launch")) return MUSAIC_ERROR;
  if (body == nullptr || (arguments == nullptr && bytes > 0)) return context->fail("launch: of nothing");
  if (bytes > PartsLaunch::kMaxArgumentBytes) {
    return context->fail(fmt::format("launch: {} bytes of arguments, at most {} are possible", bytes,
                                     PartsLaunch::kMaxArgumentBytes));
  }
  if (num_parts < 0) return context->fail(fmt::format("launch: {} parts", num_parts));
  context->threads->launch(
      *context->stream,
      {.body = body, .arguments = arguments, .argument_bytes = bytes, .num_parts = num_parts});
  return MUSAIC_OK;
}

int32_t num_threads(MusaicContext* context) {
  return may_launch(*context, "num_threads") ? context->threads->count(*context->stream) : 0;
}

}  // namespace

void add_launch_functions(MusaicHost& host) {
  host.launch = launch;
  host.num_threads = num_threads;
}

}  // namespace musaic
