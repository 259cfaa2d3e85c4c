// RUN: wafer-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{expected a descriptor register d0..d47}}
pe.swapd d1, d48

// -----

// expected-error @+1 {{'f33' is not a machine type}}
pe.mov f33 d1, d2

// -----

// pe_c1
// expected-error @+1 {{'pe.div' op type i32 in 'div', which takes f32, f16, bf16}}
pe.div i32 d1, d2, d3

// -----

// pe_c1: the generic form can name any register.
// expected-error @+1 {{'pe.swapd' op register d50 in 'swapd', but there are d0..d47}}
"pe.swapd"() {dst = 50 : i8, src0 = 1 : i8} : () -> ()
