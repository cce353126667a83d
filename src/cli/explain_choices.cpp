#include "cli/explain_choices.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/status.h"
#include "program/buckets.h"

namespace musaic {
namespace {

constexpr int kUsualPast = 1024;  // of a decode step

}  // namespace

std::string bucket_dimension(const std::string& graph) {
  return graph == "extend" ? "tokens" : graph == "decode" ? "sequences" : "rows";
}

int choose_bucket(const std::string& graph, int asked, std::span<const int> buckets) {
  if (asked < 0) return graph == "extend" ? buckets.back() : buckets.front();
  const int holding = bucket_for(buckets, asked);
  if (holding == asked) return asked;
  const std::string there = fmt::format("there are: {}", fmt::join(buckets, " "));
  if (holding < 0)
    fail_load("bucket {}: above the largest of {}, {}; {}", asked, graph, buckets.back(), there);
  fail_load("bucket {}: no bucket of {}; {} {} run in bucket {}; {}", asked, graph, asked,
            bucket_dimension(graph), holding, there);
}

StepExtent choose_extent(const std::string& graph, int bucket, int past, int max_context) {
  const bool is_decode = graph == "decode";
  if (graph != "extend" && !is_decode) return {.sequences = bucket};
  const int step = is_decode ? 1 : bucket;
  const int most = std::max(0, max_context - step);
  if (past > most) {
    fail_load("past {}: with the step's {} token{} above the context of {} positions", past, step,
              step == 1 ? "" : "s", max_context);
  }
  const int usual = is_decode ? std::min(kUsualPast, most) : 0;
  return {.sequences = is_decode ? bucket : 1, .past = past < 0 ? usual : past};
}

}  // namespace musaic
