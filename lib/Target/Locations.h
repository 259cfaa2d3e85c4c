//===- Locations.h - source lines in executables -----------------------------===//

#ifndef WAFER_LIB_TARGET_LOCATIONS_H
#define WAFER_LIB_TARGET_LOCATIONS_H

#include "mlir/IR/Location.h"

#include <string>

namespace wafer {

/// "model.py:12" of the innermost file location, "" when there is none.
std::string locationText(mlir::Location loc);
/// The inverse: a file location for "model.py:12".
mlir::Location locationFromText(mlir::MLIRContext *context, llvm::StringRef text);
/// The name that a frontend gave the operation, or "".
std::string locationName(mlir::Location loc);

} // namespace wafer

#endif // WAFER_LIB_TARGET_LOCATIONS_H
