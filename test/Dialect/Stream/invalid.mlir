// RUN: wafer-opt %s -split-input-file -verify-diagnostics
// What the verifiers check, in this order: grid and layout attributes, program_c1, tensor_c1 to tensor_c3, segment_c1 to segment_c7, call_c1, send_c1, send_c2, send_c3, receive_c1,
// receive_c2, contract_c1 to contract_c9, sample_c1 to sample_c3, scale_c1 to scale_c3, map_c1 to map_c3, reduce_c1, attend_c4, attend_c5.

// expected-error @+1 {{found rows = 0, expected at least 1}}
#grid = #stream.grid<columns = 1, rows = 0, groups = 1, token_block = 1, micro_batches = 1>

// -----

// expected-error @+1 {{found feature_block = -1, expected 0 (a copy in every column) or more}}
#layout = #stream.layout<feature_block = -1>

// -----

stream.program @program_c1 machine "odd" {
  // expected-error @+1 {{program_c1: found 'arith.constant' in a stream.program}}
  %0 = arith.constant 0.0 : f32
}

// -----

stream.program @tensor_c1 machine "odd" {
  // expected-error @+1 {{tensor_c1: found type 'tensor<?x5xf32>', expected a static shape without encoding}}
  stream.tensor @x <input> : tensor<?x5xf32>
}

// -----

stream.program @segment_c1 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @y <input> : tensor<4x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{segment_c1: found 4 tokens, expected 3 as in the values before it}}
    %y = stream.send @y : tensor<4x5xf32>
  }
}

// -----

stream.program @segment_c2_no_layout machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment grid <columns = 2, rows = 3, groups = 1, token_block = 1, micro_batches = 1> {
    // expected-error @+1 {{segment_c2: found no layout on 'tensor<3x5xf32>'}}
    %x = stream.send @x : tensor<3x5xf32>
  }
}

// -----

stream.program @segment_c2_too_narrow machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment grid <columns = 2, rows = 3, groups = 1, token_block = 1, micro_batches = 1> {
    // expected-error @+1 {{segment_c2: found feature_block = 2 on 2 columns, expected to cover 5 features}}
    %x = stream.send @x : tensor<3x5xf32, #stream.layout<feature_block = 2>>
  }
}

// -----

stream.program @segment_c3 machine "odd" {
  stream.tensor @x <input> : tensor<7x5xf32>
  stream.segment grid <columns = 2, rows = 3, groups = 1, token_block = 2, micro_batches = 1> {
    // expected-error @+1 {{segment_c3: found a grid for 6 tokens, expected at least 7}}
    %x = stream.send @x : tensor<7x5xf32, #stream.layout<feature_block = 3>>
  }
}

// -----

stream.program @segment_c4 machine "odd" {
  stream.segment {
    // expected-error @+1 {{segment_c4: found 'arith.constant' in a stream.segment, expected a kernel}}
    %0 = arith.constant 0.0 : f32
  }
}

// -----

stream.program @segment_c5_micro_batches machine "odd" {
  // expected-error @+1 {{segment_c5: found 2 batches, expected a number that divides the micro-batches}}
  stream.segment batches 2 grid #stream.grid<columns = 1, rows = 1, groups = 1, token_block = 1, micro_batches = 3> {
  }
}

// -----

stream.program @segment_c5_at_once machine "odd" {
  // expected-error @+1 {{segment_c5: found 4 batches, 2 at once, expected a number that divides batches and groups}}
  stream.segment batches 4 grid #stream.grid<columns = 1, rows = 1, groups = 3, token_block = 1, micro_batches = 2, batches_at_once = 2> {
  }
}

// -----

// expected-error @+1 {{found bands = 2, expected a number that divides the 5 rows}}
#grid = #stream.grid<columns = 1, rows = 5, groups = 1, token_block = 1, micro_batches = 1, bands = 2>

// -----

