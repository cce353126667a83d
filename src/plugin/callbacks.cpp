#include "plugin/callbacks.h"

#include <algorithm>

#include "base/status.h"
#include "ir/op_sample.h"
#include "plugin/abi_dtype.h"
#include "plugin/abi_meta.h"
#include "plugin/context.h"
#include "plugin/host_functions.h"

namespace musaic {
namespace {

// Throws what the callback reported. `who`: "the fake kernel".
void check(MusaicStatus status, const MusaicContext& context, std::string_view who) {
  if (status == MUSAIC_OK && context.error.empty()) return;
  fail_load("{}: {}: {}", context.schema->name, who,
            context.error.empty() ? "it failed without saying why" : context.error);
}

MusaicOutput empty_output() {
  MusaicOutput output{};
  output.dtype = MUSAIC_F32;
  output.view_of = -1;
  return output;
}

DimShape read_dims(const MusaicDim* const* dims, int32_t rank, const std::string& what) {
  DimShape out;
  for (int32_t i = 0; i < rank; ++i) {
    if (dims[i] == nullptr) fail_load("{} {} of {} is missing", what, i, rank);
    out.push_back(from_abi(*dims[i]));
  }
  return out;
}

FakeOutput read_output(const MusaicOutput& output, const std::string& what, const Device& device) {
  const auto dtype = from_abi(output.dtype);
  if (!dtype) fail_load("{}: there is no dtype {}", what, output.dtype);
  if (output.rank < 0 || output.rank > MUSAIC_MAX_RANK)
    fail_load("{}: its rank is {}, expected 0 to {}", what, output.rank, MUSAIC_MAX_RANK);
  FakeOutput out{
      .meta = Meta::contiguous(*dtype, read_dims(output.shape, output.rank, what + ": dimension"), device),
      .view_of = output.view_of};
  const auto* strides_end = output.strides + output.rank;
  if (std::any_of(output.strides, strides_end, [](const MusaicDim* stride) { return stride != nullptr; }))
    out.meta.strides = read_dims(output.strides, output.rank, what + ": stride");
  if (output.view_of < -1) fail_load("{}: it is a view of argument {}", what, output.view_of);
  if (output.view_offset != nullptr) out.view_offset = from_abi(*output.view_offset);
  return out;
}

// Of the first input that there is.
Device device_of(const FakeCall& call) {
  const auto given = [](const Meta* input) { return input != nullptr; };
  const auto first = std::find_if(call.inputs.begin(), call.inputs.end(), given);
  return first == call.inputs.end() ? Device{} : (*first)->device;
}

std::vector<FakeOutput> run_fake(MusaicFake fake, void* user_data, const FakeCall& call) {
  MusaicContext context{.kind = CallbackKind::kFake, .schema = &call.schema, .attributes = &call.attributes};
  const AbiMetas inputs(call.inputs);
  std::vector<MusaicOutput> outputs(call.schema.returns.size(), empty_output());
  const MusaicFakeCall abi_call{.host = &host_functions(),
                                .context = &context,
                                .num_inputs = inputs.size(),
                                .num_outputs = static_cast<int32_t>(outputs.size()),
                                .inputs = inputs.data(),
                                .outputs = outputs.data()};
  check(fake(&abi_call, user_data), context, "the plugin's fake kernel");
  std::vector<FakeOutput> out;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string what = fmt::format("{}: the plugin's fake kernel: output {}", call.schema.name, i);
    out.push_back(read_output(outputs[i], what, device_of(call)));
  }
  return out;
}

// A kernel of a plugin with what each of its callbacks needs.
struct PluginKernel {
  std::string name;
  Schema schema;
  std::optional<HostThreads> threads;
  MusaicSupports supports_function;
  MusaicRun run_function;
  MusaicWorkspace workspace_function;
  void* user_data;

  // Calls `ask` with the query as the plugin gets it.
  template <class Ask>
  auto query(const KernelQuery& query, const char* what, const Ask& ask) const {
    MusaicContext context{.kind = CallbackKind::kQuery,
                          .schema = &schema,
                          .attributes = &query.attributes,
                          .capabilities = &query.capabilities};
    const AbiMetas inputs(query.inputs);
    const AbiMetas outputs(query.outputs);
    const MusaicKernelQuery abi_query{.host = &host_functions(),
                                      .context = &context,
                                      .num_inputs = inputs.size(),
                                      .num_outputs = outputs.size(),
                                      .inputs = inputs.data(),
                                      .outputs = outputs.data()};
    const auto answer = ask(abi_query);
    check(MUSAIC_OK, context, fmt::format("{} of kernel {}", what, name));
    return answer;
  }

  bool supports(const KernelQuery& call) const {
    return query(call, "the predicate",
                 [&](const MusaicKernelQuery& abi) { return supports_function(&abi, user_data) != 0; });
  }

  Dim workspace(const KernelQuery& call) const {
    const auto bytes = query(call, "the workspace size", [&](const MusaicKernelQuery& abi) {
      const MusaicDim* dim = workspace_function(&abi, user_data);
      return dim == nullptr ? std::nullopt : std::optional<Dim>(from_abi(*dim));
    });
    if (!bytes) fail_load("{}: kernel {} gives no workspace size", schema.name, name);
    return *bytes;
  }

  void run(const KernelCall& call) const {
    MusaicContext context{.kind = CallbackKind::kRun,
                          .schema = &schema,
                          .attributes = &call.attributes,
                          .threads = threads ? &*threads : nullptr,
                          .stream = &call.stream};
    const auto inputs = to_abi(call.inputs);
    const auto outputs = to_abi(call.outputs);
    const MusaicKernelCall abi_call{.host = &host_functions(),
                                    .context = &context,
                                    .num_inputs = static_cast<int32_t>(inputs.size()),
                                    .num_outputs = static_cast<int32_t>(outputs.size()),
                                    .inputs = inputs.data(),
                                    .outputs = outputs.data(),
                                    .workspace = call.workspace.data,
                                    .workspace_bytes = call.workspace.defined() ? call.workspace.bytes() : 0,
                                    .live_rows = call.live_rows};
    check(run_function(&abi_call, user_data), context, "kernel " + name);
  }
};

}  // namespace

Fake make_fake(MusaicFake fake, void* user_data) {
  return [=](const FakeCall& call) { return run_fake(fake, user_data, call); };
}

Samples make_samples(MusaicSamples samples, void* user_data, const Schema& schema) {
  return [=] {
    std::vector<OpSample> out;
    MusaicContext context{.kind = CallbackKind::kSamples, .schema = &schema, .samples = &out};
    check(samples(&host_functions(), &context, user_data), context, "the plugin's samples");
    return out;
  };
}

Kernel make_kernel(const MusaicKernelDefinition& definition, const Schema& schema,
                   std::optional<HostThreads> threads) {
  const PluginKernel plugin{.name = definition.name,
                            .schema = schema,
                            .threads = threads,
                            .supports_function = definition.supports,
                            .run_function = definition.run,
                            .workspace_function = definition.workspace,
                            .user_data = definition.user_data};
  Kernel kernel{.name = definition.name,
                .device_type = definition.device_type,
                .run = [plugin](const KernelCall& call) { plugin.run(call); }};
  if (definition.supports != nullptr)
    kernel.supports = [plugin](const KernelQuery& query) { return plugin.supports(query); };
  if (definition.workspace != nullptr)
    kernel.workspace_bytes = [plugin](const KernelQuery& query) { return plugin.workspace(query); };
  return kernel;
}

}  // namespace musaic
