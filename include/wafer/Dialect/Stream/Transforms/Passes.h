//===- Passes.h - passes on the stream dialect -----------------------------===//
//
// Constructors and registration, generated from Passes.td, which says what each pass does.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_DIALECT_STREAM_TRANSFORMS_PASSES_H
#define WAFER_DIALECT_STREAM_TRANSFORMS_PASSES_H

#include "wafer/Dialect/Stream/Stream.h"

#include "mlir/Pass/Pass.h"

namespace wafer::stream {

#define GEN_PASS_DECL
#include "wafer/Dialect/Stream/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "wafer/Dialect/Stream/Transforms/Passes.h.inc"

} // namespace wafer::stream

#endif // WAFER_DIALECT_STREAM_TRANSFORMS_PASSES_H