stream.program @segment_c5_bands machine "odd" {
  // expected-error @+1 {{segment_c5: found 4 batches, 4 at once, expected a number that divides batches and groups * bands}}
  stream.segment batches 4 grid #stream.grid<columns = 1, rows = 4, groups = 3, token_block = 1, micro_batches = 1, batches_at_once = 4, bands = 2> {
  }
}

// -----

#layout = #stream.layout<feature_block = 3>
stream.program @segment_c6 machine "odd" {
  stream.tensor @x <input> : tensor<4x3xf32>
  stream.tensor @w <weight> : tensor<2x3x3xf32>
  stream.segment batches 2 grid #stream.grid<columns = 1, rows = 4, groups = 1, token_block = 1, micro_batches = 1, batches_at_once = 2, bands = 2> {
    %x = stream.send @x : tensor<4x3xf32, #layout>
    // expected-error @+1 {{segment_c6: found batch_sizes on a grid of 2 bands, expected none: all rows of a column are streamed the same}}
    %y = stream.contract %x, @w wire <dense32> {row_stride = 3 : i64, column_stride = 1 : i64, offset = 0 : i64, batch_sizes = array<i64: 2>, batch_strides = array<i64: 9>} : tensor<4x3xf32, #layout> -> tensor<4x3xf32, #layout>
  }
}

// -----

#qkv = #stream.layout<feature_block = 6>
#out = #stream.layout<feature_block = 2>
stream.program @attend_c5 machine "odd" {
  stream.tensor @x <input> : tensor<4x6xf32>
  stream.segment batches 2 grid #stream.grid<columns = 1, rows = 4, groups = 1, token_block = 1, micro_batches = 2, bands = 2> {
    %x = stream.send @x : tensor<4x6xf32, #qkv>
    // expected-error @+1 {{attend_c5: found 1 heads across 1 columns and batch entries of 2 tokens on #stream.grid<columns = 1, rows = 4, groups = 1, token_block = 1, micro_batches = 2, bands = 2>, expected columns that divide the heads, or their parts, and a band of a group of columns for each entry, whose cores have equally many of its tokens}}
    %y = stream.attend %x heads 1 scale 1.000000e+00 : tensor<4x6xf32, #qkv> -> tensor<4x2xf32, #out>
  }
}

// -----

// A band of two rows has no more than two of its tokens at a time.
#qkv = #stream.layout<feature_block = 6>
#out = #stream.layout<feature_block = 2>
stream.program @attend_c5_rows machine "odd" {
  stream.tensor @x <input> : tensor<8x6xf32>
  stream.segment batches 2 grid #stream.grid<columns = 1, rows = 4, groups = 1, token_block = 1, micro_batches = 2, batches_at_once = 2, bands = 2> {
    %x = stream.send @x : tensor<8x6xf32, #qkv>
    // expected-error @+1 {{attend_c5: found 1 heads across 1 columns and batch entries of 4 tokens on}}
    %y = stream.attend %x heads 1 scale 1.000000e+00 : tensor<8x6xf32, #qkv> -> tensor<8x2xf32, #out>
  }
}

// -----

stream.program @segment_c5_tokens machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment batches 2 {
    // expected-error @+1 {{segment_c5: found 3 tokens in 2 batches, expected a multiple}}
    %x = stream.send @x : tensor<3x5xf32>
  }
}

// -----

stream.program @call_c1_no_callee machine "odd" {
  // expected-error @+1 {{call_c1: found no func.func @f in the program}}
  stream.call @f [] -> [] reason "r"
}

// -----

stream.program @call_c1_no_tensor machine "odd" {
  // expected-error @+1 {{call_c1: found no stream.tensor @x in the program}}
  stream.call @f [@x] -> [] reason "r"
  func.func @f(%x: tensor<3xf32>) { return }
}

// -----

stream.program @call_c1_types machine "odd" {
  stream.tensor @x <input> : tensor<4xf32>
  // expected-error @+1 {{call_c1: found @x of type 'tensor<4xf32>', expected 'tensor<3xf32>'}}
  stream.call @f [@x] -> [] reason "r"
  // expected-note @+1 {{callee is here}}
  func.func @f(%x: tensor<3xf32>) { return }
}

