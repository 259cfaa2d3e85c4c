//===- StreamToWafer.h - kernels become machine code ------------------------===//
//
// The pass `convert-stream-to-wafer`, generated from StreamToWafer.td, which says what it does; docs/spec/kernels.md has the code of each kernel.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_CONVERSION_STREAMTOWAFER_H
#define WAFER_CONVERSION_STREAMTOWAFER_H

#include "wafer/Dialect/PE/PE.h"
#include "wafer/Dialect/Wafer/Wafer.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace wafer {

#define GEN_PASS_DECL
#include "wafer/Conversion/StreamToWafer.h.inc"
#define GEN_PASS_REGISTRATION
#include "wafer/Conversion/StreamToWafer.h.inc"

} // namespace wafer

#endif // WAFER_CONVERSION_STREAMTOWAFER_H
