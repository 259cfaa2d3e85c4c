// RUN: wafer-opt %s --pass-pipeline="builtin.module(func.func(graph-form-layers,graph-partition))" -split-input-file | FileCheck %s

#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#id = affine_map<(t, n) -> (t, n)>

// Only the operation without an instruction leaves the wafer, and the reason names it, what it lacks and the user's line.
// CHECK-LABEL: func.func @layer_is_split(
// CHECK: %[[A:.*]] = graph.layer "fc" on <wafer>
// CHECK: linalg.generic
// CHECK: %[[B:.*]] = graph.layer "fc.1" on <memoryx> reason "'linalg.generic' at model.py:7: 'math.atan' has no wafer instruction"(%[[A]])
// CHECK: %[[C:.*]] = graph.layer "fc.2" on <wafer>(%[[B]])
// CHECK: linalg.tanh
// CHECK: return %[[C]]
func.func @layer_is_split(%x: tensor<3x5xf32>, %w: tensor<7x5xf32> {graph.name = "fc.weight", graph.role = "parameter"}) -> tensor<3x7xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x7xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<3x7xf32>) -> tensor<3x7xf32>
  %y = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<3x5xf32>, tensor<7x5xf32>) outs(%z : tensor<3x7xf32>) {
  ^bb0(%a: f32, %b: f32, %acc: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %acc, %m : f32
    linalg.yield %s : f32
  } -> tensor<3x7xf32>
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%y : tensor<3x7xf32>) outs(%e : tensor<3x7xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.atan %a : f32
    linalg.yield %s : f32
  } -> tensor<3x7xf32> loc("model.py":7:3)
  %t = linalg.tanh ins(%r : tensor<3x7xf32>) outs(%e : tensor<3x7xf32>) -> tensor<3x7xf32>
  return %t : tensor<3x7xf32>
}

// -----

// Of two activations one is streamed like a weight.
// CHECK-LABEL: func.func @two_activations
// CHECK: on <wafer>
// CHECK: linalg.matmul
func.func @two_activations(%x: tensor<3x5xf32>, %w: tensor<5x7xf32>) -> tensor<3x7xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x7xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<3x7xf32>) -> tensor<3x7xf32>
  %y = linalg.matmul ins(%x, %w : tensor<3x5xf32>, tensor<5x7xf32>) outs(%z : tensor<3x7xf32>) -> tensor<3x7xf32>
  return %y : tensor<3x7xf32>
}

// -----

// Weights are never kept, so a parameter that is no contraction's weight and not one number per feature goes to MemoryX with its operation.
// CHECK-LABEL: func.func @positions
// CHECK: on <memoryx> reason "'linalg.generic'{{.*}}: operand 1 is a parameter that is not one number per feature"
func.func @positions(%x: tensor<3x5xf32>, %p: tensor<3x5xf32> {graph.role = "parameter"}) -> tensor<3x5xf32> {
  %e = tensor.empty() : tensor<3x5xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(t, n) -> (t, n)>, affine_map<(t, n) -> (t, n)>, affine_map<(t, n) -> (t, n)>],
      iterator_types = ["parallel", "parallel"]} ins(%x, %p : tensor<3x5xf32>, tensor<3x5xf32>) outs(%e : tensor<3x5xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

// Each of these has no kernel for a reason of its own.
// CHECK-LABEL: func.func @product_of_features
// CHECK: reason "'linalg.reduce'{{.*}}: it does not combine by addf, maximumf or minimumf"
func.func @product_of_features(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  %one = arith.constant 1.0 : f32
  %e = tensor.empty() : tensor<3xf32>
  %ones = linalg.fill ins(%one : f32) outs(%e : tensor<3xf32>) -> tensor<3xf32>
  %y = linalg.reduce { arith.mulf } ins(%x : tensor<3x5xf32>) outs(%ones : tensor<3xf32>) dimensions = [1]
  return %y : tensor<3xf32>
}

// CHECK-LABEL: func.func @sum_of_tokens
// CHECK: reason "'linalg.reduce'{{.*}}: operand 0 is repeated along inner dimensions or has another order of dimensions"
func.func @sum_of_tokens(%x: tensor<3x5xf32>) -> tensor<5xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<5xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%e : tensor<5xf32>) -> tensor<5xf32>
  %y = linalg.reduce { arith.addf } ins(%x : tensor<3x5xf32>) outs(%zeros : tensor<5xf32>) dimensions = [0]
  return %y : tensor<5xf32>
}

// CHECK-LABEL: func.func @integers
// CHECK: reason "'linalg.add'{{.*}}: elements of type i64 are not stored on the wafer"
func.func @integers(%x: tensor<3x5xi64>) -> tensor<3x5xi64> {
  %e = tensor.empty() : tensor<3x5xi64>
  %y = linalg.add ins(%x, %x : tensor<3x5xi64>, tensor<3x5xi64>) outs(%e : tensor<3x5xi64>) -> tensor<3x5xi64>
  return %y : tensor<3x5xi64>
}