// -----

stream.program @call_c1_count machine "odd" {
  // expected-error @+1 {{call_c1: found 0 inputs, expected 1}}
  stream.call @f [] -> [] reason "r"
  // expected-note @+1 {{callee is here}}
  func.func @f(%x: tensor<3xf32>) { return }
}

// -----

stream.program @send_c1_no_tensor machine "odd" {
  stream.segment {
    // expected-error @+1 {{send_c1: found no stream.tensor @x in the program}}
    %x = stream.send @x : tensor<3x5xf32>
  }
}

// -----

stream.program @send_c1 machine "odd" {
  // expected-note @+1 {{tensor is here}}
  stream.tensor @x <input> : tensor<4x3xf32>
  stream.segment {
    // expected-error @+1 {{send_c1: found 3 tokens x 5 features, expected whole tokens that repeat the 12 elements of 'tensor<4x3xf32>'}}
    %x = stream.send @x : tensor<3x5xf32>
  }
}

// -----

stream.program @send_c2 machine "odd" {
  // expected-note @+1 {{tensor is here}}
  stream.tensor @w <weight> : tensor<3x5xf32>
  stream.segment {
    // expected-error @+1 {{send_c2: found the weight @w, expected an input or intermediate; weights are streamed by stream.contract and stream.scale}}
    %x = stream.send @w : tensor<3x5xf32>
  }
}

// -----

stream.program @send_c3 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment {
    // expected-error @+1 {{send_c3: found parts of 1, 0 features of a core to come before others, expected a send ahead, at least one in each, and less than all of 'tensor<3x5xf32>'}}
    %x = stream.send ahead parts [1, 0] @x : tensor<3x5xf32>
  }
}

// -----

stream.program @receive_c1 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  // expected-note @+1 {{tensor is here}}
  stream.tensor @y <output> : tensor<3x6xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{receive_c1: found 3 tokens x 5 features, expected the 18 elements of 'tensor<3x6xf32>'}}
    stream.receive %x, @y : tensor<3x5xf32>
  }
}

// -----

stream.program @receive_c2 machine "odd" {
  // expected-note @+1 {{tensor is here}}
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{receive_c2: found @x of role input, expected output or intermediate}}
    stream.receive %x, @x : tensor<3x5xf32>
  }
}

// -----

stream.program @contract_c1 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @w <weight> : tensor<7x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{contract_c1: found 4 tokens in the result, expected 3 as in the input}}
    "stream.contract"(%x) {weight = @w, row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : (tensor<3x5xf32>) -> tensor<4x7xf32>
  }
}

// -----

stream.program @contract_c2 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  // expected-note @+1 {{weight is here}}
  stream.tensor @w <weight> : tensor<7x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{contract_c2: found elements 1 to 35 of @w, expected 0 to 34}}
    %y = stream.contract %x, @w {row_stride = 5 : i64, column_stride = 1 : i64, offset = 1 : i64} : tensor<3x5xf32> -> tensor<3x7xf32>
  }
}

// -----

stream.program @contract_c3 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @w <weight> : tensor<7x5xf32>
  // expected-note @+1 {{tensor is here}}
  stream.tensor @b <weight> : tensor<6xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{contract_c3: found 6 elements in @b, expected 7, one per feature of the result}}
    %y = stream.contract %x, @w bias @b {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf32> -> tensor<3x7xf32>
  }
}

// -----

stream.program @contract_c4 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @w <weight> : tensor<7x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{contract_c4: found wire format packed16 with 'f32' input}}
    %y = stream.contract %x, @w wire <packed16> {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf32> -> tensor<3x7xf32>
  }
}

// -----

stream.program @contract_c5 machine "odd" {
  stream.tensor @x <input> : tensor<4x5xf32>
  stream.tensor @w <input> : tensor<3x7x5xf32>
  stream.segment batches 2 {
    %x = stream.send @x : tensor<4x5xf32>
    // expected-error @+1 {{contract_c5: found 1 batch sizes of product 3 and 1 batch strides, expected as many of each and the segment's 2 batches}}
    %y = stream.contract %x, @w {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64, batch_sizes = array<i64: 3>, batch_strides = array<i64: 35>}
        : tensor<4x5xf32> -> tensor<4x7xf32>
  }
}

