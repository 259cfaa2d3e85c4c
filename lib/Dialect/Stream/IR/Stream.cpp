//===- Stream.cpp - the stream dialect and its attributes ------------------===//

#include "wafer/Dialect/Stream/Stream.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SparseTensor/IR/SparseTensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace wafer::stream;

#include "wafer/Dialect/Stream/StreamDialect.cpp.inc"
#include "wafer/Dialect/Stream/StreamEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "wafer/Dialect/Stream/StreamAttrs.cpp.inc"

void StreamDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "wafer/Dialect/Stream/StreamAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "wafer/Dialect/Stream/StreamOps.cpp.inc"
      >();
}

static LogicalResult verifyPositive(function_ref<InFlightDiagnostic()> emitError, StringRef name, int64_t value) {
  if (value < 1)
    return emitError() << "found " << name << " = " << value << ", expected at least 1";
  return success();
}

LogicalResult GridAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t columns, int64_t rows, int64_t groups, int64_t tokenBlock,
                               int64_t microBatches, int64_t batchesAtOnce, int64_t bands) {
  if (bands < 1 || rows % bands != 0)
    return emitError() << "found bands = " << bands << ", expected a number that divides the " << rows << " rows";
  return success(succeeded(verifyPositive(emitError, "columns", columns)) && succeeded(verifyPositive(emitError, "rows", rows)) &&
                 succeeded(verifyPositive(emitError, "groups", groups)) && succeeded(verifyPositive(emitError, "token_block", tokenBlock)) &&
                 succeeded(verifyPositive(emitError, "micro_batches", microBatches)) &&
                 succeeded(verifyPositive(emitError, "batches_at_once", batchesAtOnce)));
}

LogicalResult LayoutAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t featureBlock) {
  if (featureBlock < 0)
    return emitError() << "found feature_block = " << featureBlock << ", expected 0 (a copy in every column) or more";
  return success();
}

LogicalResult LinkAttr::verify(function_ref<InFlightDiagnostic()> emitError, LinkKind kind, int64_t kept, int64_t size) {
  const bool structured = kind == LinkKind::Structured, sized = structured || kind == LinkKind::Blocks;
  if ((sized ? size < 2 || size > UINT16_MAX : size != 0) || (structured ? kept < 1 || kept >= size : kept != 0))
    return emitError() << "found " << stringifyLinkKind(kind) << " with kept = " << kept << " and size = " << size
                       << ", expected structured with 1 <= kept < size, blocks with size alone, at least 2, or bitmask with neither";
  return success();
}

LayoutAttr wafer::stream::getLayout(RankedTensorType type) { return dyn_cast_or_null<LayoutAttr>(type.getEncoding()); }

bool wafer::stream::wireFormatFits(WireFormat wire, Type type) {
  if (wire == WireFormat::Packed8)
    return type.isInteger(8);
  if (wire == WireFormat::Indexed16 && type.isInteger(8))
    return true;
  return wire == WireFormat::Dense32 || wire == WireFormat::Indexed32 ? type.isF32() : type.isF16() || type.isBF16();
}

WireFormat wafer::stream::denseWireFormat(Type type) {
  return type.isF32() ? WireFormat::Dense32 : type.isInteger(8) ? WireFormat::Packed8 : WireFormat::Packed16;
}

WireFormat wafer::stream::sparseWireFormat(Type type) {
  return type.isF32() ? WireFormat::Indexed32 : WireFormat::Indexed16;
}
