#include "plugin/abi_meta.h"

#include "base/check.h"
#include "plugin/abi_dtype.h"

namespace musaic {

static_assert(Shape::kMaxRank == MUSAIC_MAX_RANK);

MusaicTensor to_abi(const Tensor& tensor) {
  MusaicTensor out{};
  out.data = tensor.data;
  out.dtype = to_abi(tensor.dtype);
  out.rank = tensor.shape.rank();
  for (int i = 0; i < tensor.shape.rank(); ++i) {
    out.shape[i] = tensor.shape[i];
    out.strides[i] = tensor.strides[i];
  }
  return out;
}

std::vector<MusaicTensor> to_abi(std::span<const Tensor> tensors) {
  std::vector<MusaicTensor> out;
  out.reserve(tensors.size());
  for (const Tensor& tensor : tensors) out.push_back(to_abi(tensor));
  return out;
}

AbiMetas::AbiMetas(std::span<const Meta* const> metas) {
  for (const Meta* meta : metas) {
    pointers_.push_back(nullptr);
    if (meta == nullptr) continue;
    CHECK(meta->rank() <= MUSAIC_MAX_RANK, "rank {}", meta->rank());
    MusaicMeta& out = metas_.emplace_back();
    out.dtype = to_abi(meta->dtype);
    out.rank = meta->rank();
    for (size_t i = 0; i < meta->shape.size(); ++i) {
      out.shape[i] = to_abi(meta->shape[i]);
      out.strides[i] = to_abi(meta->strides[i]);
    }
    out.device = devices_.emplace_back(to_string(meta->device)).c_str();
    pointers_.back() = &out;
  }
}

}  // namespace musaic
