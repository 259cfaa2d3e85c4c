//===- Zeros.cpp - zeros of values, and where they come from -----------------===//

#include "Zeros.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

#include <limits>

using namespace mlir;

namespace wafer::stream {

namespace {

Facts either(Facts a, Facts b) { return {a.zero || b.zero, a.wholeTokens || b.wholeTokens, std::min(a.lowest, b.lowest)}; }
Facts zerosOf(Facts a) { return {a.zero, a.wholeTokens, 0}; }

/// A constant with fewer zeros than one in so many is not taken for a mask.
constexpr int64_t fewestZeros = 8;

Facts ofConstant(Attribute constant) {
  if (auto number = dyn_cast<FloatAttr>(constant))
    return {number.getValue().isZero(), false, std::min(0.0, number.getValueAsDouble())};
  if (auto integer = dyn_cast<IntegerAttr>(constant))
    return {integer.getValue().isZero(), false, 0};
  auto floats = dyn_cast<DenseFPElementsAttr>(constant);
  if (!floats)
    return {};
  if (floats.isSplat())
    return ofConstant(floats.getSplatValue<FloatAttr>());
  Facts facts;
  int64_t zeros = 0, infinite = 0;
  for (const APFloat &value : floats.getValues<APFloat>()) {
    zeros += value.isZero();
    infinite += value.isNegative() && value.isInfinity();
  }
  facts.zero = zeros * fewestZeros >= floats.getNumElements();
  if (infinite > 0) {
    facts.lowest = -std::numeric_limits<double>::infinity();
    facts.infinite = double(infinite) / floats.getNumElements();
  }
  return facts;
}

} // namespace

ZeroAnalysis::ZeroAnalysis(ProgramOp program) : program_(program) {
  program.walk([&](ReceiveOp receive) { received_[receive.getTensorAttr().getAttr()] = receive.getValue(); });
  program.walk([&](CallOp call) {
    for (auto [number, output] : llvm::enumerate(call.getOutputs().getAsRange<FlatSymbolRefAttr>()))
      called_[output.getAttr()] = {call, static_cast<unsigned>(number)};
  });
}

Facts ZeroAnalysis::ofTensor(StringAttr name) {
  if (auto value = received_.find(name); value != received_.end())
    return ofBlock(value->second);
  auto tensor = program_.lookupSymbol<TensorOp>(name);
  if (tensor && cast<RankedTensorType>(tensor.getType()).getElementType().isInteger(1))
    return {true, false, 0}; // a mask
  auto call = called_.find(name);
  return call == called_.end() ? Facts() : ofCall(call->second.first, call->second.second);
}

/// Scalars of a map that are the same for all features of a token, in one pass over its body.
static llvm::DenseSet<Value> perTokenScalars(MapOp map) {
  Block &body = map.getBody().front();
  llvm::DenseSet<Value> found;
  for (BlockArgument argument : body.getArguments())
    if (numFeatures(cast<RankedTensorType>(map.getInputs()[argument.getArgNumber()].getType())) == 1)
      found.insert(argument);
  for (Operation &op : body)
    if (llvm::all_of(op.getOperands(), [&](Value operand) { return found.contains(operand); }))
      found.insert(op.result_begin(), op.result_end());
  return found;
}

/// A value in a function of MemoryX: constants, what is done element by element, and what only moves elements. What was a token may lie along features there.
Facts ZeroAnalysis::ofCalled(Value value, CallOp call) {
  if (auto known = blocks_.find(value); known != blocks_.end())
    return known->second;
  Facts facts;
  Attribute constant;
  Operation *op = value.getDefiningOp();
  if (!op) {
    facts = ofTensor(cast<FlatSymbolRefAttr>(call.getInputs()[cast<BlockArgument>(value).getArgNumber()]).getAttr());
  } else if (matchPattern(value, m_Constant(&constant))) {
    facts = ofConstant(constant);
  } else if (isa<linalg::TransposeOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op)) {
    facts = ofCalled(op->getOperand(0), call);
  } else if (auto fill = dyn_cast<linalg::FillOp>(op)) {
    facts = ofCalled(fill.getInputs()[0], call);
  } else if (auto generic = dyn_cast<linalg::GenericOp>(op); generic && generic.getNumReductionLoops() == 0) {
    auto ofArgument = [&](BlockArgument argument) {
      OpOperand *operand = generic.getMatchingOpOperand(argument);
      return generic.isDpsInput(operand) ? ofCalled(operand->get(), call) : Facts();
    };
    auto ofToken = [](Value) { return false; };
    Scalars scalars{ofArgument, ofToken};
    facts = ofScalar(generic.getBody()->getTerminator()->getOperand(cast<OpResult>(value).getResultNumber()), scalars);
  }
  facts.wholeTokens = false;
  return blocks_[value] = facts;
}

