//===- Wafer.cpp - the wafer dialect and its attributes ---------------------===//

#include "wafer/Dialect/Wafer/Wafer.h"
#include "wafer/Dialect/PE/PE.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include <numeric>

using namespace mlir;
using namespace wafer::wfr;

#include "wafer/Dialect/Wafer/WaferDialect.cpp.inc"
#include "wafer/Dialect/Wafer/WaferEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "wafer/Dialect/Wafer/WaferAttrs.cpp.inc"

void WaferDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "wafer/Dialect/Wafer/WaferAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "wafer/Dialect/Wafer/WaferOps.cpp.inc"
      >();
}

static LogicalResult verifyAtLeast(function_ref<InFlightDiagnostic()> emitError, StringRef name, int64_t value, int64_t least) {
  return value >= least ? success() : LogicalResult(emitError() << "found " << name << " = " << value << ", expected at least " << least);
}

LogicalResult GridAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t x0, int64_t y0, int64_t columns, int64_t rows, int64_t groups,
                               int64_t tokenBlock, int64_t tokens, int64_t microBatches, int64_t batches, int64_t batchesAtOnce, int64_t bands) {
  for (auto [name, value, least] : {std::tuple<StringRef, int64_t, int64_t>{"x0", x0, 0}, {"y0", y0, 0}, {"columns", columns, 1}, {"rows", rows, 1},
                                    {"groups", groups, 1}, {"token_block", tokenBlock, 1}, {"tokens", tokens, 1}, {"micro_batches", microBatches, 1},
                                    {"batches", batches, 1}, {"batches_at_once", batchesAtOnce, 1}})
    if (failed(verifyAtLeast(emitError, name, value, least)))
      return failure();
  if (bands < 1 || rows % bands != 0)
    return emitError() << "found bands = " << bands << ", expected a number that divides the " << rows << " rows";
  return success();
}

LogicalResult RectAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t x0, int64_t y0, int64_t nx, int64_t ny, int64_t sx, int64_t sy) {
  for (auto [name, value, least] : {std::tuple<StringRef, int64_t, int64_t>{"x0", x0, 0}, {"y0", y0, 0}, {"width", nx, 1}, {"height", ny, 1}, {"x step", sx, 1},
                                    {"y step", sy, 1}})
    if (failed(verifyAtLeast(emitError, name, value, least)))
      return failure();
  return success();
}

LogicalResult PerCoreAttr::verify(function_ref<InFlightDiagnostic()> emitError, PerCoreKind kind, int64_t dimension, int64_t features) {
  if (dimension < 0 || dimension > 3)
    return emitError() << "found dimension = " << dimension << ", expected 0 to 3";
  if (kind == PerCoreKind::ValidFeatures && features < 1)
    return emitError() << "valid_features needs features of at least 1";
  return success();
}

namespace {

/// Whether first + i*step (i < n) and first2 + j*step2 (j < n2) have a number in common.
bool progressionsMeet(int64_t first, int64_t step, int64_t n, int64_t first2, int64_t step2, int64_t n2) {
  // Walk the shorter one; rectangles of the compiler have a few thousand columns at most.
  if (n > n2) {
    std::swap(first, first2);
    std::swap(step, step2);
    std::swap(n, n2);
  }
  for (int64_t i = 0; i < n; ++i) {
    int64_t distance = first + i * step - first2;
    if (distance >= 0 && distance % step2 == 0 && distance / step2 < n2)
      return true;
  }
  return false;
}

} // namespace

bool wafer::wfr::intersect(RectAttr a, RectAttr b) {
  return progressionsMeet(a.getX0(), a.getSx(), a.getNx(), b.getX0(), b.getSx(), b.getNx()) &&
         progressionsMeet(a.getY0(), a.getSy(), a.getNy(), b.getY0(), b.getSy(), b.getNy());
}
