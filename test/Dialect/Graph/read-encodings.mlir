// RUN: wafer-opt %s -split-input-file -verify-diagnostics -graph-read-encodings | FileCheck %s

#csr = #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 : dense, d1 : compressed) }>
#two_of_four = #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 : dense, d1 floordiv 4 : dense, d1 mod 4 : structured[2, 4]) }>

// A promise about zeros becomes one on the argument; the types are dense. Of a structure half is kept, of others a quarter is expected.
// CHECK-LABEL: func.func @weights
// CHECK-SAME: %{{.*}}: tensor<8x8xf32> {graph.encoding = #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 : dense, d1 : compressed) }>, graph.nonzeros = 16 : i64, graph.role = "parameter"}
// CHECK-SAME: %{{.*}}: tensor<8x8xf32> {graph.encoding = #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 : dense, d1 floordiv 4 : dense, d1 mod 4 : structured[2, 4]) }>, graph.nonzeros = 32 : i64, graph.role = "parameter"}
// CHECK-SAME: %{{.*}}: tensor<8x8xf32> {graph.encoding = #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 : dense, d1 : compressed) }>, graph.nonzeros = 3 : i64, graph.role = "parameter"}
// CHECK-SAME: -> tensor<8x8xf32>
// CHECK: linalg.add ins(%{{.*}}, %{{.*}} : tensor<8x8xf32>, tensor<8x8xf32>)
func.func @weights(%a: tensor<8x8xf32, #csr> {graph.role = "parameter"}, %b: tensor<8x8xf32, #two_of_four> {graph.role = "parameter"},
                   %c: tensor<8x8xf32, #csr> {graph.role = "parameter", graph.nonzeros = 3 : i64}) -> tensor<8x8xf32, #csr> {
  %init = tensor.empty() : tensor<8x8xf32, #csr>
  %sum = linalg.add ins(%a, %b : tensor<8x8xf32, #csr>, tensor<8x8xf32, #two_of_four>) outs(%init : tensor<8x8xf32, #csr>) -> tensor<8x8xf32, #csr>
  return %sum : tensor<8x8xf32, #csr>
}

// -----

#csr = #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 : dense, d1 : compressed) }>

func.func @storage(%a: tensor<8x8xf32, #csr> {graph.role = "parameter"}) -> tensor<8x8xf32> {
  // expected-error @below {{found 'sparse_tensor.convert', expected no operation on the storage of sparse tensors}}
  %b = sparse_tensor.convert %a : tensor<8x8xf32, #csr> to tensor<8x8xf32>
  return %b : tensor<8x8xf32>
}
