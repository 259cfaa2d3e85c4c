//===- Passes.h - passes of the wafer dialect --------------------------------===//

#ifndef WAFER_DIALECT_WAFER_TRANSFORMS_PASSES_H
#define WAFER_DIALECT_WAFER_TRANSFORMS_PASSES_H

#include "wafer/Dialect/Wafer/Wafer.h"

#include "mlir/Pass/Pass.h"

namespace wafer::wfr {

#define GEN_PASS_DECL
#include "wafer/Dialect/Wafer/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "wafer/Dialect/Wafer/Transforms/Passes.h.inc"

} // namespace wafer::wfr

#endif // WAFER_DIALECT_WAFER_TRANSFORMS_PASSES_H
