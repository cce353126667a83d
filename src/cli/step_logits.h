#pragma once

#include <vector>

#include "cli/model_session.h"

namespace musaic {

// Runs a step and writes the logits of its rows, [rows, vocab], into `logits`. Throws LoadError when the step
// fails. REQUIRES: the session is loaded; logits has room for every row.
void run_for_logits(ModelSession& session, const Batch& batch, std::vector<float>& logits);

}  // namespace musaic
