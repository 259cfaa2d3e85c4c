// RUN: wafer-opt %s -split-input-file -verify-diagnostics

// What is checked. By the parser: registers, type names, offsets. By attribute constraints: the width of a field, in the generic form. By the interface's
// verifier (pe_c1): registers exist, and the type is one that the instruction takes.

// expected-error @+1 {{found 'd48', expected a descriptor register d0..d47}}
pe.swapd d1, d48

// -----

// expected-error @+1 {{found 'f33', expected a compute type such as f32}}
pe.mov f33 d1, d2

// -----

// expected-error @+1 {{found '32768', expected a byte offset in -32768..32767}}
pe.addd d7, 32768

// -----

// pe_c1
// expected-error @+1 {{'pe.div' op type i32 in 'div', which takes f32, f16, bf16}}
pe.div i32 d1, d2, d3

// -----

// pe_c1: the generic form can name any register.
// expected-error @+1 {{'pe.swapd' op register d50 in 'swapd', but there are d0..d47}}
"pe.swapd"() {dst = 50 : i8, src0 = 1 : i8} : () -> ()

// -----

// pe_c1: the generic form can name any type.
// expected-error @+1 {{'pe.exp' op type 15 in 'exp', which takes f32, f16, bf16}}
"pe.exp"() {type = 15 : i8, dst = 1 : i8, src0 = 1 : i8} : () -> ()

// -----

// A wider number would lose bits in the instruction word: 261 is 5 in eight bits.
// expected-error @+1 {{attribute 'dst' failed to satisfy constraint: 8-bit descriptor register}}
"pe.swapd"() {dst = 261 : i64, src0 = 1 : i8} : () -> ()

// -----

// expected-error @+1 {{attribute 'offset' failed to satisfy constraint: 16-bit byte offset}}
"pe.addd"() {dst = 1 : i8, offset = 65600 : i64} : () -> ()

// -----

// Templates and tasks have names here; numbers are given in the executable.
// expected-error @+1 {{attribute 'descriptor' failed to satisfy constraint: flat symbol reference attribute}}
"pe.ldd"() {dst = 1 : i8, descriptor = 7 : i16} : () -> ()
