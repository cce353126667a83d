#include "cli/size_defaults.h"

namespace musaic {
namespace {

// With experts, steps above compute much longer than their launches take.
constexpr int kMaxLatentGraphTokens = 2048;

}  // namespace

SizeDefaults size_defaults(const ModelConfig& config, bool on_gpu) {
  if (!on_gpu) return {};
  return {.max_running_requests = 256,
          .max_queued_requests = 4096,
          .chunked_prefill_size = 8192,
          .page_size = 64,
          .kv_dtype = DType::kBF16,
          .max_graph_tokens = config.latent_attention ? kMaxLatentGraphTokens : 0};
}

}  // namespace musaic
