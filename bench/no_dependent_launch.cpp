// Turns dependent launches off in a process: no kernel is set up before the one ahead of it has ended, as on
// a device without them. Other attributes of a launch, as the size of its clusters, stay. Replays of what was
// captured keep to it.
//   g++ -O2 -shared -fPIC -I$CUDA_HOME/include no_dependent_launch.cpp -o libnopdl.so -L$CUDA_HOME/lib64
//   -lcupti CUDA_INJECTION64_PATH=$PWD/libnopdl.so musaic bench decode --device cuda ...
#include <cuda.h>
#include <cupti.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>

namespace {

CUpti_SubscriberHandle subscriber;
long num_changed = 0;

void before_launch(void*, CUpti_CallbackDomain, CUpti_CallbackId, const void* data) {
  const auto* call = static_cast<const CUpti_CallbackData*>(data);
  if (call->callbackSite != CUPTI_API_ENTER) return;
  const auto* parameters = static_cast<const cuLaunchKernelEx_params*>(call->functionParams);
  const CUlaunchConfig& config = *parameters->config;
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    CUlaunchAttribute& attribute = config.attrs[i];  // the driver reads it after this call
    if (attribute.id != CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION) continue;
    attribute.value.programmaticStreamSerializationAllowed = 0;
    ++num_changed;
  }
}

void report() {
  std::fprintf(stderr, "no_dependent_launch: %ld launches made to wait\n", num_changed);
}

}  // namespace

// Called by the driver when it starts.
extern "C" int InitializeInjection() {
  if (cuptiSubscribe(&subscriber, before_launch, nullptr) != CUPTI_SUCCESS) {
    std::fprintf(stderr, "no_dependent_launch: another tool has subscribed\n");
    return 0;
  }
  for (const CUpti_CallbackId call :
       {CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx, CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx_ptsz})
    cuptiEnableCallback(1, subscriber, CUPTI_CB_DOMAIN_DRIVER_API, call);
  std::atexit(report);
  return 1;
}