Facts ZeroAnalysis::ofCall(CallOp call, unsigned result) {
  auto function = program_.lookupSymbol<func::FuncOp>(call.getCalleeAttr().getAttr());
  if (!function || !function.getBody().hasOneBlock())
    return {};
  return ofCalled(function.getBody().front().getTerminator()->getOperand(result), call);
}

Facts ZeroAnalysis::ofBlock(Value value) {
  if (auto known = blocks_.find(value); known != blocks_.end())
    return known->second;
  Facts facts;
  if (auto map = value.getDefiningOp<MapOp>()) {
    facts = ofScalar(map, cast<YieldOp>(map.getBody().front().back()).getValue());
  } else if (auto send = value.getDefiningOp<SendOp>()) {
    facts = ofTensor(send.getTensorAttr().getAttr());
  } else if (auto scale = value.getDefiningOp<ScaleOp>(); scale && !scale.getBetaAttr()) {
    facts = zerosOf(ofBlock(scale.getInput()));
  } else if (auto contract = value.getDefiningOp<ContractOp>(); contract && !contract.getBiasAttr()) {
    const bool wholeTokens = ofBlock(contract.getInput()).wholeTokens;
    facts = {wholeTokens, wholeTokens, 0};
  } else if (auto reduce = value.getDefiningOp<ReduceOp>()) {
    const bool wholeTokens = ofBlock(reduce.getInput()).wholeTokens;
    facts = {wholeTokens, wholeTokens, 0};
  }
  if (numFeatures(cast<RankedTensorType>(value.getType())) == 1)
    facts.wholeTokens = facts.zero;
  return blocks_[value] = facts;
}

Facts ZeroAnalysis::ofScalar(MapOp map, Value scalar) {
  auto ofArgument = [&](BlockArgument argument) { return ofBlock(map.getInputs()[argument.getArgNumber()]); };
  const llvm::DenseSet<Value> perToken = perTokenScalars(map);
  auto ofToken = [&](Value token) { return perToken.contains(token); };
  Scalars scalars{ofArgument, ofToken};
  return ofScalar(scalar, scalars);
}

Facts ZeroAnalysis::ofScalar(Value scalar, Scalars &scalars) {
  if (auto there = scalars.known.find(scalar); there != scalars.known.end())
    return there->second;
  Facts facts = compute(scalar, scalars);
  return scalars.known[scalar] = facts;
}

Facts ZeroAnalysis::compute(Value scalar, Scalars &scalars) {
  if (auto argument = dyn_cast<BlockArgument>(scalar))
    return scalars.ofArgument(argument);
  Operation *op = scalar.getDefiningOp();
  auto operand = [&](unsigned i) { return ofScalar(op->getOperand(i), scalars); };
  return llvm::TypeSwitch<Operation *, Facts>(op)
      .Case([](arith::ConstantOp constant) { return ofConstant(constant.getValue()); })
      .Case<arith::CmpFOp, arith::CmpIOp>([&](auto) { return Facts{true, scalars.isPerToken(scalar), 0}; })
      .Case([&](arith::SelectOp select) {
        Facts facts = either(operand(1), operand(2));
        facts.wholeTokens |= facts.zero && operand(0).wholeTokens;
        return facts;
      })
      .Case<arith::MaximumFOp, arith::MaxNumFOp, arith::MinimumFOp, arith::MinNumFOp, arith::MaxSIOp, arith::MinSIOp, arith::MulFOp, arith::MulIOp, arith::AndIOp>(
          [&](auto) { return either(operand(0), operand(1)); })
      .Case<arith::AddFOp, arith::SubFOp>([&](auto) { return Facts{false, false, isa<arith::AddFOp>(op) ? std::min(operand(0).lowest, operand(1).lowest) : operand(0).lowest}; })
      .Case<arith::DivFOp, arith::ExtFOp, arith::TruncFOp, arith::ExtUIOp, arith::ExtSIOp, arith::TruncIOp>([&](auto) { return operand(0); })
      .Case<arith::UIToFPOp, arith::SIToFPOp, arith::FPToSIOp, arith::NegFOp, math::AbsFOp, math::SqrtOp, math::TanhOp, math::ErfOp, math::SinOp, math::FloorOp, math::CeilOp,
            math::RoundEvenOp>([&](auto) { return zerosOf(operand(0)); })
      .Case<math::ExpOp, math::Exp2Op>([&](auto) { return Facts{operand(0).isMasked(), false, 0}; })
      .Default([](Operation *) { return Facts(); });
}

} // namespace wafer::stream
