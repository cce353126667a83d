#pragma once

#include <prometheus/metric_family.h>

#include <map>
#include <string>
#include <vector>

#include "metrics/request_metrics.h"

namespace musaic {

// The engine's gauges and counters as Prometheus families, each series with `labels`.
std::vector<prometheus::MetricFamily> snapshot_families(const MetricsSnapshot& snapshot,
                                                        const std::map<std::string, std::string>& labels);

}  // namespace musaic
