//===- RegisterAll.h - the only registration list --------------------------===//
//
// Dialects, extensions, passes and pipelines of this project, and those of MLIR that it takes in.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_REGISTERALL_H
#define WAFER_REGISTERALL_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace wafer {

/// Dialects and the extensions that passes need on them.
void registerAllDialects(mlir::DialectRegistry &registry);
/// Passes and pipelines, for textual pipelines.
void registerAllPasses();

} // namespace wafer

#endif // WAFER_REGISTERALL_H
