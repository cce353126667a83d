#pragma once

#include <optional>

#include "device/host_threads.h"
#include "ir/op.h"
#include "musaic/plugin.h"

namespace musaic {

// A plugin's functions as ours. What they report with fail is thrown as a LoadError: "op: sentence".
Fake make_fake(MusaicFake fake, void* user_data);
Samples make_samples(MusaicSamples samples, void* user_data, const Schema& schema);
// REQUIRES: a name, a device type and a run function. `threads`: nullopt where kernels of the device type do
// not run on host threads.
Kernel make_kernel(const MusaicKernelDefinition& definition, const Schema& schema,
                   std::optional<HostThreads> threads);

}  // namespace musaic
