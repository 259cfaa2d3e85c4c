//===- GraphToStream.td - the conversion from layers to kernels -------------===//

#ifndef WAFER_CONVERSION_GRAPHTOSTREAM_TD
#define WAFER_CONVERSION_GRAPHTOSTREAM_TD

include "mlir/Pass/PassBase.td"

def ConvertGraphToStream : Pass<"convert-graph-to-stream", "::mlir::ModuleOp"> {
  let summary = "Turn placed layers into segments of stream kernels and calls of MemoryX functions";
  let description = [{
    Replaces each function that holds placed layers by a `stream.program` of the same name: a `stream.tensor` per argument, result and value that crosses
    between the wafer and MemoryX, a `stream.segment` per run of layers on the wafer, and a `stream.call` with its `func.func` per layer on MemoryX.

    Needs layers with placements (graph-partition) and static shapes; refuses two arguments or results of one name (argument_c4) and names that the program needs (argument_c5). Afterwards a contraction is
    a `stream.contract` that names its weight, a bias added to its result is part of it, sums and products with per-feature parameters are `stream.scale`,
    other elementwise work is `stream.map`, reductions are `stream.reduce`, reshapes are gone. Values keep their element types, have no layout and weights
    no wire format. Layers with different numbers of tokens go to different segments. A value that leaves the wafer is received right after its kernel.

    Before:   %y = graph.layer "fc1" on <wafer> (%x, %fc1_weight) { linalg.generic ... }
    After:    stream.segment { %0 = stream.send @x  %1 = stream.contract %0, @fc1.weight  stream.receive %1, @output }

    Example: test/Conversion/graph-to-stream.mlir
  }];
  let dependentDialects = ["::wafer::stream::StreamDialect", "::mlir::tensor::TensorDialect"];
  let options = [Option<"machine", "machine", "std::string", "\"small\"", "Machine that the program is for: a preset's name or the path of a description">];
}

#endif // WAFER_CONVERSION_GRAPHTOSTREAM_TD
