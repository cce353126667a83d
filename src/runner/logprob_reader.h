#pragma once

#include <span>

#include "device/backend.h"
#include "request/batch.h"
#include "runner/head_writer.h"
#include "runner/io_buffers.h"

namespace musaic {

// Reads what the log-probabilities' graph gave for a chunk of rows into the output of the rows' sequences.
// `tokens` are the drawn ones, one a row.
void read_logprobs(Backend& backend, const IoBuffers& buffers, const Batch& batch,
                   std::span<const HeadRow> rows, std::span<const TokenId> tokens, StepOutput& output);

}  // namespace musaic
