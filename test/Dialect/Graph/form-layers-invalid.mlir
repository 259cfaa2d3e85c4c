// RUN: wafer-opt %s --pass-pipeline="builtin.module(func.func(graph-form-layers))" -verify-diagnostics -split-input-file
//
// Sizes come from files, and costs multiply them.

// expected-error @+1 {{found 'tensor<1099511627777xf32>', expected at most 1099511627776 elements in a tensor; split the model or its batch}}
func.func @argument_is_too_large(%x: tensor<1099511627777xf32>) {
  return
}

// -----

// The number of elements is a multiple of 2^64, and would be taken for zero.
func.func @number_of_elements_wraps() {
  // expected-error @+1 {{found 'tensor<4294967296x4294967296xf32>'}}
  %0 = tensor.empty() : tensor<4294967296x4294967296xf32>
  return
}

// -----

// A size of zero makes any other size harmless.
func.func @no_elements(%x: tensor<0x9223372036854775807xf32>) {
  return
}
