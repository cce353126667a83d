#pragma once

#include <optional>
#include <string>

#include "cli/machine_limits.h"
#include "cli/model_session.h"
#include "formats/json.h"

namespace musaic {

// What one `musaic bench` prints: rows of equal keys, with the circumstances above them.
struct BenchReport {
  std::string bench;
  int repetitions = 0;
  Json rows = Json::array();
};

struct BenchMachine {
  std::string instruction_set;  // that the kernels use
  int num_threads = 0;
  std::optional<MachineLimits> limits;  // when measured
};

Json to_json(const BenchReport& report, const BenchMachine& machine, const ModelSession& session);

// The circumstances, then the rows as an aligned table.
std::string to_text(const BenchReport& report, const BenchMachine& machine, const ModelSession& session);

// Rows of equal keys as aligned columns under their keys.
std::string format_table(const Json& rows);

}  // namespace musaic