// CHECK-LABEL: func.func @transposed
// CHECK: reason "'linalg.transpose'{{.*}}: operand 0 is repeated along inner dimensions or has another order of dimensions"
func.func @transposed(%x: tensor<3x5xf32>) -> tensor<5x3xf32> {
  %e = tensor.empty() : tensor<5x3xf32>
  %y = linalg.transpose ins(%x : tensor<3x5xf32>) outs(%e : tensor<5x3xf32>) permutation = [1, 0]
  return %y : tensor<5x3xf32>
}

// CHECK-LABEL: func.func @repeated_along_tokens
// CHECK: reason "'linalg.broadcast'{{.*}}: it copies a tensor that MemoryX holds"
func.func @repeated_along_tokens(%m: tensor<5xf32>) -> tensor<3x5xf32> {
  %e = tensor.empty() : tensor<3x5xf32>
  %y = linalg.broadcast ins(%m : tensor<5xf32>) outs(%e : tensor<3x5xf32>) dimensions = [0]
  return %y : tensor<3x5xf32>
}

// A body that reads its tensor by index has no operand for it; what follows still depends on an input.
// CHECK-LABEL: func.func @after_reads_by_index
// CHECK: reason "'linalg.generic'{{.*}}: 'linalg.index' has no wafer instruction"
// CHECK-NOT: does not depend on an input
// CHECK: graph.layer "fc" on <wafer>
func.func @after_reads_by_index(%x: tensor<3x5xf32> {graph.name = "x", graph.role = "input"},
                                %w: tensor<7x5xf32> {graph.name = "fc.weight", graph.role = "parameter"}) -> tensor<3x7xf32> {
  %last = arith.constant 4 : index
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x5xf32>
  %flipped = linalg.generic {indexing_maps = [affine_map<(t, k) -> (t, k)>], iterator_types = ["parallel", "parallel"]} outs(%e : tensor<3x5xf32>) {
  ^bb0(%o: f32):
    %t = linalg.index 0 : index
    %k = linalg.index 1 : index
    %from = arith.subi %last, %k : index
    %value = tensor.extract %x[%t, %from] : tensor<3x5xf32>
    linalg.yield %value : f32
  } -> tensor<3x5xf32>
  %y = tensor.empty() : tensor<3x7xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%y : tensor<3x7xf32>) -> tensor<3x7xf32>
  %product = linalg.generic {indexing_maps = [affine_map<(t, n, k) -> (t, k)>, affine_map<(t, n, k) -> (n, k)>, affine_map<(t, n, k) -> (t, n)>],
                             iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%flipped, %w : tensor<3x5xf32>, tensor<7x5xf32>) outs(%zeros : tensor<3x7xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<3x7xf32>
  return %product : tensor<3x7xf32>
}

// CHECK-LABEL: func.func @reads_nothing
// CHECK: reason "'linalg.generic'{{.*}}: it does not depend on an input"
func.func @reads_nothing() -> tensor<3x5xf32> {
  %one = arith.constant 1.0 : f32
  %e = tensor.empty() : tensor<3x5xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(t, n) -> (t, n)>], iterator_types = ["parallel", "parallel"]} outs(%e : tensor<3x5xf32>) {
  ^bb0(%o: f32):
    linalg.yield %one : f32
  } -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

// A reshape is no work: the image is sent as the tokens and features that the next operation needs.
// CHECK-LABEL: func.func @image
// CHECK: on <wafer>
// CHECK: tensor.collapse_shape
// CHECK-NEXT: linalg.tanh
func.func @image(%x: tensor<3x2x5xf32>) -> tensor<3x10xf32> {
  %0 = tensor.collapse_shape %x [[0], [1, 2]] : tensor<3x2x5xf32> into tensor<3x10xf32>
  %e = tensor.empty() : tensor<3x10xf32>
  %1 = linalg.tanh ins(%0 : tensor<3x10xf32>) outs(%e : tensor<3x10xf32>) -> tensor<3x10xf32>
  return %1 : tensor<3x10xf32>
}

// -----

// What a body reads from outside counts as an input: the sum depends on it and runs on the wafer.
// CHECK-LABEL: func.func @read_in_a_body
// CHECK: on <memoryx> reason "'linalg.generic'
// CHECK: tensor.extract
// CHECK: on <wafer>
// CHECK: linalg.tanh
func.func @read_in_a_body(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %c4 = arith.constant 4 : index
  %e = tensor.empty() : tensor<3x5xf32>
  %0 = linalg.generic {indexing_maps = [affine_map<(t, n) -> (t, n)>], iterator_types = ["parallel", "parallel"]} outs(%e : tensor<3x5xf32>) {
  ^bb0(%o: f32):
    %t = linalg.index 0 : index
    %n = linalg.index 1 : index
    %m = arith.subi %c4, %n : index
    %v = tensor.extract %x[%t, %m] : tensor<3x5xf32>
    linalg.yield %v : f32
  } -> tensor<3x5xf32>
  %1 = linalg.tanh ins(%0 : tensor<3x5xf32>) outs(%e : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %1 : tensor<3x5xf32>
}
