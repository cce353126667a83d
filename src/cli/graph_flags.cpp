#include <fmt/format.h>

#include "cli/serve_flags.h"

namespace musaic {

void add_graph_flags(CLI::App& app, GraphArguments& graphs) {
  const CLI::Validator at_least_one = in_range(1, 1 << 30);
  FlagGroup group(app, "Captured programs (SGLang's names; on every device)");
  group.add_option("--cuda-graph-backend-decode", graphs.decode_backend,
                   "full (default), breakable, piecewise (tc_piecewise) or disabled");
  group.add_option("--cuda-graph-backend-prefill", graphs.prefill_backend,
                   "the same for prompts; default: piecewise");
  group
      .add_option("--cuda-graph-bs-decode", graphs.decode_sizes,
                  "batch sizes to capture; default: 1 2 4 8 12 16, then by 8")
      ->expected(1, 4096)
      ->check(at_least_one);
  group
      .add_option("--cuda-graph-bs-prefill", graphs.prefill_sizes,
                  "token counts to capture; default: steps that grow with the size")
      ->expected(1, 4096)
      ->check(at_least_one);
  group.add_option("--cuda-graph-max-bs-decode", graphs.max_decode, "default: --max-running-requests")
      ->check(at_least_one);
  group.add_option("--cuda-graph-max-bs-prefill", graphs.max_prefill, "default: the chunk's size")
      ->check(at_least_one);
  group.add_option("--cuda-graph-config", graphs.config,
                   R"(JSON: {"decode": {"backend", "bs", "max_bs"}, "prefill": {...}})");
  group.add_flag("--disable-decode-cuda-graph", graphs.disable_decode, "decode eagerly");
  group.add_flag("--disable-prefill-cuda-graph", graphs.disable_prefill, "run prompts eagerly");
  group
      .add_option("--capture", graphs.capture,
                  "default: lazy, in idle gaps or at first use; eager: before /health is 200")
      ->check(CLI::IsMember({"lazy", "eager"}));
  group.add_option(
      "--graph-memory-budget", graphs.memory_budget,
      "bytes of all captures, such as 64M; beyond them a GPU's pieces share executables, and steps on a CPU "
      "run eagerly; default: unlimited");
  group
      .add_option("--graph-executable-budget", graphs.executable_budget,
                  "captured pieces that a GPU's driver holds ready at once, the rest take turns; 0: all; "
                  "default: all on cuda, 2000 on musa")
      ->check(in_range(0, 1 << 30));
  group
      .add_option("--graph-verify", graphs.verify,
                  "share of the replayed steps, 0 to 1, that is compared with an eager run; default: 0")
      ->check(in_range(0.0, 1.0));
  group.add_flag("--debug-cuda-graph", graphs.debug, "as --graph-verify 1");
  group.add_option("--cuda-graph-bs", graphs.sizes, "as --cuda-graph-bs-decode")
      ->expected(1, 4096)
      ->check(at_least_one);
  group.add_option("--cuda-graph-max-bs", graphs.max_size, "as --cuda-graph-max-bs-decode")
      ->check(at_least_one);
  group.add_flag("--disable-cuda-graph", graphs.disable_all, "run all steps eagerly");
  group.add_flag("--disable-cuda-graph-padding", graphs.disable_padding,
                 "replay only batches of exactly a captured size");
  group.add_option("--piecewise-cuda-graph-tokens", graphs.piecewise_tokens, "as --cuda-graph-bs-prefill")
      ->expected(1, 4096)
      ->check(at_least_one);
  group
      .add_option("--piecewise-cuda-graph-max-tokens", graphs.piecewise_max_tokens,
                  "as --cuda-graph-max-bs-prefill")
      ->check(at_least_one);
  group.add_option("--piecewise-cuda-graph-compiler", graphs.compiler, "accepted; no compiler runs")
      ->check(CLI::IsMember({"eager", "inductor"}));
  group.add_flag("--disable-piecewise-cuda-graph", graphs.disable_piecewise,
                 "as --disable-prefill-cuda-graph");
  group.add_flag("--enable-piecewise-cuda-graph", graphs.enable_piecewise,
                 "as --cuda-graph-backend-prefill piecewise");
  group.add_flag("--enforce-piecewise-cuda-graph", graphs.enforce_piecewise,
                 "as --cuda-graph-backend-prefill piecewise");
}

void note_compiler(const GraphRequest& request, std::vector<std::string>& notes) {
  if (request.compiler.empty()) return;
  notes.push_back(fmt::format(
      "--piecewise-cuda-graph-compiler {}: Musaic traces its own graph and captures it; no compiler runs",
      request.compiler));
}

}  // namespace musaic
