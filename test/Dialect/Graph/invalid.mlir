// RUN: wafer-opt %s -split-input-file -verify-diagnostics
// What the verifiers check, in this order: argument_c1 to argument_c3, argument_c6, argument_c7, argument_c8, argument_c9, sample_c4, layer_c1 to layer_c3, attend_c1 to attend_c3, attend_c6. argument_c4: test/Conversion/graph-to-stream-invalid.mlir.

// expected-error @+1 {{argument_c1: found "graph.name" = "", expected a string that is not empty}}
func.func @argument_c1(%x: tensor<3xf32> {graph.name = ""}) { return }

// -----

// expected-error @+1 {{argument_c2: found graph.role = "weight" on argument 0, expected "input", "parameter" or "state"}}
func.func @argument_c2(%x: tensor<3xf32> {graph.role = "weight"}) { return }

// -----

// expected-error @+1 {{argument_c3: found "graph.rule" on argument 0, expected graph.name, graph.role, graph.nonzeros or graph.encoding}}
func.func @argument_c3(%x: tensor<3xf32> {graph.rule = "input"}) { return }

// -----

// expected-error @+1 {{argument_c3: found "graph.role" = "input" on result 0, expected graph.name, graph.kept, or graph.role = "state"}}
func.func @argument_c3_result(%x: tensor<3xf32>) -> (tensor<3xf32> {graph.role = "input"}) { return %x : tensor<3xf32> }

// -----

func.func @layer_c1_argument(%x: tensor<3xf32>) {
  // expected-error @+1 {{layer_c1: found block argument 0 of type 'tensor<4xf32>', expected 'tensor<3xf32>'}}
  graph.layer "a" (%x) : (tensor<3xf32>) -> () {
  ^bb0(%in: tensor<4xf32>):
    graph.yield
  }
  return
}

// -----

func.func @layer_c1_count(%x: tensor<3xf32>) {
  // expected-error @+1 {{layer_c1: found 0 yielded values, expected 1}}
  %0 = graph.layer "a" (%x) : (tensor<3xf32>) -> tensor<3xf32> {
  ^bb0(%in: tensor<3xf32>):
    graph.yield
  }
  return
}

// -----

func.func @layer_c2_no_reason() {
  // expected-error @+1 {{layer_c2: found no reason on layer "a", expected one exactly when the layer is on <memoryx>}}
  graph.layer "a" on <memoryx> () : () -> () {
    graph.yield
  }
  return
}

// -----

func.func @layer_c2_reason() {
  // expected-error @+1 {{layer_c2: found a reason on layer "a"}}
  graph.layer "a" on <wafer> reason "r" () : () -> () {
    graph.yield
  }
  return
}

// -----

// expected-error @+1 {{argument_c6: found "graph.nonzeros" = 7 : i64 on argument 0, expected a number of elements of a parameter}}
func.func @argument_c6_too_many(%w: tensor<2x3xf32> {graph.nonzeros = 7 : i64, graph.role = "parameter"}) {
  return
}

// -----

// expected-error @+1 {{argument_c6: found "graph.nonzeros" = 3 : i64 on argument 0, expected a number of elements of a parameter}}
func.func @argument_c6_input(%x: tensor<2x3xf32> {graph.nonzeros = 3 : i64}) {
  return
}

// -----

