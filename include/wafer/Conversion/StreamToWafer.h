//===- StreamToWafer.h - kernels become machine code ------------------------===//
//
// The pass `convert-stream-to-wafer`: each stream kernel of a laid-out program becomes tasks, descriptors, buffers and schedule steps of a wafer.program.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_CONVERSION_STREAMTOWAFER_H
#define WAFER_CONVERSION_STREAMTOWAFER_H

#include <memory>

namespace mlir {
class Pass;
} // namespace mlir

namespace wafer {

/// See docs/spec/kernels.md for the code of each kernel.
std::unique_ptr<mlir::Pass> createConvertStreamToWaferPass();
void registerConvertStreamToWaferPass();

} // namespace wafer

#endif // WAFER_CONVERSION_STREAMTOWAFER_H
