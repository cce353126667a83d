#pragma once

#include <string>
#include <utility>
#include <vector>

#include "program/explain/explanation.h"

namespace musaic {

// Sentences and sums that the text and the picture share.

struct OpShare {
  std::string op;
  std::string kernels;  // of its nodes: "linear_q4_1_vnni, linear_q8_0_vnni"
  int nodes = 0;
  Work work;
};

std::string title_line(const Explanation& explanation);    // model · graph · bucket · device
std::string subject_line(const Explanation& explanation);  // what a step of it is
std::string roof_line(const Explanation& explanation);     // the roof with its figures
std::vector<std::pair<std::string, std::string>> totals(const Explanation& explanation);
std::vector<OpShare> shares_by_op(const Explanation& explanation);  // longest first
// What a pass did: "30 rewrites", "disabled", "nothing".
std::string pass_result(const PassReport& pass);
// What it did and left alone, without places: "left: musa has no aten::x (30 times)".
std::vector<std::string> remarks(const PassReport& pass);
std::string missing_line(const Explanation& explanation, const MissingKernels& missing);

}  // namespace musaic
