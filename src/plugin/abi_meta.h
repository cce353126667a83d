#pragma once

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "musaic/plugin.h"
#include "tensor/meta.h"
#include "tensor/tensor.h"

namespace musaic {

inline const MusaicDim* to_abi(const Dim& dim) {
  return reinterpret_cast<const MusaicDim*>(&dim);
}
inline const Dim& from_abi(const MusaicDim& dim) {
  return reinterpret_cast<const Dim&>(dim);
}

MusaicTensor to_abi(const Tensor& tensor);
std::vector<MusaicTensor> to_abi(std::span<const Tensor> tensors);

// Metas as a callback gets them. They point into the ones that they are made of.
class AbiMetas {
 public:
  // nullptr: an absent argument. REQUIRES: ranks up to MUSAIC_MAX_RANK.
  explicit AbiMetas(std::span<const Meta* const> metas);
  AbiMetas(const AbiMetas&) = delete;

  const MusaicMeta* const* data() const { return pointers_.data(); }
  int32_t size() const { return static_cast<int32_t>(pointers_.size()); }

 private:
  std::deque<MusaicMeta> metas_;
  std::deque<std::string> devices_;
  std::vector<const MusaicMeta*> pointers_;
};

}  // namespace musaic