// expected-error @+1 {{argument_c8: found "graph.encoding" = #sparse_tensor.encoding<{ map = (d0) -> (d0 : compressed) }> on argument 0, expected a #sparse_tensor.encoding of as many dimensions as the argument has}}
func.func @argument_c8(%w: tensor<2x3xf32> {graph.encoding = #sparse_tensor.encoding<{ map = (d0) -> (d0 : compressed) }>, graph.role = "parameter"}) {
  return
}

// -----

func.func @argument_c9() {
  // expected-error @+1 {{argument_c9: found "graph.nonzeros" = 7 : i64, expected graph.nonzeros, a number of elements of the one tensor that the operation makes}}
  %e = tensor.empty() {graph.nonzeros = 7 : i64} : tensor<2x3xf32>
  return
}

// -----

// expected-error @+1 {{argument_c7: found "graph.kept" = "w" on result 0, expected the name of a parameter of i8 that has its shape}}
func.func @argument_c7_shape(%x: tensor<3xf32>, %w: tensor<4xi8> {graph.name = "w", graph.role = "parameter"}) -> (tensor<3xf32> {graph.kept = "w"}) {
  return %x : tensor<3xf32>
}

// -----

func.func @sample_c4(%d: tensor<6x4xf32>, %x: tensor<5x3xf32>, %w: tensor<4x3xi8>) {
  // expected-error @+1 {{sample_c4: found 'tensor<6x4xf32>', 'tensor<5x3xf32>' and the pattern 'tensor<4x3xi8>' for 'tensor<4x3xf32>', expected tokens x features twice}}
  %g = graph.sample %d, %x where %w : tensor<6x4xf32>, tensor<5x3xf32> where tensor<4x3xi8> -> tensor<4x3xf32>
  return
}

// -----

func.func @sample_c5(%d: tensor<6x4xf32>, %w: tensor<4x4x4xi8>) {
  // expected-error @+1 {{sample_c5: found 4 entries of 6 tokens and a pattern, expected a divisor, and no pattern for several}}
  %g = graph.sample batches 4 %d, %d where %w : tensor<6x4xf32>, tensor<6x4xf32> where tensor<4x4x4xi8> -> tensor<4x4x4xf32>
  return
}

// -----

func.func @layer_c3_nothing_shared(%x: tensor<3xf32>) {
  // expected-error @+1 {{layer_c3: found no graph.body @layer, expected what layer "a" shares}}
  graph.layer "a" shares @layer at [] (%x) : (tensor<3xf32>) -> () {}
  return
}

// -----

graph.body @layer {
^bb0(%in: tensor<3xf32>):
  graph.yield
}
func.func @layer_c3_locations(%x: tensor<3xf32>) {
  // expected-error @+1 {{layer_c3: found 0 locations on layer "a", expected one for each of the 1 operations of @layer}}
  graph.layer "a" shares @layer at [] (%x) : (tensor<3xf32>) -> () {}
  return
}

// -----

graph.body @layer {
^bb0(%in: tensor<3xf32>):
  graph.yield
}
func.func @layer_c1_shared(%x: tensor<4xf32>) {
  // expected-error @+1 {{layer_c1: found block argument 0 of type 'tensor<3xf32>', expected 'tensor<4xf32>'}}
  graph.layer "a" shares @layer at [loc("x")] (%x) : (tensor<4xf32>) -> () {}
  return
}

// -----

func.func @attend_c1(%qkv: tensor<6x24xf32>) {
  // expected-error @+1 {{attend_c1: found 'tensor<6x24xf32>' for 'tensor<6x8xf32>' with 3 heads, expected tokens x features twice}}
  %0 = graph.attend heads 3 scale 1.0 %qkv : tensor<6x24xf32> -> tensor<6x8xf32>
  return
}

// -----

func.func @attend_c1_across(%qkv: tensor<6x24xf32>) {
  // expected-error @+1 {{attend_c1: found heads of 4 elements across 3 columns, expected one or two, and a multiple of them}}
  %0 = graph.attend heads 2 across 3 scale 1.0 %qkv : tensor<6x24xf32> -> tensor<6x8xf32>
  return
}

// -----

func.func @attend_c2(%qkv: tensor<6x24xf32>) {
  // expected-error @+1 {{attend_c2: found 6 tokens in 4 batch entries, expected a multiple}}
  %0 = graph.attend heads 2 scale 1.0 batches 4 %qkv : tensor<6x24xf32> -> tensor<6x8xf32>
  return
}

// -----

func.func @attend_c3(%qkv: tensor<6x24xf32>, %d: tensor<6x8xf32>) {
  // expected-error @+1 {{attend_c3: found a result of 'tensor<6x8xf32>' for 'tensor<6x24xf32>', expected the same type}}
  %0 = graph.attend_gradient heads 2 scale 1.0 %qkv, %d : tensor<6x24xf32>, tensor<6x8xf32> -> tensor<6x8xf32>
  return
}

// -----

func.func @attend_c6(%qkv: tensor<6x24xf32>, %table: tensor<6x12xf32>) {
  // expected-error @+1 {{attend_c6: found a table 'tensor<6x12xf32>' for 'tensor<6x8xf32>' with 2 heads}}
  %0 = graph.attend heads 2 scale 1.0 %qkv rotated %table : tensor<6x24xf32>, tensor<6x12xf32> -> tensor<6x8xf32>
  return
}
