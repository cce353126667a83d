#include "ir/overlap.h"

#include <optional>

namespace musaic {
namespace {

// The part of each row of a storage that a value lies in.
struct Columns {
  int64_t row_stride;
  int64_t begin;
  int64_t end;
};

// nullopt: not a part of rows, or of none known now.
std::optional<Columns> columns_of(const GraphValue& value) {
  const Meta& meta = value.meta;
  if (meta.rank() < 2 || !value.offset.is_constant() || !meta.strides[0].is_constant()) return std::nullopt;
  int64_t width = 1;  // of a row, whose inner dimensions are contiguous
  for (int axis = meta.rank() - 1; axis > 0; --axis) {
    if (!(meta.strides[axis] == Dim(width)) || !meta.shape[axis].is_constant()) return std::nullopt;
    width *= meta.shape[axis].constant();
  }
  const int64_t row_stride = meta.strides[0].constant();
  if (row_stride < width) return std::nullopt;
  const int64_t begin = value.offset.constant() % (row_stride > 0 ? row_stride : 1);
  if (begin + width > row_stride) return std::nullopt;
  return Columns{row_stride, begin, begin + width};
}

}  // namespace

bool overlaps(const GraphValue& a, const GraphValue& b) {
  if (a.storage != b.storage) return false;
  const auto one = columns_of(a);
  const auto other = columns_of(b);
  if (!one || !other || one->row_stride != other->row_stride) return true;
  return one->begin < other->end && other->begin < one->end;
}

}  // namespace musaic
