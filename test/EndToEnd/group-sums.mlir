// Gradients on three groups of columns, by hand from the shell: their sums are added below the grid, one set leaves, and the executable says all that the IR did.
//
// RUN: rm -rf %t && mkdir %t
// RUN: wafer-opt %s --pass-pipeline="builtin.module(convert-stream-to-wafer,wafer.program(wafer-merge-loads,wafer-place,wafer-route,wafer-assign-colors,wafer-allocate-sram))" -o %t/m.mlir
// RUN: FileCheck %s --check-prefix=CODE --input-file %t/m.mlir
// RUN: wafer-translate --wafer-to-wexe %t/m.mlir -o %t/m.wexe
// RUN: wafer-objdump %t/m.wexe -o %t/m.ws && FileCheck %s --check-prefix=TEXT --input-file %t/m.ws
// RUN: wafer-objdump --assemble %t/m.ws -o %t/again.wexe && cmp %t/m.wexe %t/again.wexe
// RUN: wafer-translate --wexe-to-wafer %t/m.wexe -o %t/back.mlir && wafer-translate --wafer-to-wexe %t/back.mlir -o %t/back.wexe && cmp %t/m.wexe %t/back.wexe
// RUN: %python -c "import numpy; r = numpy.random.default_rng(0); [numpy.save(f'%t/{n}.npy', r.integers(-9, 10, s).astype('f4')) for n, s in (('d', (18, 5)), ('x', (18, 4)))]"
// RUN: wafer-run %t/m.wexe --input d=%t/d.npy --input x=%t/x.npy --output-dir %t/functional --stats %t/functional.json
// RUN: wafer-run %t/m.wexe --input d=%t/d.npy --input x=%t/x.npy --output-dir %t/cycle --stats %t/cycle.json --engine cycle
// RUN: %python -c "import json, numpy; d, x = (numpy.load(f'%t/{n}.npy') for n in 'dx'); print([(bool((numpy.load(f'%t/{e}/g.npy') == d.T @ x).all()), bool((numpy.load(f'%t/{e}/b.npy') == d.sum(0)[:, None]).all()), json.load(open(f'%t/{e}.json'))['total']['wavelets_out']) for e in ('functional', 'cycle')])" | FileCheck %s
//
// 5 x 4 sums that are added leave once, and 5 others from each of three groups.
// CHECK: [(True, True, 35), (True, True, 35)]
//
// CODE: wafer.sample @g {{.*}} on @wafer.group_sums_2 groups_added
// CODE: wafer.sample @b {{.*}} on @wafer.chain_south_0{{$}}
// TEXT: image wafer.group_sums_core command=wafer.group_sums_0 start=0 {
// TEXT: addw.f32 d1, d0
// TEXT: sample g {{.*}} groups_added colour=wafer.group_sums_2
// TEXT: sample b {{.*}} rows=1 columns=5 {{.*}} out_block=1 colour=wafer.chain_south_0

#grid = #stream.grid<columns = 2, rows = 3, groups = 3, token_block = 2, micro_batches = 1>
#five = #stream.layout<feature_block = 3>
#four = #stream.layout<feature_block = 2>
stream.program @gradient machine "odd" {
  stream.tensor @d <input> : tensor<18x5xf32>
  stream.tensor @x <input> : tensor<18x4xf32>
  stream.tensor @g <output> : tensor<5x4xf32>
  stream.tensor @b <output> : tensor<5x1xf32>
  stream.segment grid #grid {
    %d = stream.send @d : tensor<18x5xf32, #five>
    %x = stream.send @x : tensor<18x4xf32, #four>
    stream.sample %d, %x into @g groups_added {row_stride = 4 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<18x5xf32, #five>, tensor<18x4xf32, #four>
    stream.sample %d into @b {row_stride = 1 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<18x5xf32, #five>
  }
}
