// RUN: wafer-opt %s --pass-pipeline="builtin.module(wafer.program(wafer-assign-colors))" -split-input-file -verify-diagnostics | FileCheck %s

// Numbers that are there stay, the others get the lowest that are free.
// CHECK-LABEL: wafer.program @free_numbers
// CHECK: wafer.color @a number 0 weight
// CHECK: wafer.color @b number 1
// CHECK: wafer.color @c number 3
// CHECK: wafer.color @d number 2
// CHECK: wafer.color @e number 23
// CHECK: wafer.color @f number 4
wafer.program @free_numbers machine "odd" {
  wafer.color @a weight
  wafer.color @b number 1
  wafer.color @c
  wafer.color @d number 2
  wafer.color @e number 23
  wafer.color @f
}

// -----

// CHECK-LABEL: wafer.program @no_colors
wafer.program @no_colors machine "odd" {
}

// -----

// `odd` has the colors 0 to 23.
wafer.program @number_too_large machine "odd" {
  wafer.color @a
  // expected-error @+1 {{has number 24, but machine 'odd' has 24 colors, 0 to 23 (color_c1)}}
  wafer.color @b number 24
}

// -----

// expected-error @+1 {{needs 25 colors, but machine 'odd' has 24}}
wafer.program @too_many machine "odd" {
  wafer.color @c0
  wafer.color @c1
  wafer.color @c2
  wafer.color @c3
  wafer.color @c4
  wafer.color @c5
  wafer.color @c6
  wafer.color @c7
  wafer.color @c8
  wafer.color @c9
  wafer.color @c10
  wafer.color @c11
  wafer.color @c12
  wafer.color @c13
  wafer.color @c14
  wafer.color @c15
  wafer.color @c16
  wafer.color @c17
  wafer.color @c18
  wafer.color @c19
  wafer.color @c20
  wafer.color @c21
  wafer.color @c22
  wafer.color @c23
  wafer.color @c24
}
