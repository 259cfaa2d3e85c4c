// RUN: wafer-opt %s --pass-pipeline="builtin.module(wafer.program(wafer-allocate-sram))" -split-input-file -verify-diagnostics | FileCheck %s

// Data lies behind code (8 bytes an instruction) and templates (32 bytes each): 3 * 8 + 1 * 32 = 56. Largest first, 8-byte aligned whatever the sizes.
// CHECK-LABEL: wafer.program @behind_the_code
// CHECK: wafer.buffer @small bytes 3 live 0, 2 at 160
// CHECK: wafer.buffer @large bytes 99 live 0, 2 at 56
// CHECK: wafer.buffer @next bytes 3 live 0, 2 at 168
wafer.program @behind_the_code machine "odd" {
  wafer.image @core command @command {
    wafer.buffer @small bytes 3 live 0, 2
    wafer.buffer @large bytes 99 live 0, 2
    wafer.buffer @next bytes 3 live 0, 2
    wafer.descriptor @d <const> f32 value 0
    wafer.task @a control 0 {
      pe.ldd d0, @d
      pe.swapd d0, d1
      pe.end
    }
  }
}

// -----

// Buffers share bytes when one dies before the other is made. Steps are closed intervals: @b is read at step 3, where @c is made.
// CHECK-LABEL: wafer.program @shared
// CHECK: wafer.buffer @a bytes 64 live 0, 2 at 0
// CHECK: wafer.buffer @b bytes 64 live 1, 3 at 64
// CHECK: wafer.buffer @c bytes 64 live 3, 5 at 0
wafer.program @shared machine "odd" {
  wafer.image @core command @command {
    wafer.buffer @a bytes 64 live 0, 2
    wafer.buffer @b bytes 64 live 1, 3
    wafer.buffer @c bytes 64 live 3, 5
  }
}

// -----

// A hole that is large enough is taken; addresses that are there stay; accumulators lie in a memory of their own, of 512 bytes.
// CHECK-LABEL: wafer.program @holes
// CHECK: wafer.buffer @fixed bytes 16 live 0, 5 at 32
// CHECK: wafer.buffer @fits bytes 32 live 0, 5 at 0
// CHECK: wafer.buffer @large bytes 40 live 0, 5 at 48
// CHECK: wafer.buffer @acc0 bytes 256 live 0, 5 acc at 0
// CHECK: wafer.buffer @acc1 bytes 256 live 0, 5 acc at 256
wafer.program @holes machine "odd" {
  wafer.image @core command @command {
    wafer.buffer @fixed bytes 16 live 0, 5 at 32
    wafer.buffer @fits bytes 32 live 0, 5
    wafer.buffer @large bytes 40 live 0, 5
    wafer.buffer @acc0 bytes 256 live 0, 5 acc
    wafer.buffer @acc1 bytes 256 live 0, 5 acc
  }
}

// -----

// Two values that live at the same time: 32768 + 16384 bytes are the whole SRAM, and the code is too much.
wafer.program @sram_too_small machine "odd" {
  // expected-error @+1 {{needs 49160 bytes of SRAM (8 of them code and descriptors), but machine 'odd' has 49152; use more columns or a smaller token block}}
  wafer.image @core command @command {
    // expected-note @+1 {{buffer '@second' takes 16384 bytes}}
    wafer.buffer @second bytes 16384 live 1, 3
    // expected-note @+1 {{buffer '@first' takes 32768 bytes}}
    wafer.buffer @first bytes 32768 live 0, 2
    wafer.task @a control 0 {
      pe.end
    }
  }
}

// -----

wafer.program @accumulators_too_small machine "odd" {
  // expected-error @+1 {{needs 528 bytes of accumulators, but machine 'odd' has 512; use a smaller token block}}
  wafer.image @core command @command {
    // expected-note @+1 {{buffer '@acc0' takes 264 bytes}}
    wafer.buffer @acc0 bytes 264 live 0, 5 acc
    // expected-note @+1 {{buffer '@acc1' takes 264 bytes}}
    wafer.buffer @acc1 bytes 264 live 0, 5 acc
  }
}

// -----

// An address that was given counts like one that was chosen.
wafer.program @address_outside machine "odd" {
  // expected-error @+1 {{needs 49160 bytes of SRAM (0 of them code and descriptors), but machine 'odd' has 49152}}
  wafer.image @core command @command {
    // expected-note @+1 {{buffer '@a' takes 16 bytes}}
    wafer.buffer @a bytes 16 live 0, 5 at 49144
  }
}
