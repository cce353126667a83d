#include "cli/step_logits.h"

#include <algorithm>

#include "base/status.h"

namespace musaic {

void run_for_logits(ModelSession& session, const Batch& batch, std::vector<float>& logits) {
  GraphRunner& runner = session.runner();
  const auto vocab = static_cast<size_t>(runner.limits().vocab_size);
  runner.observe_logits([&](std::span<const HeadRow> rows, const float* chunk) {
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(chunk + i * vocab, vocab, logits.data() + static_cast<size_t>(rows[i].hidden_row) * vocab);
  });
  const auto output = runner.collect(runner.launch(batch));
  if (!output.ok()) fail_load("a step failed: {}", output.status().message());
}

}  // namespace musaic