// -----

// The last entry's weights lie behind the tensor's end.
stream.program @contract_c2_batches machine "odd" {
  stream.tensor @x <input> : tensor<4x5xf32>
  // expected-note @+1 {{weight is here}}
  stream.tensor @w <input> : tensor<1x7x5xf32>
  stream.segment batches 2 {
    %x = stream.send @x : tensor<4x5xf32>
    // expected-error @+1 {{contract_c2: found elements 0 to 69 of @w, expected 0 to 34}}
    %y = stream.contract %x, @w {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64, batch_sizes = array<i64: 2>, batch_strides = array<i64: 35>}
        : tensor<4x5xf32> -> tensor<4x7xf32>
  }
}

// -----

stream.program @scale_c1 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  // expected-note @+1 {{tensor is here}}
  stream.tensor @g <weight> : tensor<4xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{scale_c1: found 4 elements in @g, expected 5, one per feature of the result}}
    %y = stream.scale %x gamma @g : tensor<3x5xf32> -> tensor<3x5xf32>
  }
}

// -----

stream.program @scale_c2 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{scale_c2: found neither gamma nor beta, expected at least one}}
    %y = stream.scale %x : tensor<3x5xf32> -> tensor<3x5xf32>
  }
}

// -----

stream.program @scale_c3 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @g <weight> : tensor<5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf16>
    // expected-error @+1 {{scale_c3: found wire format dense32 with 'f16' input}}
    %y = stream.scale %x gamma @g wire <dense32> : tensor<3x5xf16> -> tensor<3x5xf16>
  }
}

// -----

stream.program @map_c1 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{map_c1: found an operand of 5 features, expected 6 or 1}}
    %y = stream.map %x : (tensor<3x5xf32>) -> tensor<3x6xf32> {
    ^bb0(%a: f32):
      stream.yield %a : f32
    }
  }
}

// -----

stream.program @map_c2_argument machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf16>
    // expected-error @+1 {{map_c2: found block argument 0 of type 'f32', expected 'f16'}}
    %y = stream.map %x : (tensor<3x5xf16>) -> tensor<3x5xf32> {
    ^bb0(%a: f32):
      stream.yield %a : f32
    }
  }
}

// -----

stream.program @map_c2_yield machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{map_c2: found a yielded value of type 'f32', expected 'f16'}}
    %y = stream.map %x : (tensor<3x5xf32>) -> tensor<3x5xf16> {
    ^bb0(%a: f32):
      stream.yield %a : f32
    }
  }
}

// -----

stream.program @map_without_body machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{expects a non-empty block}}
    %y = stream.map %x : (tensor<3x5xf32>) -> tensor<3x5xf32> {
    }
  }
}

// -----

stream.program @map_c3 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %y = stream.map %x : (tensor<3x5xf32>) -> tensor<3x5xf32> {
    ^bb0(%a: f32):
      // expected-error @+1 {{map_c3: found 'math.atan' in a stream.map, expected an operation that has a machine instruction}}
      %b = math.atan %a : f32
      stream.yield %b : f32
    }
  }
}

// -----

// The machine's comparisons with NaN are false but for "not equal".
stream.program @map_c3_unordered machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %y = stream.map %x : (tensor<3x5xf32>) -> tensor<3x5xf32> {
    ^bb0(%a: f32):
      %zero = arith.constant 0.0 : f32
      // expected-error @+1 {{map_c3: found 'arith.cmpf' in a stream.map}}
      %c = arith.cmpf ult, %a, %zero : f32
      %b = arith.select %c, %zero, %a : f32
      stream.yield %b : f32
    }
  }
}

// -----

