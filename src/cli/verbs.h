#pragma once

#include "cli/platform.h"

namespace musaic {

// One function a verb; argv[0] is the verb. They load the plugins that their flags name, return the process's
// exit code and throw LoadError.
int run_serve(Platform& platform, int argc, char** argv);
int run_generate(Platform& platform, int argc, char** argv);
int run_chat(Platform& platform, int argc, char** argv);
int run_graph(Platform& platform, int argc, char** argv);
int run_explain(Platform& platform, int argc, char** argv);
int run_logits(Platform& platform, int argc, char** argv);
int run_ops(Platform& platform, int argc, char** argv);
int run_opcheck(Platform& platform, int argc, char** argv);
int run_eval(Platform& platform, int argc, char** argv);
int run_bench(Platform& platform, int argc, char** argv);

inline constexpr int kExitOk = 0;
inline constexpr int kExitLoad = 1;   // a model, a device or a port could not be had
inline constexpr int kExitUsage = 2;  // a flag or its value
inline constexpr int kExitDeviceLost = 3;

}  // namespace musaic
