// A layer norm over 23 features of 7 tokens, by hand from the shell as linear-relu-linear.mlir: mean and variance are reduced, gamma and beta are streamed;
// each gamma and each beta is one MAC per token, 2*7*23 = 322.
//
// RUN: rm -rf %t && mkdir %t
// RUN: %python %S/Inputs/models.py layer-norm %t
//
// DEFINE: %{machine} = tiny
// DEFINE: %{precision} = f16
// DEFINE: %{tolerance} = 4e-3
// DEFINE: %{d} = %t/%{machine}-%{precision}
// DEFINE: %{compile-and-run} = mkdir %{d} && \
// DEFINE:   wafer-opt %s --wafer-pipeline="machine=%{machine} precision=%{precision}" -mlir-print-debuginfo -o %{d}/model.wafer.mlir && \
// DEFINE:   wafer-translate --wafer-to-wexe %{d}/model.wafer.mlir -o %{d}/model.wexe && \
// DEFINE:   wafer-objdump %{d}/model.wexe | wafer-objdump --assemble - -o %{d}/again.wexe && cmp %{d}/model.wexe %{d}/again.wexe && \
// DEFINE:   wafer-run %{d}/again.wexe --weights %t/weights.safetensors --input x=%t/x.npy --output-dir %{d}/functional --stats %{d}/functional.json && \
// DEFINE:   wafer-run %{d}/again.wexe --weights %t/weights.safetensors --input x=%t/x.npy --output-dir %{d}/cycle --engine cycle --stats %{d}/cycle.json && \
// DEFINE:   cmp %{d}/functional/y.npy %{d}/cycle/y.npy && %python %S/Inputs/compare.py %t/y.npy %{d} %{tolerance} 322 | FileCheck %s
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
#token = affine_map<(t, n) -> (t, 0)>

func.func @forward(%x: tensor<7x23xf32> {graph.name = "x", graph.role = "input"}, %gamma: tensor<23xf32> {graph.name = "ln.weight", graph.role = "parameter"},
                   %beta: tensor<23xf32> {graph.name = "ln.bias", graph.role = "parameter"}) -> (tensor<7x23xf32> {graph.name = "y"}) {
  %zero = arith.constant 0.0 : f32
  %features = arith.constant 23.0 : f32
  %epsilon = arith.constant 1.0e-5 : f32
  %e1 = tensor.empty() : tensor<7xf32>
  %e = tensor.empty() : tensor<7x23xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%e1 : tensor<7xf32>) -> tensor<7xf32>
  %sum = linalg.reduce { arith.addf } ins(%x : tensor<7x23xf32>) outs(%zeros : tensor<7xf32>) dimensions = [1]
  %sum2 = tensor.expand_shape %sum [[0, 1]] output_shape [7, 1] : tensor<7xf32> into tensor<7x1xf32>
  %centred = linalg.generic {indexing_maps = [#id, #token, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %sum2 : tensor<7x23xf32>, tensor<7x1xf32>) outs(%e : tensor<7x23xf32>) {
  ^bb0(%a: f32, %s: f32, %o: f32):
    %mean = arith.divf %s, %features : f32
    %r = arith.subf %a, %mean : f32
    linalg.yield %r : f32
  } -> tensor<7x23xf32>
  %square = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%centred : tensor<7x23xf32>) outs(%e : tensor<7x23xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.mulf %a, %a : f32
    linalg.yield %r : f32
  } -> tensor<7x23xf32>
  %variance = linalg.reduce { arith.addf } ins(%square : tensor<7x23xf32>) outs(%zeros : tensor<7xf32>) dimensions = [1]
  %variance2 = tensor.expand_shape %variance [[0, 1]] output_shape [7, 1] : tensor<7xf32> into tensor<7x1xf32>
  %y = linalg.generic {indexing_maps = [#id, #token, #row, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%centred, %variance2, %gamma, %beta : tensor<7x23xf32>, tensor<7x1xf32>, tensor<23xf32>, tensor<23xf32>) outs(%e : tensor<7x23xf32>) {
  ^bb0(%a: f32, %v: f32, %g: f32, %b: f32, %o: f32):
    %mean = arith.divf %v, %features : f32
    %shifted = arith.addf %mean, %epsilon : f32
    %scale = math.rsqrt %shifted : f32
    %normal = arith.mulf %a, %scale : f32
    %scaled = arith.mulf %normal, %g : f32
    %r = arith.addf %scaled, %b : f32
    linalg.yield %r : f32
  } -> tensor<7x23xf32>
  return %y : tensor<7x23xf32>
}
