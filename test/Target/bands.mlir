// Bands of a grid come through the executable and back, and tools show them: three entries of 21 tokens, one above the other.
//
// RUN: rm -rf %t && mkdir %t
// RUN: wafer-opt %s --wafer-pipeline="machine=small precision=f16" -o %t/model.mlir
// RUN: FileCheck %s --input-file=%t/model.mlir
// RUN: wafer-translate --wafer-to-wexe %t/model.mlir -o %t/model.wexe
// RUN: wafer-translate --wexe-to-wafer %t/model.wexe -o %t/back.mlir
// RUN: FileCheck %s --input-file=%t/back.mlir
// RUN: wafer-translate --wafer-to-wexe %t/back.mlir -o %t/again.wexe
// RUN: cmp %t/model.wexe %t/again.wexe
// RUN: wafer-objdump --summary %t/model.wexe | FileCheck %s --check-prefix=DUMP
//
// CHECK: wafer.phase <x0 = 0, y0 = 0, columns = 6, rows = 9, groups = 1, token_block = 7, tokens = 63, micro_batches = 1, batches = 3, batches_at_once = 3, bands = 3>
// DUMP: on 1 groups of 6x9 cores in 3 bands, 7 tokens per core, 63 tokens, 3 batch entries at a time

func.func @forward(%x: tensor<63x144xf32> {graph.name = "x", graph.role = "input"}) -> (tensor<63x48xf32> {graph.name = "output"}) {
  %0 = graph.attend heads 6 scale 5.000000e-01 causal batches 3 %x : tensor<63x144xf32> -> tensor<63x48xf32>
  return %0 : tensor<63x48xf32>
}
