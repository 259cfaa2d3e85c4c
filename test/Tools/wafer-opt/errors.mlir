// Bad input is an error with its place, exit code 1, and no output file.
//
// RUN: rm -rf %t && split-file %s %t
// RUN: not wafer-opt %t/syntax.mlir --wafer-pipeline -o %t/out.mlir 2>&1 | FileCheck %s --check-prefix=SYNTAX
// SYNTAX: syntax.mlir:2:27: error: expected ')'
// RUN: not wafer-opt %t/types.mlir --wafer-pipeline -o %t/out.mlir 2>&1 | FileCheck %s --check-prefix=TYPES
// TYPES: types.mlir:3:3: error: type of return operand 0 ('tensor<3xf32>') doesn't match function result type
// RUN: not wafer-opt %t/unknown.mlir --wafer-pipeline -o %t/out.mlir 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: unknown.mlir:2:8: error: {{.*}}'wafer.matmul'
// RUN: not wafer-opt %t/none.mlir --wafer-pipeline -o %t/out.mlir 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: cannot open input file {{.*}}none.mlir
//
// RUN: not wafer-opt %t/good.mlir --wafer-pipeline="machine=huge" -o %t/out.mlir 2>&1 | FileCheck %s --check-prefix=MACHINE
// MACHINE: error: {{.*}}unknown machine 'huge', expected one of die, odd, small, tiny, wse2, wse3, or a path that ends in .json
// RUN: not wafer-opt %t/good.mlir --wafer-pipeline="machine=%t/broken.json" -o %t/out.mlir 2>&1 | FileCheck %s --check-prefix=JSON
// JSON: error: {{.*}}broken.json
// RUN: not wafer-opt %t/good.mlir --wafer-pipeline="precision=f8" -o %t/out.mlir 2>&1 | FileCheck %s --check-prefix=PRECISION
// PRECISION: error: found precision 'f8', expected f16, bf16 or f32
// RUN: not wafer-opt %t/good.mlir --wafer-pipeline="precsion=f16" -o %t/out.mlir 2>&1 | FileCheck %s --check-prefix=OPTION
// OPTION: no such option precsion
// RUN: not ls %t/out.mlir

//--- syntax.mlir
// The comma is missing.
func.func @forward(%x: f32 %y: f32) {
  return
}

//--- types.mlir
func.func @forward(%x: tensor<3xf32>) -> tensor<4xf32> {
  // The sizes differ.
  return %x : tensor<3xf32>
}

//--- unknown.mlir
func.func @forward(%x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = wafer.matmul %x : tensor<3xf32>
  return %0 : tensor<3xf32>
}

//--- broken.json
{"name": "broken", "width": 

//--- good.mlir
func.func @forward(%x: tensor<3xf32> {graph.name = "x"}) -> (tensor<3xf32> {graph.name = "y"}) {
  %0 = math.exp %x : tensor<3xf32>
  return %0 : tensor<3xf32>
}
