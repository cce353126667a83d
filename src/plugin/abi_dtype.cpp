#include "plugin/abi_dtype.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace musaic {
namespace {

constexpr std::pair<DType, MusaicDType> kTypes[] = {
    {DType::kF32, MUSAIC_F32},        {DType::kF16, MUSAIC_F16},   {DType::kBF16, MUSAIC_BF16},
    {DType::kF8E4M3, MUSAIC_F8_E4M3}, {DType::kI64, MUSAIC_I64},   {DType::kI32, MUSAIC_I32},
    {DType::kI16, MUSAIC_I16},        {DType::kI8, MUSAIC_I8},     {DType::kU8, MUSAIC_U8},
    {DType::kBool, MUSAIC_BOOL},      {DType::kQ8_0, MUSAIC_Q8_0}, {DType::kQ4_0, MUSAIC_Q4_0},
    {DType::kQ4_1, MUSAIC_Q4_1},      {DType::kQ5_0, MUSAIC_Q5_0}, {DType::kQ5_1, MUSAIC_Q5_1},
    {DType::kQ4_K, MUSAIC_Q4_K},      {DType::kQ5_K, MUSAIC_Q5_K}, {DType::kQ6_K, MUSAIC_Q6_K},
};

}  // namespace

MusaicDType to_abi(DType dtype) {
  const auto found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const auto& entry) { return entry.first == dtype; });
  CHECK(found != std::end(kTypes), "{} has no number in the plugin interface", name(dtype));
  return found->second;
}

std::optional<DType> from_abi(MusaicDType dtype) {
  const auto found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const auto& entry) { return entry.second == dtype; });
  if (found == std::end(kTypes)) return std::nullopt;
  return found->first;
}

}  // namespace musaic
