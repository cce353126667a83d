#include "program/explain/svg_canvas.h"

namespace musaic {

// Colours are written out rather than as variables: some renderers know none.
std::string_view svg_style() {
  return R"(text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
.h1 { font-size: 22px; font-weight: 600; } .h2 { font-size: 15px; font-weight: 600; } .value { font-size: 20px; font-weight: 600; }
.soft { fill: #63686e; } .small { font-size: 11px; } .on { fill: #fff; font-weight: 600; } .warn { fill: #b3261e; }
.mono { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 10.5px; }
.page { fill: #faf9f7; } .card, .tile { fill: #fff; stroke: #e2ded6; } .frame { fill: #f1eee8; stroke: #b9b3a8; stroke-dasharray: 5 4; }
.track { fill: #efece6; } .axis { stroke: #8a8f98; } .grid { stroke: #e2ded6; } .flow { stroke: #8a8f98; stroke-width: 2; }
.live { fill: none; stroke: #1f2328; stroke-width: 1.2; opacity: .75; } .peak { stroke: #b3261e; stroke-dasharray: 3 3; }
.hit { fill: transparent; } .chosen { fill: none; stroke: #1f2328; }
.cell { stroke: #faf9f7; stroke-width: .6; } .hatch { fill: url(#hatch); } .stripe { fill: #fff; opacity: .28; }
.p0 { fill: #0d8577; } .p1 { fill: #3f6fd8; } .p2 { fill: #b96a08; } .p3 { fill: #8f4fc4; } .p4 { fill: #c0453f; } .p5 { fill: #4c8530; }
.p6 { fill: #b3417c; } .p7 { fill: #566b8a; } .brk { fill: #70757d; }
@media (prefers-color-scheme: dark) {
text { fill: #e6e4e0; } .soft { fill: #a2a7ad; } .on { fill: #fff; } .warn { fill: #ff8a80; }
.page { fill: #16181a; } .card, .tile { fill: #1e2124; stroke: #363a3f; } .frame { fill: #1a1d20; stroke: #565b61; }
.track { fill: #2a2e32; } .axis { stroke: #757b82; } .grid { stroke: #2d3136; } .flow { stroke: #757b82; }
.live { stroke: #f2f0ec; } .chosen { stroke: #e6e4e0; } .peak { stroke: #ff8a80; } .cell { stroke: #16181a; } .stripe { fill: #16181a; opacity: .4; }
.p0 { fill: #119684; } .p1 { fill: #4c7ce6; } .p2 { fill: #c57a1c; } .p3 { fill: #9d62d0; } .p4 { fill: #cc5650; } .p5 { fill: #5a963d; }
.p6 { fill: #c05089; } .p7 { fill: #677d9e; } .brk { fill: #5d636b; }
}
)";
}

}  // namespace musaic
