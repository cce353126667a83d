#include "ir/rename_device.h"

namespace musaic {

Graph rename_device(Graph graph, const Device& device) {
  for (GraphValue& value : graph.values) {
    if (value.meta.device == graph.device) value.meta.device = device;
  }
  graph.device = device;
  return graph;
}

}  // namespace musaic
