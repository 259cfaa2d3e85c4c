// One layer, y = relu(x W^T + b), through every level down to its numbers. docs/guides/how-a-layer-travels.md quotes what the tools make of this file.
//
// RUN: rm -rf %t && mkdir %t
// RUN: wafer-opt %s --wafer-pipeline-graph | FileCheck %s --check-prefix=GRAPH
// RUN: wafer-opt %s --wafer-pipeline="machine=tiny" | wafer-translate --wafer-to-wexe - -o %t/layer.wexe
// RUN: %python %S/../Tools/wafer-run/Inputs/tensors.py safetensors %t/weight.safetensors fc.weight 4x8 1 1 1 1 1 1 1 1  1 -1 1 -1 1 -1 1 -1  1 2 3 4 5 6 7 8  -1 0 0 0 0 0 0 0.5
// RUN: %python %S/../Tools/wafer-run/Inputs/tensors.py safetensors %t/bias.safetensors fc.bias 4 0.5 0 -1 0
// RUN: %python %S/../Tools/wafer-run/Inputs/tensors.py npy %t/x.npy 4x8 1 0 0 0 0 0 0 0  1 1 1 1 1 1 1 1  0 0 0 0 0 0 0 2  1 2 3 4 5 6 7 8
// RUN: wafer-run %t/layer.wexe --weights %t/weight.safetensors --weights %t/bias.safetensors --input x=%t/x.npy --output-dir %t --engine cycle
// RUN: %python %S/../Tools/wafer-run/Inputs/tensors.py print %t/output.npy | FileCheck %s --check-prefix=NUMBERS
//
// The whole layer is on the wafer, so nothing but the schedule is left for MemoryX to do.
// GRAPH: graph.layer "fc" on <wafer>
// GRAPH-NOT: <memoryx>
//
// NUMBERS: (4, 4) 1.5 1.0 0.0 0.0 8.5 0.0 35.0 0.0 2.5 0.0 15.0 1.0 36.5 0.0 203.0 3.0

#tokens_in = affine_map<(t, n, k) -> (t, k)>
#weights = affine_map<(t, n, k) -> (n, k)>
#tokens_out = affine_map<(t, n, k) -> (t, n)>
#all = affine_map<(t, n) -> (t, n)>
#per_feature = affine_map<(t, n) -> (n)>

func.func @forward(%w: tensor<4x8xf32> {graph.name = "fc.weight", graph.role = "parameter"}, %b: tensor<4xf32> {graph.name = "fc.bias", graph.role = "parameter"},
                   %x: tensor<4x8xf32> {graph.name = "x", graph.role = "input"}) -> (tensor<4x4xf32> {graph.name = "output"}) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x4xf32>
  %none = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x4xf32>) -> tensor<4x4xf32>
  %product = linalg.generic {indexing_maps = [#tokens_in, #weights, #tokens_out], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<4x8xf32>, tensor<4x8xf32>) outs(%none : tensor<4x4xf32>) {
  ^bb0(%a: f32, %c: f32, %sum: f32):
    %m = arith.mulf %a, %c : f32
    %s = arith.addf %sum, %m : f32
    linalg.yield %s : f32
  } -> tensor<4x4xf32>
  %y = linalg.generic {indexing_maps = [#all, #per_feature, #all], iterator_types = ["parallel", "parallel"]}
      ins(%product, %b : tensor<4x4xf32>, tensor<4xf32>) outs(%empty : tensor<4x4xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    %r = arith.maximumf %s, %zero : f32
    linalg.yield %r : f32
  } -> tensor<4x4xf32>
  return %y : tensor<4x4xf32>
}
