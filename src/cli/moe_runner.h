#pragma once

#include <string>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace musaic {

// --moe-runner-backend: which kernels multiply experts. There is one set of them; `deepgemm` makes rows lie
// as DeepGEMM's want them (contiguous blocks to extend, masked ones to decode), every other name close
// together.
CLI::Option* add_moe_runner_flag(CLI::App& app, std::string& moe_runner);
bool uses_deepgemm_layouts(const std::string& moe_runner);

}  // namespace musaic
