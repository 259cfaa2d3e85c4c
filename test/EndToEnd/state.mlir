// Two entries with a state in common, from the shell: what one run leaves, the next begins with.
//
// RUN: rm -rf %t && mkdir %t
// RUN: wafer-opt %s --wafer-pipeline="machine=tiny precision=f32" -o %t/m.mlir
// RUN: wafer-translate --wafer-to-wexe %t/m.mlir -o %t/m.wexe
// RUN: %python -c "import numpy; numpy.save('%t/x.npy', numpy.array([[1, 2]], numpy.float32))"
// RUN: not wafer-run %t/m.wexe --input x=%t/x.npy --output-dir %t/out 2>&1 | FileCheck %s --check-prefix=WHICH
// RUN: not wafer-run %t/m.wexe --entry sub --input x=%t/x.npy --output-dir %t/out 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: wafer-run %t/m.wexe --entry add --input x=%t/x.npy --output-dir %t/1 --save-state %t/1.safetensors | FileCheck %s --check-prefix=SAVED
// RUN: wafer-run %t/m.wexe --entry add --input x=%t/x.npy --output-dir %t/2 --state %t/1.safetensors --save-state %t/2.safetensors --engine cycle
// RUN: wafer-run %t/m.wexe --entry read --output-dir %t/3 --state %t/2.safetensors
// RUN: %python -c "import numpy; print(numpy.load('%t/3/now.npy').tolist())" | FileCheck %s --check-prefix=NOW
//
// The same program again from its IR.
// RUN: wafer-translate --wexe-to-wafer %t/m.wexe -o %t/back.mlir
// RUN: FileCheck %s --check-prefix=BACK --input-file %t/back.mlir
// RUN: wafer-translate --wafer-to-wexe %t/back.mlir -o %t/back.wexe
// RUN: cmp %t/m.wexe %t/back.wexe
//
// WHICH: error: the program has 2 entries (add, read), expected one; name one with --entry
// UNKNOWN: error: the program has no entry 'sub'; it has 2 (add, read)
// SAVED: wrote: {{.*}}1.safetensors
// NOW: {{\[\[2.0, 4.0\]\]}}
// BACK: wafer.tensor @total <state> : tensor<1x2xf32>
// BACK: wafer.tensor @wafer.next.total <intermediate> : tensor<1x2xf32> updates @total

func.func @add(%x: tensor<1x2xf32> {graph.name = "x"}, %t: tensor<1x2xf32> {graph.name = "total", graph.role = "state"})
    -> (tensor<1x2xf32> {graph.name = "total", graph.role = "state"}) {
  %0 = arith.addf %x, %t : tensor<1x2xf32>
  return %0 : tensor<1x2xf32>
}
func.func @read(%t: tensor<1x2xf32> {graph.name = "total", graph.role = "state"}) -> (tensor<1x2xf32> {graph.name = "now"}) {
  return %t : tensor<1x2xf32>
}
