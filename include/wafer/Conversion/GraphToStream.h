//===- GraphToStream.h - layers become kernels and calls -------------------===//
//
// The pass `convert-graph-to-stream`, generated from GraphToStream.td, which says what it does.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_CONVERSION_GRAPHTOSTREAM_H
#define WAFER_CONVERSION_GRAPHTOSTREAM_H

#include "wafer/Dialect/Stream/Stream.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace wafer {

#define GEN_PASS_DECL
#include "wafer/Conversion/GraphToStream.h.inc"
#define GEN_PASS_REGISTRATION
#include "wafer/Conversion/GraphToStream.h.inc"

} // namespace wafer

#endif // WAFER_CONVERSION_GRAPHTOSTREAM_H
