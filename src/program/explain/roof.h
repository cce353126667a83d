#pragma once

#include <span>
#include <string>
#include <vector>

namespace musaic {

// What a machine can do at most: no call is faster than its bytes and its operations at these rates.
struct Roof {
  std::string name;
  double bytes_per_second = 0.0;
  double float_ops_per_second = 0.0;  // of the matrix units at 16 bits where it has them, dense
  double int8_ops_per_second = 0.0;
  int graph_executables = 0;  // captured pieces that the driver holds ready at once; 0: as memory allows

  double seconds(double bytes, double float_ops, double int8_ops) const;
  // Whether the bytes take longer than the operations.
  bool waits_for_memory(double bytes, double float_ops, double int8_ops) const;
};

std::vector<Roof> named_roofs();

// A name, or own figures in GB/s and GFLOP/s: `38,300`, or `38,300,900` with int8 GOP/s, which are the
// GFLOP/s otherwise. Throws LoadError: what was given, and the names there are.
Roof parse_roof(const std::string& text);

// The machine that one thinks of first for a device type; the small CPU for types without one.
std::string usual_roof(const std::string& device_type);

}  // namespace musaic
