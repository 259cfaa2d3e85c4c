//===- Wafer.h - the wafer dialect: the machine program ----------------------===//

#ifndef WAFER_DIALECT_WAFER_WAFER_H
#define WAFER_DIALECT_WAFER_WAFER_H

#include "wafer/Dialect/Stream/Stream.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"

#include "wafer/Dialect/Wafer/WaferDialect.h.inc"
#include "wafer/Dialect/Wafer/WaferEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "wafer/Dialect/Wafer/WaferAttrs.h.inc"
#define GET_OP_CLASSES
#include "wafer/Dialect/Wafer/WaferOps.h.inc"

namespace wafer::wfr {

/// Whether two strided rectangles have a core in common.
bool intersect(RectAttr a, RectAttr b);

} // namespace wafer::wfr

#endif // WAFER_DIALECT_WAFER_WAFER_H
