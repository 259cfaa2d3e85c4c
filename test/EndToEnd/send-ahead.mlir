// A tensor that comes beside a contraction, and the same program without that: all engines give the same bits, and it takes less time. The executable says what the IR did.
//
// RUN: rm -rf %t && mkdir %t
// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-choose-wire-format,stream-assign-layout),convert-stream-to-wafer,wafer.program(wafer-merge-loads,wafer-place,wafer-route,wafer-assign-colors,wafer-allocate-sram))" -o %t/m.mlir
// RUN: wafer-translate --wafer-to-wexe %t/m.mlir -o %t/ahead.wexe
// RUN: wafer-objdump %t/ahead.wexe -o %t/ahead.ws && FileCheck %s --check-prefix=TEXT --input-file %t/ahead.ws
// RUN: wafer-objdump --assemble %t/ahead.ws -o %t/again.wexe && cmp %t/ahead.wexe %t/again.wexe
// RUN: wafer-translate --wexe-to-wafer %t/ahead.wexe -o %t/back.mlir && wafer-translate --wafer-to-wexe %t/back.mlir -o %t/back.wexe && cmp %t/ahead.wexe %t/back.wexe
// RUN: sed 's/ beside=2//' %t/ahead.ws > %t/plain.ws && wafer-objdump --assemble %t/plain.ws -o %t/plain.wexe
// RUN: %python -c "import numpy, safetensors.numpy as s; r = numpy.random.default_rng(0); [numpy.save(f'%t/{n}.npy', r.standard_normal((512, 64)).astype('f4')) for n in 'xz']; s.save_file({n: r.standard_normal((64, 64)).astype('f4') for n in 'wv'}, '%t/w.safetensors')"
// RUN: wafer-run %t/ahead.wexe --weights %t/w.safetensors --input x=%t/x.npy --input z=%t/z.npy --output-dir %t/functional
// RUN: wafer-run %t/ahead.wexe --weights %t/w.safetensors --input x=%t/x.npy --input z=%t/z.npy --output-dir %t/cycle --engine cycle --stats %t/cycle.json
// RUN: wafer-run %t/ahead.wexe --engine timing --stats %t/timing.json
// RUN: wafer-run %t/plain.wexe --weights %t/w.safetensors --input x=%t/x.npy --input z=%t/z.npy --output-dir %t/plain --engine cycle --stats %t/plain.json
// RUN: cmp %t/functional/y.npy %t/cycle/y.npy && cmp %t/cycle/y.npy %t/plain/y.npy
// RUN: %python -c "import json; a, t, p = (json.load(open(f'%t/{n}.json'))['total'] for n in ('cycle', 'timing', 'plain')); print(a['cycles'] < 0.9 * p['cycles'], abs(t['cycles'] - a['cycles']) <= 0.01 * a['cycles'], a['bytes_streamed'] == p['bytes_streamed'] == t['bytes_streamed'])" | FileCheck %s
//
// CHECK: True True True
// TEXT: send z {{.*}} beside=2

stream.program @residual machine "small" {
  stream.tensor @x <input> : tensor<512x64xf32>
  stream.tensor @z <input> : tensor<512x64xf32>
  stream.tensor @w <weight> : tensor<64x64xf32>
  stream.tensor @v <weight> : tensor<64x64xf32>
  stream.tensor @y <output> : tensor<512x64xf32>
  stream.segment {
    %x = stream.send @x : tensor<512x64xf32>
    %h = stream.contract %x, @w {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<512x64xf32> -> tensor<512x64xf32>
    %s = stream.contract %h, @v {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<512x64xf32> -> tensor<512x64xf32>
    %z = stream.send @z : tensor<512x64xf32>
    %y = stream.map %s, %z : (tensor<512x64xf32>, tensor<512x64xf32>) -> tensor<512x64xf32> {
    ^bb0(%a: f32, %b: f32):
      %sum = arith.addf %a, %b : f32
      stream.yield %sum : f32
    }
    stream.receive %y, @y : tensor<512x64xf32>
  }
}
