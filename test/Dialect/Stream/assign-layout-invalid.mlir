// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-assign-layout))" -split-input-file -verify-diagnostics

// 200,000 features on the four columns of `tiny` are 50,000 a core, which no core holds even for one token.
stream.program @too_large machine "tiny" {
  stream.tensor @x <input> : tensor<3x200000xf32>
  stream.tensor @y <output> : tensor<3x200000xf32>
  // expected-error-re @+1 {{segment needs at least {{[0-9]+}} bytes of SRAM per core ({{[0-9]+}} for values of 1 token on 4 columns, {{[0-9]+}} for code), but a core of machine 'tiny' has 49152; use a machine with more columns, or split the layer}}
  stream.segment {
    // expected-note @+1 {{the largest value, 200000 features, is made here}}
    %x = stream.send @x : tensor<3x200000xf32>
    stream.receive %x, @y : tensor<3x200000xf32>
  }
}

// -----

// expected-error @+1 {{'huge'}}
stream.program @unknown_machine machine "huge" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @y <output> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    stream.receive %x, @y : tensor<3x5xf32>
  }
}

// -----

stream.program @tokens_of_attention machine "odd" {
  stream.tensor @qkv <input> : tensor<1009x6xf32>
  stream.tensor @o <output> : tensor<1009x2xf32>
  stream.segment {
    %x = stream.send @qkv : tensor<1009x6xf16>
    // expected-error @-2 {{found batch entries of 1009 tokens that attend to each other, expected a number that up to 5 rows of cores share, up to}}
    %o = stream.attend %x heads 1 scale 1.0 : tensor<1009x6xf16> -> tensor<1009x2xf16>
    stream.receive %o, @o : tensor<1009x2xf16>
  }
}
