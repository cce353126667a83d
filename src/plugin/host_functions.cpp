#include "plugin/host_functions.h"

#include "plugin/context.h"

namespace musaic {
namespace {

MusaicStatus fail(MusaicContext* context, const char* message) {
  return context->fail(message == nullptr || *message == '\0' ? "it failed without saying why" : message);
}

MusaicHost make_host() {
  MusaicHost host{};
  host.abi_major = MUSAIC_PLUGIN_ABI_MAJOR;
  host.abi_minor = MUSAIC_PLUGIN_ABI_MINOR;
  host.version = MUSAIC_VERSION;
  host.fail = fail;
  add_registration_functions(host);
  add_dim_functions(host);
  add_attribute_functions(host);
  add_launch_functions(host);
  add_sample_functions(host);
  return host;
}

}  // namespace

const MusaicHost& host_functions() {
  static const MusaicHost host = make_host();  // plugins keep its address
  return host;
}

}  // namespace musaic
