//===- MachineInstructions.cpp - which scalar operations a core executes ---===//
//
// The one place that says which arith and math operations a `stream.map` may hold. Each has an instruction of Isa.td with the same rounding and the
// same treatment of NaN; operations without one stay in MemoryX.
//
//===----------------------------------------------------------------------===//

#include "wafer/Dialect/Stream/Stream.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

bool wafer::stream::isMachineType(Type type) {
  return type.isF32() || type.isF16() || type.isBF16() || type.isSignlessInteger(32) || type.isSignlessInteger(16) || type.isSignlessInteger(8);
}

/// cmpeq, cmpne, cmplt and cmple, the last two also with their sources exchanged. cmpne is true for NaN, the others are not.
static bool hasComparison(arith::CmpFPredicate predicate) {
  using P = arith::CmpFPredicate;
  return llvm::is_contained({P::OEQ, P::UNE, P::OLT, P::OLE, P::OGT, P::OGE}, predicate);
}

static bool hasComparison(arith::CmpIPredicate predicate) {
  using P = arith::CmpIPredicate;
  return llvm::is_contained({P::eq, P::ne, P::slt, P::sle, P::sgt, P::sge}, predicate);
}

bool wafer::stream::hasMachineInstruction(Operation *op) {
  auto allMachineTypes = [](auto types) { return llvm::all_of(types, isMachineType); };
  if (auto cmp = dyn_cast<arith::CmpFOp>(op))
    return hasComparison(cmp.getPredicate()) && isMachineType(cmp.getLhs().getType());
  if (auto cmp = dyn_cast<arith::CmpIOp>(op))
    return hasComparison(cmp.getPredicate()) && isMachineType(cmp.getLhs().getType());
  if (auto select = dyn_cast<arith::SelectOp>(op))
    return select.getCondition().getType().isSignlessInteger(1) && isMachineType(select.getType());
  if (!allMachineTypes(op->getOperandTypes()) || !allMachineTypes(op->getResultTypes()))
    return false;
  return isa<arith::ConstantOp, arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp, arith::NegFOp, arith::MinimumFOp, arith::MaximumFOp,
             arith::ExtFOp, arith::TruncFOp, arith::SIToFPOp, arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::MinSIOp, arith::MaxSIOp, arith::AndIOp,
             arith::OrIOp, arith::XOrIOp, math::AbsFOp, math::AbsIOp, math::FloorOp, math::CeilOp, math::RoundEvenOp, math::FmaOp, math::ExpOp,
             math::LogOp, math::TanhOp, math::ErfOp, math::SqrtOp, math::RsqrtOp, math::SinOp, math::CosOp>(op);
}
