#include "plugin/context.h"
#include "plugin/host_functions.h"

namespace musaic {
namespace {

// The argument of the schema that is no tensor; nullptr, and the context's error, when there is none.
const SchemaArgument* known(MusaicContext& context, const char* name) {
  if (context.attributes == nullptr) {
    context.fail("attributes: only a call of an op has any");
    return nullptr;
  }
  for (const SchemaArgument& argument : context.schema->arguments) {
    if (argument.type != SchemaType::kTensor && name != nullptr && argument.name == name) return &argument;
  }
  context.fail(fmt::format("asks for the attribute {}, which {} has not", name == nullptr ? "NULL" : name,
                           to_string(*context.schema)));
  return nullptr;
}

// The value; nullptr, and the context's error, when it is absent or of another type.
template <class T>
const T* find(MusaicContext& context, const char* name, const char* type) {
  if (known(context, name) == nullptr) return nullptr;
  const auto found = context.attributes->entries().find(name);
  if (found == context.attributes->entries().end()) {
    context.fail(fmt::format("asks for the attribute {}, which was left out", name));
    return nullptr;
  }
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) {
    context.fail(
        fmt::format("asks for the attribute {} as {}, it is {}", name, type, to_string(found->second)));
  }
  return value;
}

int32_t has(MusaicContext* context, const char* name) {
  return known(*context, name) != nullptr && context->attributes->contains(name) ? 1 : 0;
}

MusaicStatus get_int(MusaicContext* context, const char* name, int64_t* value) {
  const auto* found = find<int64_t>(*context, name, "int");
  if (found == nullptr) return MUSAIC_ERROR;
  *value = *found;
  return MUSAIC_OK;
}

MusaicStatus get_float(MusaicContext* context, const char* name, double* value) {
  const auto* found = find<double>(*context, name, "float");
  if (found == nullptr) return MUSAIC_ERROR;
  *value = *found;
  return MUSAIC_OK;
}

MusaicStatus get_bool(MusaicContext* context, const char* name, int32_t* value) {
  const auto* found = find<bool>(*context, name, "bool");
  if (found == nullptr) return MUSAIC_ERROR;
  *value = *found ? 1 : 0;
  return MUSAIC_OK;
}

MusaicStatus get_string(MusaicContext* context, const char* name, const char** value) {
  const auto* found = find<std::string>(*context, name, "str");
  if (found == nullptr) return MUSAIC_ERROR;
  *value = found->c_str();
  return MUSAIC_OK;
}

MusaicStatus get_int_list(MusaicContext* context, const char* name, const int64_t** values, int64_t* count) {
  const auto* found = find<std::vector<int64_t>>(*context, name, "int[]");
  if (found == nullptr) return MUSAIC_ERROR;
  *values = found->data();
  *count = static_cast<int64_t>(found->size());
  return MUSAIC_OK;
}

int32_t has_feature(MusaicContext* context, const char* feature) {
  if (context->capabilities != nullptr) return context->capabilities->has(feature) ? 1 : 0;
  context->fail("has_feature: only predicates and workspace sizes may ask");
  return 0;
}

}  // namespace

void add_attribute_functions(MusaicHost& host) {
  host.has_attribute = has;
  host.get_int = get_int;
  host.get_float = get_float;
  host.get_bool = get_bool;
  host.get_string = get_string;
  host.get_int_list = get_int_list;
  host.has_feature = has_feature;
}

}  // namespace musaic
