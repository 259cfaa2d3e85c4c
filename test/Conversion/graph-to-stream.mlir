// RUN: wafer-opt %s --pass-pipeline="builtin.module(func.func(graph-form-layers,graph-partition),convert-graph-to-stream{machine=odd})" -split-input-file | FileCheck %s

#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#id = affine_map<(t, n) -> (t, n)>
#row = affine_map<(t, n) -> (n)>

// A contraction takes the bias that is added to its result along; what follows is pointwise. Types stay f32, and there is no layout and no wire format yet.
// CHECK-LABEL: stream.program @linear machine "odd"
// CHECK-DAG: stream.tensor @x <input> : tensor<3x5xf32>
// CHECK-DAG: stream.tensor @fc.weight <weight> : tensor<7x5xf32>
// CHECK-DAG: stream.tensor @fc.bias <weight> : tensor<7xf32>
// CHECK-DAG: stream.tensor @output <output> : tensor<3x7xf32>
// CHECK: stream.segment {
// CHECK-NEXT: %[[X:.*]] = stream.send @x : tensor<3x5xf32>
// CHECK-NEXT: %[[Y:.*]] = stream.contract %[[X]], @fc.weight bias @fc.bias {column_stride = 1 : i64, offset = 0 : i64, row_stride = 5 : i64} : tensor<3x5xf32> -> tensor<3x7xf32>
// CHECK-NEXT: %[[Z:.*]] = stream.map %[[Y]]
// CHECK: math.tanh
// CHECK: stream.receive %[[Z]], @output : tensor<3x7xf32>
// CHECK-NOT: func.func
func.func @linear(%x: tensor<3x5xf32> {graph.name = "x"}, %w: tensor<7x5xf32> {graph.name = "fc.weight", graph.role = "parameter"},
                  %b: tensor<7xf32> {graph.name = "fc.bias", graph.role = "parameter"}) -> tensor<3x7xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x7xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<3x7xf32>) -> tensor<3x7xf32>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<3x5xf32>, tensor<7x5xf32>) outs(%z : tensor<3x7xf32>) {
  ^bb0(%a: f32, %c: f32, %acc: f32):
    %m = arith.mulf %a, %c : f32
    %s = arith.addf %acc, %m : f32
    linalg.yield %s : f32
  } -> tensor<3x7xf32>
  %1 = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]} ins(%0, %b : tensor<3x7xf32>, tensor<7xf32>) outs(%e : tensor<3x7xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<3x7xf32>
  %2 = linalg.tanh ins(%1 : tensor<3x7xf32>) outs(%e : tensor<3x7xf32>) -> tensor<3x7xf32>
  return %2 : tensor<3x7xf32>
}

// -----

// Transposes and slices of a weight are strides and an offset; no weight is copied. Rows 2 to 4 of the 5x7 weight, read by columns: element 2*7 is the first.
// CHECK-LABEL: stream.program @weight_views
// CHECK: stream.contract {{.*}}, @w {column_stride = 7 : i64, offset = 14 : i64, row_stride = 1 : i64} : tensor<2x3xf32> -> tensor<2x7xf32>
func.func @weight_views(%x: tensor<2x3xf32> {graph.name = "x"}, %w: tensor<5x7xf32> {graph.name = "w", graph.role = "parameter"}) -> tensor<2x7xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x7xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<2x7xf32>) -> tensor<2x7xf32>
  %slice = tensor.extract_slice %w[2, 0] [3, 7] [1, 1] : tensor<5x7xf32> to tensor<3x7xf32>
  %0 = linalg.matmul ins(%x, %slice : tensor<2x3xf32>, tensor<3x7xf32>) outs(%z : tensor<2x7xf32>) -> tensor<2x7xf32>
  return %0 : tensor<2x7xf32>
}

// -----

#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#places = affine_map<(n, k) -> (n)>
#all = affine_map<(n, k) -> (n, k)>

