// RUN: wafer-opt %s --convert-stream-to-wafer | FileCheck %s
// RUN: sed 's/micro_batches = 2> compact/micro_batches = 2>/' %s | wafer-opt --convert-stream-to-wafer | FileCheck %s --check-prefix=TWICE
// RUN: sed 's/rows = 2, groups = 1, token_block = 1, micro_batches = 2> compact/rows = 4, groups = 1, token_block = 1, micro_batches = 1>/' %s | wafer-opt --convert-stream-to-wafer | FileCheck %s --check-prefix=ONCE

// A value that leaves keeps its place until the next one leaves, over the end of a micro-batch too, so that neither the next contraction nor the next input waits
// for it; where SRAM has no room for that, it gives it up at once.

// CHECK: wafer.buffer @send_value bytes 8 live 0, 3
// CHECK: wafer.buffer @contract_value bytes 8 live 1, 2
// CHECK: wafer.buffer @contract_value_1 bytes 8 live 3, 4

// TWICE: wafer.buffer @contract_value bytes 8 live 1, 4
// TWICE: wafer.buffer @contract_value_1 bytes 8 live 0, 4

// ONCE: wafer.buffer @contract_value bytes 8 live 1, 4
// ONCE: wafer.buffer @contract_value_1 bytes 8 live 3, 4

stream.program @two machine "odd" {
  stream.tensor @x <input> : tensor<4x6xf32>
  stream.tensor @v <weight> : tensor<6x6xf32>
  stream.tensor @w <weight> : tensor<6x6xf32>
  stream.tensor @a <output> : tensor<4x6xf32>
  stream.tensor @b <output> : tensor<4x6xf32>
  stream.segment grid <columns = 3, rows = 2, groups = 1, token_block = 1, micro_batches = 2> compact {
    %x = stream.send @x : tensor<4x6xf32, #stream.layout<feature_block = 2>>
    %a = stream.contract %x, @v wire <dense32> {row_stride = 6 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4x6xf32, #stream.layout<feature_block = 2>> -> tensor<4x6xf32, #stream.layout<feature_block = 2>>
    stream.receive %a, @a : tensor<4x6xf32, #stream.layout<feature_block = 2>>
    %b = stream.contract %x, @w wire <dense32> {row_stride = 6 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4x6xf32, #stream.layout<feature_block = 2>> -> tensor<4x6xf32, #stream.layout<feature_block = 2>>
    stream.receive %b, @b : tensor<4x6xf32, #stream.layout<feature_block = 2>>
  }
}