stream.program @reduce_c1 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    // expected-error @+1 {{reduce_c1: found 2 features in the result, expected 1}}
    %y = stream.reduce <add> %x : tensor<3x5xf32> -> tensor<3x2xf32>
  }
}

// -----

stream.program @blocks_are_two_dimensional machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment {
    // expected-error @+1 {{must be two-dimensional tensor of static shape, tokens x features}}
    %x = stream.send @x : tensor<15xf32>
  }
}

// -----

stream.program @tensor_c2 machine "odd" {
  // expected-error @+1 {{tensor_c2: found 7 nonzeros, expected 0 to 6}}
  stream.tensor @w <weight> : tensor<2x3xf32> nonzeros 7
}

// -----

stream.program @tensor_c4 machine "odd" {
  // expected-error @+1 {{tensor_c4: found encoding "two of four", expected a #sparse_tensor.encoding of 2 dimensions beside nonzeros}}
  stream.tensor @w <weight> : tensor<2x3xf32> nonzeros 3 encoding "two of four"
}

// -----

stream.program @link_without_size machine "odd" {
  stream.tensor @x <input> : tensor<2x3xf32>
  stream.tensor @w <weight> : tensor<3x3xf32>
  stream.segment {
    %x = stream.send @x : tensor<2x3xf32>
    // expected-error @+1 {{found blocks with kept = 0 and size = 0, expected structured with 1 <= kept < size, blocks with size alone, at least 2, or bitmask with neither}}
    %y = stream.contract %x, @w wire <dense32> link <blocks> {row_stride = 3 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<2x3xf32> -> tensor<2x3xf32>
  }
}

// -----

stream.program @tensor_c3 machine "odd" {
  stream.tensor @s <state> : tensor<2x3xf32>
  // expected-error @+1 {{tensor_c3: found it to update @s, expected an output or intermediate that updates a state of its type, 'tensor<3x2xf32>'}}
  stream.tensor @y <output> : tensor<3x2xf32> updates @s
}

// -----

stream.program @contract_c6 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xi8>
  stream.tensor @w <weight> : tensor<2x5xi8>
  stream.segment {
    %x = stream.send @x : tensor<3x5xi8>
    // expected-error @+1 {{contract_c6: found 'i8' input, 'f32' result and no bias, expected i8 input without a bias to go with an i32 result}}
    %y = stream.contract %x, @w {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xi8> -> tensor<3x2xf32>
  }
}

// -----

stream.program @contract_c7 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf16>
  stream.tensor @w <weight> : tensor<2x5xf16>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf16>
    // expected-error @+1 {{contract_c7: found 1001 thousandths of zeros in the input, expected 1 to 1000}}
    %y = stream.contract %x, @w {input_zeros = 1001 : i64, row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf16> -> tensor<3x2xf16>
  }
}

// -----

stream.program @contract_c8 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf16>
  stream.tensor @w <weight> : tensor<2x5xf16>
  stream.tensor @share <input> : tensor<4x1xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf16>
    // expected-error @+1 {{contract_c8: found the guard @share, a tensor <input> of 4 elements, and input_zeros; expected input_zeros and a tensor that is no weight and has 3 or a multiple}}
    %y = stream.contract %x, @w {guard = @share, input_zeros = 1 : i64, row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf16> -> tensor<3x2xf16>
  }
}

// -----

stream.program @contract_c9 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf16>
  stream.tensor @w <weight> : tensor<2x5xf16>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf16>
    // expected-error @+1 {{contract_c9: found no mask and output_zeros 500, expected both or none, and 1 to 1000 thousandths}}
    %y = stream.contract %x, @w {output_zeros = 500 : i64, row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf16> -> tensor<3x2xf16>
  }
}

// -----

stream.program @contract_c9 machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf16>
  stream.tensor @w <weight> : tensor<2x5xf16>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf16>
    // expected-error @+1 {{contract_c9: found a mask of type 'tensor<3x5xf16>', expected the shape and layout of the result 'tensor<3x2xf16>'}}
    %y = stream.contract %x, @w mask %x {output_zeros = 500 : i64, row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf16>, tensor<3x5xf16> -> tensor<3x2xf16>
  }
}