// What MemoryX computes says how much of it is not zero, and a constant shows it.
// CHECK-LABEL: stream.program @copies_of_features
// CHECK-DAG: stream.tensor @{{.*}} <intermediate> : tensor<6x3xf32> nonzeros 6
// CHECK-DAG: stream.tensor @{{.*}} <intermediate> : tensor<4x6xf32> nonzeros 5
func.func @copies_of_features(%x: tensor<5x3xf32> {graph.name = "x"}) -> tensor<5x4xf32> {
  %places = arith.constant dense<[0, 1, 2, 0, 1, 2]> : tensor<6xi32>
  %e = tensor.empty() : tensor<6x3xf32>
  %copies = linalg.generic {indexing_maps = [#places, #all], iterator_types = ["parallel", "parallel"]} ins(%places : tensor<6xi32>) outs(%e : tensor<6x3xf32>) attrs = {graph.nonzeros = 6 : i64} {
  ^bb0(%place: i32, %o: f32):
    %k = linalg.index 1 : index
    %column = arith.index_cast %k : index to i32
    %is = arith.cmpi eq, %place, %column : i32
    %one = arith.uitofp %is : i1 to f32
    linalg.yield %one : f32
  } -> tensor<6x3xf32>
  %zero = arith.constant 0.0 : f32
  %e1 = tensor.empty() : tensor<5x6xf32>
  %z1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<5x6xf32>) -> tensor<5x6xf32>
  %1 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %copies : tensor<5x3xf32>, tensor<6x3xf32>) outs(%z1 : tensor<5x6xf32>) {
  ^bb0(%a: f32, %c: f32, %acc: f32):
    %m = arith.mulf %a, %c : f32
    %s = arith.addf %acc, %m : f32
    linalg.yield %s : f32
  } -> tensor<5x6xf32>
  %mix = arith.constant dense<[[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0, 0.0, 5.0]]> : tensor<4x6xf32>
  %e2 = tensor.empty() : tensor<5x4xf32>
  %z2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<5x4xf32>) -> tensor<5x4xf32>
  %2 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%1, %mix : tensor<5x6xf32>, tensor<4x6xf32>) outs(%z2 : tensor<5x4xf32>) {
  ^bb0(%a: f32, %c: f32, %acc: f32):
    %m = arith.mulf %a, %c : f32
    %s = arith.addf %acc, %m : f32
    linalg.yield %s : f32
  } -> tensor<5x4xf32>
  return %2 : tensor<5x4xf32>
}

// -----

#id = affine_map<(t, n) -> (t, n)>

// What has no kernel runs in MemoryX: the value before it is received into a tensor that MemoryX holds, the one after it is sent from another.
// CHECK-LABEL: stream.program @through_memoryx
// CHECK-DAG: stream.tensor @[[BEFORE:.*value]] <intermediate> : tensor<3x5xf32>
// CHECK-DAG: stream.tensor @[[AFTER:.*value.*]] <intermediate> : tensor<3x5xf32>
// CHECK: stream.segment {
// CHECK: stream.receive %{{.*}}, @[[BEFORE]] : tensor<3x5xf32>
// CHECK: }
// CHECK: stream.call @[[F:.*]] [@[[BEFORE]]] -> [@[[AFTER]]] reason "{{.*}}'math.atan' has no wafer instruction"
// CHECK: stream.segment {
// CHECK: stream.send @[[AFTER]] : tensor<3x5xf32>
// CHECK: stream.receive %{{.*}}, @y : tensor<3x5xf32>
// CHECK: }
// CHECK: func.func @[[F]](%{{.*}}: tensor<3x5xf32>) -> tensor<3x5xf32>
// CHECK: math.atan
func.func @through_memoryx(%x: tensor<3x5xf32> {graph.name = "x"}) -> (tensor<3x5xf32> {graph.name = "y"}) {
  %e = tensor.empty() : tensor<3x5xf32>
  %0 = linalg.exp ins(%x : tensor<3x5xf32>) outs(%e : tensor<3x5xf32>) -> tensor<3x5xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%0 : tensor<3x5xf32>) outs(%e : tensor<3x5xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.atan %a : f32
    linalg.yield %r : f32
  } -> tensor<3x5xf32>
  %2 = linalg.tanh ins(%1 : tensor<3x5xf32>) outs(%e : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %2 : tensor<3x5xf32>
}

// -----

