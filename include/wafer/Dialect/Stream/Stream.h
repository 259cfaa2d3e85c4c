//===- Stream.h - the stream dialect ---------------------------------------===//
//
// Kernels that consume and produce streams over a shape of cores: dialect, attributes and operations, generated from StreamOps.td, and the few
// questions about them that passes share. docs/rationale/stream.md says what belongs here.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_DIALECT_STREAM_STREAM_H
#define WAFER_DIALECT_STREAM_STREAM_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "wafer/Dialect/Stream/StreamDialect.h.inc"
#include "wafer/Dialect/Stream/StreamEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "wafer/Dialect/Stream/StreamAttrs.h.inc"
#define GET_OP_CLASSES
#include "wafer/Dialect/Stream/StreamOps.h.inc"

namespace wafer::stream {

/// Dimensions of a value inside a segment.
inline int64_t numTokens(mlir::RankedTensorType type) { return type.getDimSize(0); }
inline int64_t numFeatures(mlir::RankedTensorType type) { return type.getDimSize(1); }

/// The layout of a value, or null before `stream-assign-layout`.
LayoutAttr getLayout(mlir::RankedTensorType type);

/// Whether a scalar arith or math operation can stand in the body of a `stream.map` (map_c3): it has a machine instruction and types that the machine
/// stores. i1 is the result of a comparison, the operand of and, or and xor, and the condition of a select; it is never stored.
bool hasMachineInstruction(mlir::Operation *op);
/// The element types of values on the wafer: f32, f16, bf16.
bool isStorageType(mlir::Type type);

/// Whether weights in this wire format go with elements of `type` (contract_c4).
bool wireFormatFits(WireFormat wire, mlir::Type type);

/// Whether every batch entry of the segment is sent the same: with a micro-batch for each, once is enough.
bool isSameForEveryBatch(SendOp send);
/// The same where the tensor is known already.
bool isSameForEveryBatch(SendOp send, TensorOp tensor);

/// Whether a kernel may write over a value that it reads: nobody needs it any more, and it is not on its way to MemoryX.
bool isLastReader(mlir::Operation *kernel, mlir::Value value);

/// The format for values of this type that knows no zeros, and the one that sends what is not zero.
WireFormat denseWireFormat(mlir::Type type);
WireFormat sparseWireFormat(mlir::Type type);

} // namespace wafer::stream

#endif // WAFER_DIALECT_STREAM_STREAM_H
