// A contraction with a mask, by hand from the shell: what the mask hides is 0 and takes no product, on both engines, and the executable says all that the IR did.
//
// RUN: rm -rf %t && mkdir %t
// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-choose-wire-format,stream-assign-layout),convert-stream-to-wafer,wafer.program(wafer-merge-loads,wafer-place,wafer-route,wafer-assign-colors,wafer-allocate-sram))" -o %t/m.mlir
// RUN: FileCheck %s --check-prefix=CODE --input-file %t/m.mlir
// RUN: wafer-translate --wafer-to-wexe %t/m.mlir -o %t/m.wexe
// RUN: wafer-objdump %t/m.wexe | wafer-objdump --assemble - -o %t/again.wexe && cmp %t/m.wexe %t/again.wexe
// RUN: wafer-translate --wexe-to-wafer %t/m.wexe -o %t/back.mlir && wafer-translate --wafer-to-wexe %t/back.mlir -o %t/back.wexe && cmp %t/m.wexe %t/back.wexe
// RUN: %python -c "import numpy; r = numpy.random.default_rng(0); [numpy.save(f'%t/{n}.npy', r.integers(-9, 10, s).astype('f4')) for n, s in (('x', (12, 8)), ('w', (10, 8)), ('b', 10))]; numpy.save('%t/m.npy', (r.random((12, 10)) < 0.6).astype('f4'))"
// RUN: wafer-run %t/m.wexe --input x=%t/x.npy --input w=%t/w.npy --input b=%t/b.npy --input m=%t/m.npy --output-dir %t/functional --stats %t/functional.json
// RUN: wafer-run %t/m.wexe --input x=%t/x.npy --input w=%t/w.npy --input b=%t/b.npy --input m=%t/m.npy --output-dir %t/cycle --stats %t/cycle.json --engine cycle
// RUN: %python -c "import json, numpy; x, w, b, m = (numpy.load(f'%t/{n}.npy') for n in 'xwbm'); y = (x @ w.T + b) * m; print([(bool((numpy.load(f'%t/{e}/y.npy') == y).all()), json.load(open(f'%t/{e}.json'))['phases'][0]['steps'][0]['macs'] == int(9 * m.sum())) for e in ('functional', 'cycle')])" | FileCheck %s
//
// CHECK: [(True, True), (True, True)]
//
// CODE: pe.fmacdm f32 d1, d0, d14
// CODE: wafer.contract @w bias @b {{.*}} masks east @wafer.core::@row_east west @wafer.core::@row_west own @wafer.core::@row_own last @wafer.core::@row_last {output_zeros = 400 : i64}

stream.program @masked machine "odd" {
  stream.tensor @x <input> : tensor<12x8xf32>
  stream.tensor @m <input> : tensor<12x10xf32>
  stream.tensor @w <input> : tensor<10x8xf32>
  stream.tensor @b <input> : tensor<10xf32>
  stream.tensor @y <output> : tensor<12x10xf32>
  stream.segment {
    %x = stream.send @x : tensor<12x8xf32>
    %m = stream.send @m : tensor<12x10xf32>
    %y = stream.contract %x, @w bias @b mask %m {row_stride = 8 : i64, column_stride = 1 : i64, offset = 0 : i64, output_zeros = 400 : i64} : tensor<12x8xf32>, tensor<12x10xf32> -> tensor<12x10xf32>
    stream.receive %y, @y : tensor<12x10xf32>
  }
}