// -----

stream.program @sample_c1 machine "odd" {
  stream.tensor @d <input> : tensor<6x4xf32>
  stream.tensor @x <input> : tensor<6x3xf32>
  stream.tensor @kept <weight> : tensor<4x3xi8>
  stream.tensor @g <output> : tensor<4x3xf32>
  stream.segment {
    %d = stream.send @d : tensor<6x4xf32>
    %x = stream.send @x : tensor<6x3xf16>
    // expected-error @+1 {{sample_c1: found operands of 'f32' and 'f16', expected one type}}
    stream.sample %d, %x pattern @kept into @g {row_stride = 3 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<6x4xf32>, tensor<6x3xf16>
  }
}

// -----

stream.program @sample_c2 machine "odd" {
  stream.tensor @d <input> : tensor<6x4xf32>
  stream.tensor @x <input> : tensor<6x3xf32>
  stream.tensor @kept <weight> : tensor<4x3xf32>
  stream.tensor @g <output> : tensor<4x3xf32>
  stream.segment {
    %d = stream.send @d : tensor<6x4xf32>
    %x = stream.send @x : tensor<6x3xf32>
    // expected-error @+1 {{sample_c2: found a pattern of type 'tensor<4x3xf32>' for 'tensor<4x3xf32>', expected as many elements of i8 as of f32}}
    stream.sample %d, %x pattern @kept into @g {row_stride = 3 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<6x4xf32>, tensor<6x3xf32>
  }
}

// -----

stream.program @sample_c3 machine "odd" {
  stream.tensor @d <input> : tensor<6x4xf32>
  stream.tensor @x <input> : tensor<6x3xf32>
  stream.tensor @kept <weight> : tensor<4x3xi8>
  stream.tensor @g <output> : tensor<4x3xf32>
  stream.segment {
    %d = stream.send @d : tensor<6x4xf32>
    %x = stream.send @x : tensor<6x3xf32>
    // expected-error @+1 {{sample_c3: found elements 0 to 14 of @g, expected 0 to 11}}
    stream.sample %d, %x pattern @kept into @g {row_stride = 4 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<6x4xf32>, tensor<6x3xf32>
  }
}

// -----

stream.program @sample_c6_batches machine "odd" {
  stream.tensor @d <input> : tensor<6x4xf32>
  stream.tensor @g <output> : tensor<3x4x4xf32>
  stream.segment batches 2 {
    %d = stream.send @d : tensor<6x4xf32>
    // expected-error @+1 {{sample_c6: found 1 batch sizes of product 3 and 1 batch strides, expected as many of each and the segment's 2 batches}}
    stream.sample %d, %d into @g {batch_sizes = array<i64: 3>, batch_strides = array<i64: 16>, row_stride = 4 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<6x4xf32>, tensor<6x4xf32>
  }
}

// -----

stream.program @sample_c6_pattern machine "odd" {
  stream.tensor @d <input> : tensor<6x4xf32>
  stream.tensor @kept <weight> : tensor<2x4x4xi8>
  stream.tensor @g <output> : tensor<2x4x4xf32>
  stream.segment batches 2 {
    %d = stream.send @d : tensor<6x4xf32>
    // expected-error @+1 {{sample_c6: found a pattern and sums for each batch entry, expected one of the two}}
    stream.sample %d, %d pattern @kept into @g {batch_sizes = array<i64: 2>, batch_strides = array<i64: 16>, row_stride = 4 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<6x4xf32>, tensor<6x4xf32>
  }
}

// -----

stream.program @attend_c4 machine "odd" {
  stream.tensor @qkv <input> : tensor<6x24xf32>
  stream.segment {
    %x = stream.send @qkv : tensor<6x24xf16>
    // expected-error @+1 {{attend_c4: found 24 features of queries, keys and values for 8 with 3 heads across 1 columns, expected three times as many, a multiple of the heads, and heads in one or two columns}}
    %o = stream.attend %x heads 3 scale 1.0 : tensor<6x24xf16> -> tensor<6x8xf16>
  }
}

// -----

stream.program @attend_c4_type machine "odd" {
  stream.tensor @qkv <input> : tensor<6x24xf32>
  stream.segment {
    %x = stream.send @qkv : tensor<6x24xf16>
    // expected-error @+1 {{attend_c4: found elements of 'f16', 'f32' and 'f32', expected one of f32, f16 and bf16}}
    %o = stream.attend %x heads 2 scale 1.0 : tensor<6x24xf16> -> tensor<6x8xf32>
  }
}

// -----

stream.program @attend_c5 machine "odd" {
  stream.tensor @qkv <input> : tensor<6x24xf32>
  stream.segment grid <columns = 3, rows = 3, groups = 1, token_block = 2, micro_batches = 1> {
    %x = stream.send @qkv : tensor<6x24xf16, #stream.layout<feature_block = 8>>
    // expected-error @+1 {{attend_c5: found 2 heads across 1 columns and batch entries of 6 tokens}}
    %o = stream.attend %x heads 2 scale 1.0 : tensor<6x24xf16, #stream.layout<feature_block = 8>> -> tensor<6x8xf16, #stream.layout<feature_block = 3>>
  }
}

// -----

stream.program @attend_c5_shared machine "odd" {
  stream.tensor @qkv <input> : tensor<6x24xf32>
  stream.segment grid <columns = 1, rows = 3, groups = 1, token_block = 2, micro_batches = 1> {
    %x = stream.send @qkv : tensor<6x24xf16, #stream.layout<feature_block = 24>>
    // expected-error @+1 {{attend_c5: found 2 heads across 2 columns and batch entries of 6 tokens}}
    %o = stream.attend %x heads 2 across 2 scale 1.0 : tensor<6x24xf16, #stream.layout<feature_block = 24>> -> tensor<6x8xf16, #stream.layout<feature_block = 8>>
  }
}

// -----

stream.program @segment_c7 machine "odd" {
  stream.tensor @x <input> : tensor<6x4xf32>
  // expected-error @+1 {{segment_c7: found 2 loads, expected one, or a grid with one micro-batch}}
  stream.segment grid <columns = 2, rows = 3, groups = 1, token_block = 1, micro_batches = 2> loads 2 {
    %x = stream.send @x : tensor<6x4xf16, #stream.layout<feature_block = 2>>
  }
}

// -----

stream.program @sample_c7_groups machine "odd" {
  stream.tensor @d <input> : tensor<6x4xf32>
  stream.tensor @g <output> : tensor<4x4xf32>
  stream.segment grid <columns = 2, rows = 3, groups = 1, token_block = 2, micro_batches = 1> {
    %d = stream.send @d : tensor<6x4xf32, #stream.layout<feature_block = 2>>
    // expected-error @+1 {{sample_c7: adds groups on the wafer, expected a grid of several that hold no batch entries with sums of their own at a time}}
    stream.sample %d, %d into @g groups_added {row_stride = 4 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<6x4xf32, #stream.layout<feature_block = 2>>, tensor<6x4xf32, #stream.layout<feature_block = 2>>
  }
}

// -----

stream.program @sample_c7_entries machine "odd" {
  stream.tensor @d <input> : tensor<6x4xf32>
  stream.tensor @g <output> : tensor<2x4x4xf32>
  stream.segment batches 2 grid <columns = 2, rows = 3, groups = 2, token_block = 1, micro_batches = 1, batches_at_once = 2> {
    %d = stream.send @d : tensor<6x4xf32, #stream.layout<feature_block = 2>>
    // expected-error @+1 {{sample_c7: adds groups on the wafer, expected a grid of several that hold no batch entries with sums of their own at a time}}
    stream.sample %d, %d into @g groups_added {batch_sizes = array<i64: 2>, batch_strides = array<i64: 16>, row_stride = 4 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<6x4xf32, #stream.layout<feature_block = 2>>, tensor<6x4xf32, #stream.layout<feature_block = 2>>
  }
}
