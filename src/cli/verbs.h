#pragma once

#include "cli/platform.h"

namespace musaic {

// One function a verb; argv[0] is the verb. They return the process's exit code and throw LoadError.
int run_serve(const Platform& platform, int argc, char** argv);
int run_generate(const Platform& platform, int argc, char** argv);
int run_chat(const Platform& platform, int argc, char** argv);
int run_graph(const Platform& platform, int argc, char** argv);
int run_ops(const Platform& platform, int argc, char** argv);
int run_eval(const Platform& platform, int argc, char** argv);
int run_bench(const Platform& platform, int argc, char** argv);

inline constexpr int kExitOk = 0;
inline constexpr int kExitLoad = 1;   // a model, a device or a port could not be had
inline constexpr int kExitUsage = 2;  // a flag or its value

}  // namespace musaic
