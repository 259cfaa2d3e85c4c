// --wafer-pipeline goes from linalg to a machine program, and stops after a phase when asked to. A later phase goes on from the text of an earlier one.
//
// RUN: wafer-opt %s --wafer-pipeline-graph="machine=tiny" | FileCheck %s --check-prefix=GRAPH
// RUN: wafer-opt %s --wafer-pipeline-stream="machine=tiny precision=f32 decision-trace=%t.jsonl" -o %t.stream.mlir
// RUN: FileCheck %s --check-prefix=STREAM --input-file=%t.stream.mlir
// RUN: FileCheck %s --check-prefix=TRACE --input-file=%t.jsonl
// RUN: wafer-opt %s --wafer-pipeline="machine=tiny precision=f32" -o %t.wafer.mlir
// RUN: FileCheck %s --check-prefix=WAFER --input-file=%t.wafer.mlir
// RUN: wafer-opt %t.stream.mlir --pass-pipeline="builtin.module(convert-stream-to-wafer,wafer.program(wafer-place,wafer-route,wafer-assign-colors,wafer-allocate-sram))" | cmp - %t.wafer.mlir
//
// A machine may be the path of a description, and precision decides how values are stored.
// RUN: wafer-opt %s --wafer-pipeline-stream="machine=%machines/odd.json precision=bf16" | FileCheck %s --check-prefix=OTHER
//
// GRAPH: func.func @forward
// GRAPH: graph.layer "elementwise" on <wafer>
// GRAPH: math.exp
// STREAM: stream.program @forward machine "tiny"
// STREAM: stream.segment grid <
// STREAM: stream.send @x : tensor<3x5xf32, #stream.layout<
// TRACE: "chosen":true
// WAFER: wafer.program @forward machine "tiny"
// WAFER-NOT: wafer.channel
// WAFER: wafer.color @{{.*}} number 0
// WAFER: wafer.buffer {{.*}} at {{[0-9]+$}}
// WAFER: wafer.phase <x0 = 0, y0 = 0,
// WAFER: wafer.route
// WAFER: wafer.region
// OTHER: stream.program @forward machine "{{.*}}odd.json"
// OTHER: stream.send @x : tensor<3x5xbf16, #stream.layout<

#id = affine_map<(t, n) -> (t, n)>

func.func @forward(%x: tensor<3x5xf32> {graph.name = "x", graph.role = "input"}) -> (tensor<3x5xf32> {graph.name = "y"}) {
  %e = tensor.empty() : tensor<3x5xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<3x5xf32>) outs(%e : tensor<3x5xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.exp %a : f32
    linalg.yield %r : f32
  } -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
