// An executable is the wafer.program in other words: back and forth gives the same bytes, and the same text from then on.
//
// RUN: rm -rf %t && mkdir %t
// RUN: wafer-opt %s --wafer-pipeline="machine=odd precision=f16" -mlir-print-debuginfo -o %t/model.mlir
// RUN: wafer-translate --wafer-to-wexe %t/model.mlir -o %t/model.wexe
// RUN: wafer-translate --wexe-to-wafer %t/model.wexe -o %t/back.mlir
// RUN: wafer-translate --wafer-to-wexe %t/back.mlir -o %t/again.wexe
// RUN: cmp %t/model.wexe %t/again.wexe
// RUN: wafer-translate --wexe-to-wafer < %t/again.wexe | cmp - %t/back.mlir
// The same without lines of the model, where a call and its function stand on different lines of the text.
// RUN: wafer-opt %t/model.mlir -o %t/plain.mlir
// RUN: wafer-translate --wafer-to-wexe %t/plain.mlir -o %t/plain.wexe
// RUN: wafer-translate --wexe-to-wafer %t/plain.wexe | wafer-translate --wafer-to-wexe -o %t/plain-again.wexe
// RUN: cmp %t/plain.wexe %t/plain-again.wexe
// RUN: wafer-opt %t/back.mlir -mlir-print-debuginfo | wafer-opt | FileCheck %s
// RUN: wafer-objdump %t/model.wexe | FileCheck %s --check-prefix=DUMP
//
// Source lines and the names that a frontend gave survive, also of what runs in MemoryX.
// CHECK-LABEL: wafer.program @forward machine "odd"
// CHECK-DAG: wafer.tensor @fc.weight <weight> : tensor<4x5xf32>
// CHECK-DAG: wafer.tensor @y <output> : tensor<3x4xf32>
// CHECK: func.func
// CHECK: math.atan
// CHECK: wafer.image @{{.*}} command @[[COMMAND:.*]] {
// CHECK: wafer.region
// CHECK: wafer.route @[[COMMAND]] at
// CHECK: wafer.entry @forward [@x] -> [@y] {
// CHECK: wafer.phase
// CHECK: wafer.contract @fc.weight
// CHECK: wafer.call
//
// DUMP: report {{.*}}model.py:7
// DUMP: report {{.*}}model.py:9

#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#id = affine_map<(t, n) -> (t, n)>

func.func @forward(%x: tensor<3x5xf32> {graph.name = "x", graph.role = "input"}, %w: tensor<4x5xf32> {graph.name = "fc.weight", graph.role = "parameter"})
    -> (tensor<3x4xf32> {graph.name = "y"}) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x4xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<3x4xf32>) -> tensor<3x4xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<3x5xf32>, tensor<4x5xf32>) outs(%z : tensor<3x4xf32>) {
  ^bb0(%a: f32, %b: f32, %acc: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %acc, %m : f32
    linalg.yield %s : f32
  } -> tensor<3x4xf32> loc("linear"("model.py":7:3))
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%0 : tensor<3x4xf32>) outs(%e : tensor<3x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.atan %a : f32
    linalg.yield %s : f32
  } -> tensor<3x4xf32> loc("atan"("model.py":9:3))
  return %1 : tensor<3x4xf32>
}
