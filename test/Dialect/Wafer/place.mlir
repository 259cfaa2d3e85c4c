// RUN: sed 's/"control_tasks": 64/"control_tasks": 2/' %machines/odd.json > %t.json
// RUN: sed 's|FEW_TASKS|%t.json|' %s > %t.mlir
// RUN: wafer-opt %t.mlir --pass-pipeline="builtin.module(wafer.program(wafer-place))" -split-input-file -verify-diagnostics | FileCheck %s

// Wherever a grid was, it begins in the north-west corner; all of `odd` (7 x 5 cores) may be taken. Tokens and micro-batches are nobody's place.
// CHECK-LABEL: wafer.program @whole_machine
// CHECK: wafer.phase <x0 = 0, y0 = 0, columns = 7, rows = 5, groups = 1, token_block = 3, tokens = 100, micro_batches = 7>
// CHECK: wafer.phase <x0 = 0, y0 = 0, columns = 7, rows = 5, groups = 1, token_block = 2, tokens = 9, micro_batches = 1>
wafer.program @whole_machine machine "odd" {
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 3, y0 = 1, columns = 7, rows = 5, groups = 1, token_block = 3, tokens = 100, micro_batches = 7> command @command {
    }
    wafer.phase <x0 = 0, y0 = 0, columns = 7, rows = 5, groups = 1, token_block = 2, tokens = 9, micro_batches = 1> command @command {
    }
  }
}

// -----

// Nothing runs on the wafer: nothing has to be placed, and no machine is asked for.
// CHECK-LABEL: wafer.program @no_phase
wafer.program @no_phase machine "huge" {
  wafer.entry @forward [] -> [] {
  }
}

// -----

// Groups stand side by side: three of three columns are nine.
wafer.program @too_wide machine "odd" {
  wafer.entry @forward [] -> [] {
    // expected-error @+1 {{needs 9 x 1 cores, but machine 'odd' has 7 x 5; use a larger machine or a smaller grid}}
    wafer.phase <x0 = 0, y0 = 0, columns = 3, rows = 1, groups = 3, token_block = 1, tokens = 1, micro_batches = 1> command @command {
    }
  }
}

// -----

wafer.program @too_high machine "odd" {
  wafer.entry @forward [] -> [] {
    // expected-error @+1 {{needs 7 x 6 cores, but machine 'odd' has 7 x 5; use a larger machine or a smaller grid}}
    wafer.phase <x0 = 0, y0 = 0, columns = 7, rows = 6, groups = 1, token_block = 1, tokens = 1, micro_batches = 1> command @command {
    }
  }
}

// -----

// A core of this machine has room for two control tasks; data tasks take none.
wafer.program @too_many_tasks machine "FEW_TASKS" {
  // expected-error @+1 {{has 3 control tasks, but a core of machine 'odd' has room for 2 (task_c5); split the layer}}
  wafer.image @core command @command {
    wafer.task @weights data 0 {
      pe.fmacp f16 d1, d0
      pe.end
    }
    wafer.task @t0 control 0 {
      pe.end
    }
    wafer.task @t1 control 1 {
      pe.end
    }
    wafer.task @t2 control 2 {
      pe.end
    }
  }
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 7, rows = 5, groups = 1, token_block = 1, tokens = 1, micro_batches = 1> command @command {
    }
  }
}

// -----

// Phases share images and routes, so they have one shape; the same 7 columns as one group are another one.
wafer.program @two_shapes machine "odd" {
  wafer.entry @forward [] -> [] {
    // expected-note @+1 {{first phase here}}
    wafer.phase <x0 = 0, y0 = 0, columns = 1, rows = 5, groups = 7, token_block = 1, tokens = 1, micro_batches = 1> command @command {
    }
    // expected-error @+1 {{has 1 groups of 7 x 5 cores, expected the 7 groups of 1 x 5 of the first phase of its load}}
    wafer.phase <x0 = 0, y0 = 0, columns = 7, rows = 5, groups = 1, token_block = 1, tokens = 1, micro_batches = 1> command @command {
    }
  }
}

// -----

// Rings close within bands.
wafer.program @bands_that_differ machine "odd" {
  wafer.entry @forward [] -> [] {
    // expected-note @+1 {{first phase here}}
    wafer.phase <x0 = 0, y0 = 0, columns = 7, rows = 4, groups = 1, token_block = 1, tokens = 1, micro_batches = 1> command @command {
    }
    // expected-error @+1 {{has 1 groups of 7 x 4 / 2 cores, expected the 1 groups of 7 x 4 of the first phase of its load}}
    wafer.phase <x0 = 0, y0 = 0, columns = 7, rows = 4, groups = 1, token_block = 1, tokens = 1, micro_batches = 1, bands = 2> command @command {
    }
  }
}

// -----

// expected-error-re @+1 {{cannot load its machine: {{.*}}'huge'}}
wafer.program @unknown_machine machine "huge" {
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 1, rows = 1, groups = 1, token_block = 1, tokens = 1, micro_batches = 1> command @command {
    }
  }
}
