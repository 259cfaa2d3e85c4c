// RUN: wafer-opt %s --convert-stream-to-wafer -split-input-file -verify-diagnostics

stream.program @no_grid machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  // expected-error @+1 {{has no grid; run stream-assign-layout first}}
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
  }
}

// -----

stream.program @no_wire_format machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @w <weight> : tensor<5x5xf32>
  stream.segment grid <columns = 2, rows = 2, groups = 1, token_block = 2, micro_batches = 1> {
    %x = stream.send @x : tensor<3x5xf32, #stream.layout<feature_block = 3>>
    // expected-error @+1 {{has no wire format; run stream-choose-wire-format first}}
    %y = stream.contract %x, @w {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64}
        : tensor<3x5xf32, #stream.layout<feature_block = 3>> -> tensor<3x5xf32, #stream.layout<feature_block = 3>>
  }
}

// -----

stream.program @no_wire_format_of_scale machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @gamma <weight> : tensor<5xf32>
  stream.segment grid <columns = 2, rows = 2, groups = 1, token_block = 2, micro_batches = 1> {
    %x = stream.send @x : tensor<3x5xf32, #stream.layout<feature_block = 3>>
    // expected-error @+1 {{has no wire format; run stream-choose-wire-format first}}
    %y = stream.scale %x gamma @gamma : tensor<3x5xf32, #stream.layout<feature_block = 3>> -> tensor<3x5xf32, #stream.layout<feature_block = 3>>
  }
}
