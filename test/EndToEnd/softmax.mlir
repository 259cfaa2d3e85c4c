// A softmax over 10 features of 9 tokens, by hand from the shell as linear-relu-linear.mlir: two reductions over columns and
// the maps between them. No MACs, no weights.
//
// RUN: rm -rf %t && mkdir %t
// RUN: %python %S/Inputs/models.py softmax %t
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
// DEFINE:   cmp %{d}/functional/y.npy %{d}/cycle/y.npy && %python %S/Inputs/compare.py %t/y.npy %{d} %{tolerance} 0 | FileCheck %s
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
#token = affine_map<(t, n) -> (t, 0)>

func.func @forward(%x: tensor<9x10xf32> {graph.name = "x", graph.role = "input"}) -> (tensor<9x10xf32> {graph.name = "y"}) {
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %e1 = tensor.empty() : tensor<9xf32>
  %e = tensor.empty() : tensor<9x10xf32>
  %least = linalg.fill ins(%lowest : f32) outs(%e1 : tensor<9xf32>) -> tensor<9xf32>
  %max = linalg.reduce { arith.maximumf } ins(%x : tensor<9x10xf32>) outs(%least : tensor<9xf32>) dimensions = [1]
  %max2 = tensor.expand_shape %max [[0, 1]] output_shape [9, 1] : tensor<9xf32> into tensor<9x1xf32>
  %exp = linalg.generic {indexing_maps = [#id, #token, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %max2 : tensor<9x10xf32>, tensor<9x1xf32>) outs(%e : tensor<9x10xf32>) {
  ^bb0(%a: f32, %m: f32, %o: f32):
    %s = arith.subf %a, %m : f32
    %r = math.exp %s : f32
    linalg.yield %r : f32
  } -> tensor<9x10xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%e1 : tensor<9xf32>) -> tensor<9xf32>
  %sum = linalg.reduce { arith.addf } ins(%exp : tensor<9x10xf32>) outs(%zeros : tensor<9xf32>) dimensions = [1]
  %sum2 = tensor.expand_shape %sum [[0, 1]] output_shape [9, 1] : tensor<9xf32> into tensor<9x1xf32>
  %y = linalg.generic {indexing_maps = [#id, #token, #id], iterator_types = ["parallel", "parallel"]}
      ins(%exp, %sum2 : tensor<9x10xf32>, tensor<9x1xf32>) outs(%e : tensor<9x10xf32>) {
  ^bb0(%a: f32, %s: f32, %o: f32):
    %r = arith.divf %a, %s : f32
    linalg.yield %r : f32
  } -> tensor<9x10xf32>
  return %y : tensor<9x10xf32>
}
