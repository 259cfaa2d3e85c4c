// RUN: wafer-opt %s --convert-graph-to-stream -split-input-file -verify-diagnostics

// argument_c4: the program finds weights by name.
// expected-note @+1 {{the other is here}}
func.func @argument_c4(%x: tensor<3xf32> {graph.name = "x"},
// expected-error @+1 {{argument_c4: found two arguments or results named 'x', expected unique names}}
                       %y: tensor<3xf32> {graph.name = "x"}) {
  return
}

// -----

// expected-error @+1 {{argument_c5: found an argument or result named 'wafer.input', expected a name other than the function's that does not begin with 'wafer.'}}
func.func @argument_c5(%x: tensor<3xf32> {graph.name = "wafer.input"}) {
  return
}

// -----

// expected-error @+1 {{argument_c5: found an argument or result named 'forward'}}
func.func @forward(%x: tensor<3xf32> {graph.name = "forward"}) {
  return
}

// -----

func.func @state_twice(%x: tensor<3xf32> {graph.name = "s", graph.role = "state"})
    -> (tensor<3xf32> {graph.name = "s", graph.role = "state"}, tensor<3xf32> {graph.name = "s", graph.role = "state"}) {
  // expected-error @+1 {{argument_c4: found two results for the state 's', expected one}}
  return %x, %x : tensor<3xf32>, tensor<3xf32>
}

// -----

// expected-note @+1 {{the state is here}}
func.func @state_type(%x: tensor<3xf32> {graph.name = "s", graph.role = "state"}, %y: tensor<4xf32>) -> (tensor<4xf32> {graph.name = "s", graph.role = "state"}) {
  // expected-error @+1 {{found the state 's' to become a 'tensor<4xf32>', expected a 'tensor<3xf32>'}}
  return %y : tensor<4xf32>
}

// -----

// expected-error @+1 {{found 'x' of type 'tensor<?x5xf32>', expected a tensor of static shape; export the model with fixed sizes}}
func.func @dynamic(%x: tensor<?x5xf32> {graph.name = "x"}) {
  return
}

// -----

func.func @no_layer(%x: tensor<3xf32>) -> tensor<3xf32> {
  // expected-error @+1 {{found 'math.exp' outside of a layer; run graph-form-layers first}}
  %0 = math.exp %x : tensor<3xf32>
  return %0 : tensor<3xf32>
}

// -----

func.func @no_placement(%x: tensor<3xf32>) -> tensor<3xf32> {
  // expected-error @+1 {{found layer "a" without a placement; run graph-partition first}}
  %0 = graph.layer "a" (%x) : (tensor<3xf32>) -> tensor<3xf32> {
  ^bb0(%in: tensor<3xf32>):
    %1 = math.exp %in : tensor<3xf32>
    graph.yield %1 : tensor<3xf32>
  }
  return %0 : tensor<3xf32>
}

// -----

func.func @no_kernel(%x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = graph.layer "a" on <wafer> (%x) : (tensor<3xf32>) -> tensor<3xf32> {
  ^bb0(%in: tensor<3xf32>):
    // expected-error @+1 {{found no wafer kernel because there is no wafer kernel for it, expected one in the layer "a" on <wafer>}}
    %1 = math.exp %in : tensor<3xf32>
    graph.yield %1 : tensor<3xf32>
  }
  return %0 : tensor<3xf32>
}

// -----

graph.body @twice {
^bb0(%in: tensor<3xf32>):
  %0 = math.exp %in : tensor<3xf32>
  graph.yield %0 : tensor<3xf32>
}
func.func @shared_body(%x: tensor<3xf32>) -> tensor<3xf32> {
  // expected-error @+1 {{found layer "a" that shares its body, expected one of its own; run graph-expand-layers first}}
  %0 = graph.layer "a" on <wafer> shares @twice at [loc(unknown), loc(unknown)] (%x) : (tensor<3xf32>) -> tensor<3xf32> {
  }
  return %0 : tensor<3xf32>
}
