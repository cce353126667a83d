#pragma once

#include "program/weight_store.h"
#include "weights/weight_source.h"

namespace musaic {

// The rows of a graph's weight where the model's files hold them, its parts stacked along dimension 0. A
// vector counts as a column. REQUIRES: the parts were there when the graph was traced.
WeightRows read_weight_rows(const WeightSource& source, const GraphValue& weight);

// How the source makes those rows where they lie nowhere; empty: it has them. The source outlives it.
RowMaker weight_row_maker(const WeightSource& source, const GraphValue& weight);

// A reader of these weights: a source that makes its values has the target make them where it can. All
// outlive it.
WeightReader read_weights(const WeightSource& source, const Target& target, Backend& backend);

}  // namespace musaic
