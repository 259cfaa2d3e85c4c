//===- MachineInstructions.cpp - which scalar operations a core executes ---===//
//
// The one place that says which arith and math operations a `stream.map` may hold. Each has an instruction of Isa.td with the same rounding and the
// same treatment of NaN; operations without one stay in MemoryX.
//
//===----------------------------------------------------------------------===//

#include "wafer/Dialect/Stream/Stream.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

bool wafer::stream::isStorageType(Type type) { return type.isF32() || type.isF16() || type.isBF16(); }

/// cmpeq, cmpne, cmplt and cmple, the last two also with their sources exchanged. cmpne is true for NaN, the others are not.
static bool hasComparison(arith::CmpFPredicate predicate) {
  using P = arith::CmpFPredicate;
  return llvm::is_contained({P::OEQ, P::UNE, P::OLT, P::OLE, P::OGT, P::OGE}, predicate);
}

/// A machine rounds where MLIR cuts off, which is the same for whole numbers: what is rounded, perhaps clamped to whole bounds.
static bool isWhole(Value value) {
  FloatAttr number;
  if (matchPattern(value, m_Constant(&number)))
    return number.getValue().isInteger();
  Operation *op = value.getDefiningOp();
  if (isa_and_present<math::RoundEvenOp>(op))
    return true;
  return isa_and_present<arith::MinimumFOp, arith::MaximumFOp>(op) && llvm::all_of(op->getOperands(), isWhole);
}

bool wafer::stream::hasMachineInstruction(Operation *op) {
  auto isTruth = [](Type type) { return type.isSignlessInteger(1); };
  if (op->getNumResults() != 1)
    return false;
  Type result = op->getResult(0).getType();
  if (auto cmp = dyn_cast<arith::CmpFOp>(op))
    return hasComparison(cmp.getPredicate()) && isStorageType(cmp.getLhs().getType());
  if (auto select = dyn_cast<arith::SelectOp>(op))
    return isTruth(select.getCondition().getType()) && isStorageType(result);
  if (isa<arith::AndIOp, arith::OrIOp, arith::XOrIOp>(op))
    return isTruth(result);
  if (auto convert = dyn_cast<arith::UIToFPOp>(op))
    return isTruth(convert.getIn().getType()) && isStorageType(result);
  // Conversions that ride on what is read and written.
  if (auto convert = dyn_cast<arith::SIToFPOp>(op))
    return (convert.getIn().getType().isInteger(32) || convert.getIn().getType().isInteger(8)) && isStorageType(result);
  if (auto convert = dyn_cast<arith::FPToSIOp>(op))
    return convert.getIn().getType().isF32() && result.isInteger(8) && isWhole(convert.getIn()) && convert->hasOneUse() &&
           convert->user_begin()->hasTrait<OpTrait::IsTerminator>();
  if (isa<arith::ConstantOp>(op))
    return isTruth(result) || isStorageType(result);
  if (!llvm::all_of(op->getOperandTypes(), isStorageType) || !isStorageType(result))
    return false;
  return isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp, arith::NegFOp, arith::MinimumFOp, arith::MaximumFOp, arith::ExtFOp,
             arith::TruncFOp, math::AbsFOp, math::FloorOp, math::CeilOp, math::RoundEvenOp, math::FmaOp, math::ExpOp, math::LogOp, math::TanhOp,
             math::ErfOp, math::SqrtOp, math::RsqrtOp, math::SinOp, math::CosOp>(op);
}
