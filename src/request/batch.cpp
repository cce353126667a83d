#include "request/batch.h"

#include <fmt/format.h>

#include <algorithm>

namespace musaic {

std::string describe(const StepRecord& record) {
  const char* kind = record.kind == StepKind::kDecode ? "decode" : "extend";
  const char* mode = record.replayed ? "replayed" : "eager";
  const int pad_rows = std::max(0, record.bucket - record.tokens);
  std::string text = fmt::format("{} bucket={} {} pad={}", kind, record.bucket, mode, pad_rows);
  if (!record.replayed && !record.reason.empty()) text += " reason=" + record.reason;
  if (!record.waited.empty()) text += " waited=" + record.waited;
  return text;
}

}  // namespace musaic
