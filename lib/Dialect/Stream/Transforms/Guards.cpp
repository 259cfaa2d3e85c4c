//===- Guards.cpp - tensors whose zeros make tokens of a value zero ------------===//

#include "Guards.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace wafer::stream {

namespace {

bool isZeroConstant(Value scalar) { return matchPattern(scalar, m_AnyZeroFloat()) || matchPattern(scalar, m_Zero()); }

/// x of a comparison that holds where x is not 0.
Value comparedWithZero(Value condition) {
  Value x;
  if (auto floats = condition.getDefiningOp<arith::CmpFOp>(); floats && (floats.getPredicate() == arith::CmpFPredicate::UNE || floats.getPredicate() == arith::CmpFPredicate::ONE))
    x = isZeroConstant(floats.getRhs()) ? floats.getLhs() : Value();
  else if (auto integers = condition.getDefiningOp<arith::CmpIOp>(); integers && integers.getPredicate() == arith::CmpIPredicate::ne)
    x = isZeroConstant(integers.getRhs()) ? integers.getLhs() : Value();
  return x;
}

} // namespace

GuardAnalysis::GuardAnalysis(ProgramOp program) : program_(program) {
  program.walk([&](ReceiveOp receive) { received_[receive.getTensorAttr().getAttr()] = receive.getValue(); });
}

const Guards &GuardAnalysis::of(Value value) {
  if (auto known = known_.find(value); known != known_.end())
    return known->second;
  Guards guards = compute(value);
  return known_[value] = std::move(guards);
}

Guards GuardAnalysis::compute(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  if (auto map = value.getDefiningOp<MapOp>()) {
    Scalars known;
    return ofScalar(cast<YieldOp>(map.getBody().front().back()).getValue(), map, known).guards;
  }
  if (auto contract = value.getDefiningOp<ContractOp>())
    return contract.getBiasAttr() ? Guards() : of(contract.getInput());
  if (auto scale = value.getDefiningOp<ScaleOp>())
    return scale.getBetaAttr() ? Guards() : of(scale.getInput());
  if (auto reduce = value.getDefiningOp<ReduceOp>())
    return of(reduce.getInput());
  auto send = value.getDefiningOp<SendOp>();
  if (!send)
    return {};
  StringAttr name = send.getTensorAttr().getAttr();
  Guards guards;
  auto source = received_.find(name);
  if (source != received_.end() && cast<RankedTensorType>(source->second.getType()).getShape() == type.getShape())
    guards = of(source->second);
  auto tensor = program_.lookupSymbol<TensorOp>(name);
  if (tensor.getRole() != Role::Weight && cast<RankedTensorType>(tensor.getType()).getNumElements() == type.getNumElements())
    guards.insert(name);
  return guards;
}

GuardAnalysis::Scalar GuardAnalysis::ofScalar(Value scalar, MapOp map, Scalars &known) {
  if (auto there = known.find(scalar); there != known.end())
    return there->second;
  Scalar found = compute(scalar, map, known);
  return known[scalar] = std::move(found);
}

GuardAnalysis::Scalar GuardAnalysis::compute(Value scalar, MapOp map, Scalars &known) {
  if (auto argument = dyn_cast<BlockArgument>(scalar))
    return {of(map.getInputs()[argument.getArgNumber()]), false};
  Operation *op = scalar.getDefiningOp();
  auto operand = [&](unsigned i) { return ofScalar(op->getOperand(i), map, known); };
  /// 0 where both are.
  auto both = [](Scalar a, Scalar b) {
    if (a.isZero)
      return b;
    if (b.isZero)
      return a;
    a.guards.remove_if([&](StringAttr guard) { return !b.guards.contains(guard); });
    return a;
  };
  auto one = [](Scalar a, Scalar b) {
    a.guards.insert_range(b.guards);
    return Scalar{a.guards, a.isZero || b.isZero};
  };
  return llvm::TypeSwitch<Operation *, Scalar>(op)
      .Case([&](arith::ConstantOp) { return Scalar{{}, isZeroConstant(scalar)}; })
      .Case([&](arith::SelectOp select) {
        Scalar either = both(operand(1), operand(2));
        // Where the condition's number is 0, the second is taken.
        if (Value x = comparedWithZero(select.getCondition())) {
          Scalar number = ofScalar(x, map, known), second = operand(2);
          number.guards.remove_if([&](StringAttr guard) { return !second.isZero && !second.guards.contains(guard); });
          either.guards.insert_range(number.guards);
        }
        return either;
      })
      .Case<arith::MulFOp, arith::MulIOp>([&](auto) { return one(operand(0), operand(1)); })
      .Case<arith::AddFOp, arith::SubFOp, arith::AddIOp, arith::SubIOp, arith::MaximumFOp, arith::MinimumFOp, arith::MaxNumFOp, arith::MinNumFOp>(
          [&](auto) { return both(operand(0), operand(1)); })
      .Case<arith::DivFOp, arith::ExtFOp, arith::TruncFOp, arith::NegFOp, math::AbsFOp, math::SqrtOp, math::TanhOp, math::ErfOp, math::SinOp, math::FloorOp, math::CeilOp,
            math::RoundEvenOp>([&](auto) { return operand(0); })
      .Default([](Operation *) { return Scalar(); });
}

} // namespace wafer::stream