// Values of 3 and of 4 tokens never meet, so they have segments of their own. Leading dimensions are tokens: 2x2x5 are four of them.
// CHECK-LABEL: stream.program @two_numbers_of_tokens
// CHECK: stream.segment {
// CHECK: stream.send @x : tensor<3x5xf32>
// CHECK: stream.receive %{{.*}}, @output0 : tensor<3x5xf32>
// CHECK: stream.segment {
// CHECK: stream.send @v : tensor<4x5xf32>
// CHECK: stream.receive %{{.*}}, @output1 : tensor<4x5xf32>
func.func @two_numbers_of_tokens(%x: tensor<3x5xf32> {graph.name = "x"}, %v: tensor<2x2x5xf32> {graph.name = "v"}) -> (tensor<3x5xf32>, tensor<2x2x5xf32>) {
  %e = tensor.empty() : tensor<3x5xf32>
  %0 = linalg.exp ins(%x : tensor<3x5xf32>) outs(%e : tensor<3x5xf32>) -> tensor<3x5xf32>
  %f = tensor.empty() : tensor<2x2x5xf32>
  %1 = linalg.exp ins(%v : tensor<2x2x5xf32>) outs(%f : tensor<2x2x5xf32>) -> tensor<2x2x5xf32>
  return %0, %1 : tensor<3x5xf32>, tensor<2x2x5xf32>
}

// -----

#id = affine_map<(t, n) -> (t, n)>

// Reductions keep the features' dimension with one feature; a map repeats it.
// CHECK-LABEL: stream.program @reduction
// CHECK: %[[X:.*]] = stream.send @x : tensor<3x5xf32>
// CHECK: %[[M:.*]] = stream.reduce <max> %[[X]] : tensor<3x5xf32> -> tensor<3x1xf32>
// CHECK: stream.map %[[X]], %[[M]] : (tensor<3x5xf32>, tensor<3x1xf32>) -> tensor<3x5xf32>
// CHECK: arith.subf
func.func @reduction(%x: tensor<3x5xf32> {graph.name = "x"}) -> tensor<3x5xf32> {
  %lowest = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<3xf32>
  %least = linalg.fill ins(%lowest : f32) outs(%e : tensor<3xf32>) -> tensor<3xf32>
  %max = linalg.reduce { arith.maximumf } ins(%x : tensor<3x5xf32>) outs(%least : tensor<3xf32>) dimensions = [1]
  %f = tensor.empty() : tensor<3x5xf32>
  %0 = linalg.generic {indexing_maps = [#id, affine_map<(t, n) -> (t)>, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %max : tensor<3x5xf32>, tensor<3xf32>) outs(%f : tensor<3x5xf32>) {
  ^bb0(%a: f32, %m: f32, %o: f32):
    %r = arith.subf %a, %m : f32
    linalg.yield %r : f32
  } -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}

// -----

// An argument that is returned, and a value that is returned twice, are copies that MemoryX makes.
// CHECK-LABEL: stream.program @copies
// CHECK: stream.receive %{{.*}}, @output0 : tensor<3x5xf32>
// CHECK-DAG: stream.call @{{.*}} [@output0] -> [@output1]
// CHECK-DAG: stream.call @{{.*}} [@x] -> [@output2]
func.func @copies(%x: tensor<3x5xf32> {graph.name = "x"}) -> (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>) {
  %e = tensor.empty() : tensor<3x5xf32>
  %0 = linalg.exp ins(%x : tensor<3x5xf32>) outs(%e : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %0, %0, %x : tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>
}

// -----

// Rows of a gradient's first operand pass all columns: that is the one with fewer features, wherever its features are in the result.
// CHECK-LABEL: stream.program @gradients
// CHECK-DAG: %[[D:.*]] = stream.send @d
// CHECK-DAG: %[[X:.*]] = stream.send @x
// CHECK: stream.sample %[[X]], %[[D]] into @g {{.*}}column_stride = 3 : i64, {{.*}}row_stride = 1 : i64
// CHECK: stream.sample %[[X]], %[[D]] into @h {{.*}}column_stride = 1 : i64, {{.*}}row_stride = 5 : i64
func.func @gradients(%d: tensor<8x5xf32> {graph.name = "d"}, %x: tensor<8x3xf32> {graph.name = "x"}) -> (tensor<5x3xf32> {graph.name = "g"}, tensor<3x5xf32> {graph.name = "h"}) {
  %g = graph.sample %d, %x : tensor<8x5xf32>, tensor<8x3xf32> -> tensor<5x3xf32>
  %h = graph.sample %x, %d : tensor<8x3xf32>, tensor<8x5xf32> -> tensor<3x5xf32>
  return %g, %h : tensor<5x3xf32>, tensor<3x5xf32>
}
