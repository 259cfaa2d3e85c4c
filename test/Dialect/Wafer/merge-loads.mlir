// RUN: wafer-opt %s --wafer-pipeline-stream="machine=odd precision=f32" | wafer-opt --convert-stream-to-wafer | wafer-opt --wafer-merge-loads | FileCheck %s

#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#id = affine_map<(t, n) -> (t, n)>

// Two layers of one shape with work in MemoryX between them have one load, whose code says nothing of which weights it gets; the third is wider.
// CHECK-LABEL: wafer.program @repeated
// CHECK: wafer.image @[[FIRST:[a-z.]+]] command @wafer.command
// CHECK: wafer.image @[[WIDE:[a-z_0-9.]+]] command @wafer.command load 1
// CHECK-NOT: wafer.image
// CHECK: wafer.phase
// CHECK-NOT: load
// CHECK: wafer.contract @fc1.weight {{.*}} own @[[FIRST]]::@[[OWN:.*]]
// CHECK: wafer.phase
// CHECK-NOT: load
// CHECK: wafer.contract @fc2.weight {{.*}} own @[[FIRST]]::@[[OWN]]
// CHECK: wafer.phase {{.*}} load 1
// CHECK: wafer.contract @fc3.weight {{.*}} own @[[WIDE]]::
func.func @repeated(%x: tensor<3x5xf32> {graph.name = "x"}, %w1: tensor<5x5xf32> {graph.name = "fc1.weight", graph.role = "parameter"},
                    %w2: tensor<5x5xf32> {graph.name = "fc2.weight", graph.role = "parameter"},
                    %w3: tensor<9x5xf32> {graph.name = "fc3.weight", graph.role = "parameter"}) -> tensor<3x9xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x5xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<3x5xf32>) -> tensor<3x5xf32>
  %1 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w1 : tensor<3x5xf32>, tensor<5x5xf32>) outs(%z : tensor<3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %p = arith.mulf %a, %b : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<3x5xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%1 : tensor<3x5xf32>) outs(%e : tensor<3x5xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = math.atan %a : f32
    linalg.yield %t : f32
  } -> tensor<3x5xf32>
  %3 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%2, %w2 : tensor<3x5xf32>, tensor<5x5xf32>) outs(%z : tensor<3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %p = arith.mulf %a, %b : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<3x5xf32>
  %4 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%3 : tensor<3x5xf32>) outs(%e : tensor<3x5xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = math.atan %a : f32
    linalg.yield %t : f32
  } -> tensor<3x5xf32>
  %e9 = tensor.empty() : tensor<3x9xf32>
  %z9 = linalg.fill ins(%zero : f32) outs(%e9 : tensor<3x9xf32>) -> tensor<3x9xf32>
  %5 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%4, %w3 : tensor<3x5xf32>, tensor<9x5xf32>) outs(%z9 : tensor<3x9xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %p = arith.mulf %a, %b : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<3x9xf32>
  return %5 : tensor<3x9xf32>
}
