#pragma once

#include <span>
#include <string>

#include "ir/cost.h"

namespace musaic {

// What the verb and the running server leave open when a program is explained. Each throws LoadError: what
// was asked and what there is.

// "tokens" of extend, "sequences" of decode, "rows" of the others.
std::string bucket_dimension(const std::string& graph);
// `asked` if it is a bucket. -1: the largest of extend, the smallest of the others.
int choose_bucket(const std::string& graph, int asked, std::span<const int> buckets);
// One sequence of `bucket` tokens, or `bucket` sequences of one, after `past` positions in the cache. -1:
// none for extend, 1,024 (as far as the context goes) for decode.
StepExtent choose_extent(const std::string& graph, int bucket, int past, int max_context);

}  // namespace musaic
