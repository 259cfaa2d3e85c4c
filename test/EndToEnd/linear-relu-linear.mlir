// Two linear layers with biases around a relu, by hand from the shell: compile, translate, dump and assemble, run on both engines. No size divides: 13 features
// and 17 in between on 4, 7 and 16 columns, 11 tokens. The two contractions have 11*17*13 + 11*6*17 = 3553 products.
//
// RUN: rm -rf %t && mkdir %t
// RUN: %python %S/Inputs/models.py linear-relu-linear %t
//
// DEFINE: %{machine} = tiny
// DEFINE: %{precision} = f16
// DEFINE: %{tolerance} = 2e-3
// DEFINE: %{d} = %t/%{machine}-%{precision}
// DEFINE: %{compile-and-run} = mkdir %{d} && \
// DEFINE:   wafer-opt %s --wafer-pipeline="machine=%{machine} precision=%{precision}" -mlir-print-debuginfo -o %{d}/model.wafer.mlir && \
// DEFINE:   wafer-translate --wafer-to-wexe %{d}/model.wafer.mlir -o %{d}/model.wexe && \
// DEFINE:   wafer-objdump %{d}/model.wexe | wafer-objdump --assemble - -o %{d}/again.wexe && cmp %{d}/model.wexe %{d}/again.wexe && \
// DEFINE:   wafer-run %{d}/again.wexe --weights %t/weights.safetensors --input x=%t/x.npy --output-dir %{d}/functional --stats %{d}/functional.json && \
// DEFINE:   wafer-run %{d}/again.wexe --weights %t/weights.safetensors --input x=%t/x.npy --output-dir %{d}/cycle --engine cycle --stats %{d}/cycle.json && \
// DEFINE:   cmp %{d}/functional/y.npy %{d}/cycle/y.npy && %python %S/Inputs/compare.py %t/y.npy %{d} %{tolerance} 3553 | FileCheck %s
//
// RUN: %{compile-and-run}
// REDEFINE: %{machine} = odd
// RUN: %{compile-and-run}
// REDEFINE: %{machine} = small
// RUN: %{compile-and-run}
// REDEFINE: %{precision} = f32
// REDEFINE: %{tolerance} = 1e-6
// RUN: %{compile-and-run}
// REDEFINE: %{machine} = odd
// RUN: %{compile-and-run}
// REDEFINE: %{machine} = tiny
// RUN: %{compile-and-run}
//
// CHECK: ran in MemoryX: 0 phases

#id = affine_map<(t, n) -> (t, n)>
#row = affine_map<(t, n) -> (n)>
#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>

func.func @forward(%x: tensor<11x13xf32> {graph.name = "x", graph.role = "input"},
                   %w1: tensor<17x13xf32> {graph.name = "fc1.weight", graph.role = "parameter"}, %b1: tensor<17xf32> {graph.name = "fc1.bias", graph.role = "parameter"},
                   %w2: tensor<6x17xf32> {graph.name = "fc2.weight", graph.role = "parameter"}, %b2: tensor<6xf32> {graph.name = "fc2.bias", graph.role = "parameter"})
    -> (tensor<11x6xf32> {graph.name = "y"}) {
  %zero = arith.constant 0.0 : f32
  %e1 = tensor.empty() : tensor<11x17xf32>
  %z1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<11x17xf32>) -> tensor<11x17xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w1 : tensor<11x13xf32>, tensor<17x13xf32>) outs(%z1 : tensor<11x17xf32>) {
  ^bb0(%a: f32, %b: f32, %acc: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %acc, %m : f32
    linalg.yield %s : f32
  } -> tensor<11x17xf32>
  %1 = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0, %b1 : tensor<11x17xf32>, tensor<17xf32>) outs(%e1 : tensor<11x17xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    %r = arith.maximumf %s, %zero : f32
    linalg.yield %r : f32
  } -> tensor<11x17xf32>
  %e2 = tensor.empty() : tensor<11x6xf32>
  %z2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<11x6xf32>) -> tensor<11x6xf32>
  %2 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%1, %w2 : tensor<11x17xf32>, tensor<6x17xf32>) outs(%z2 : tensor<11x6xf32>) {
  ^bb0(%a: f32, %b: f32, %acc: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %acc, %m : f32
    linalg.yield %s : f32
  } -> tensor<11x6xf32>
  %3 = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%2, %b2 : tensor<11x6xf32>, tensor<6xf32>) outs(%e2 : tensor<11x6xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<11x6xf32>
  return %3 : tensor<11x6xf32>
}
