//===- SampleGradients.cpp - graph-sample-gradients --------------------------===//
//
// The gradient of a weight is a contraction over tokens, of a sparse weight one of which only the kept positions are wanted.
//
//===----------------------------------------------------------------------===//

#include "wafer/Analysis/ContractionCost.h"
#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Graph.h"
#include "wafer/Dialect/Graph/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace wafer::graph {

#define GEN_PASS_DEF_SAMPLEGRADIENTS
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"

namespace {

using Dims = SmallVector<unsigned>;

/// Rows and columns of a gradient, each with the operand whose features they are.
struct Match {
  Value rows, columns; ///< no columns: 1
  size_t summed = 0; ///< leading dimensions of both operands
};

/// A sum over the leading dimensions of both operands, whose other dimensions make the result: those of one, then those of the other.
std::optional<Match> match(linalg::LinalgOp op) {
  if (!isContraction(op) || op.getNumDpsInputs() != 2 || op.hasDynamicShape())
    return std::nullopt;
  auto begin = constantScalar(op.getDpsInits()[0]);
  auto number = dyn_cast_or_null<FloatAttr>(begin);
  if (!number || !number.getValue().isPosZero() || !isa<RankedTensorType>(op->getResult(0).getType()))
    return std::nullopt;
  std::optional<Dims> result = plainDims(op.getMatchingIndexingMap(op.getDpsInitOperand(0)));
  std::optional<Dims> operands[2];
  for (unsigned i : {0, 1}) {
    OpOperand *operand = op.getDpsInputOperand(i);
    operands[i] = plainDims(op.getMatchingIndexingMap(operand));
    if (!operands[i] || !getElementTypeOrSelf(operand->get().getType()).isF32() || viewOfParameter(operand->get()) || constantScalar(operand->get()))
      return std::nullopt;
  }
  if (!result || !getElementTypeOrSelf(op->getResult(0).getType()).isF32())
    return std::nullopt;
  for (unsigned first : {0, 1}) {
    const Dims &rows = *operands[first], &columns = *operands[1 - first];
    size_t summed = 0;
    while (summed < rows.size() && summed < columns.size() && rows[summed] == columns[summed] && !llvm::is_contained(*result, rows[summed]))
      ++summed;
    Dims made(rows.begin() + summed, rows.end());
    made.append(columns.begin() + summed, columns.end());
    if (summed > 0 && made == *result)
      return Match{op.getDpsInputOperand(first)->get(), op.getDpsInputOperand(1 - first)->get(), summed};
  }
  return std::nullopt;
}

/// A sum over the leading dimensions of its operand.
std::optional<Match> matchSum(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumDpsInits() != 1 || op.hasDynamicShape() || isContraction(op) || op.getNumReductionLoops() == 0)
    return std::nullopt;
  auto begin = constantScalar(op.getDpsInits()[0]);
  auto number = dyn_cast_or_null<FloatAttr>(begin);
  std::optional<Dims> operand = plainDims(op.getMatchingIndexingMap(op.getDpsInputOperand(0))), result = plainDims(op.getMatchingIndexingMap(op.getDpsInitOperand(0)));
  Block *body = op.getBlock();
  auto add = dyn_cast_or_null<arith::AddFOp>(body->getTerminator()->getOperand(0).getDefiningOp());
  auto isArgument = [&](Value value, unsigned number) { return value == body->getArgument(number); };
  bool adds = add && ((isArgument(add.getLhs(), 0) && isArgument(add.getRhs(), 1)) || (isArgument(add.getLhs(), 1) && isArgument(add.getRhs(), 0)));
  if (!number || !number.getValue().isZero() || !operand || !result || !adds || !getElementTypeOrSelf(op.getDpsInputs()[0].getType()).isF32() || constantScalar(op.getDpsInputs()[0]))
    return std::nullopt;
  const size_t summed = operand->size() - std::min(operand->size(), result->size());
  Dims trailing(operand->begin() + summed, operand->end());
  if (summed != op.getNumReductionLoops() || trailing != *result)
    return std::nullopt;
  return Match{op.getDpsInputs()[0], Value(), summed};
}

/// The leading dimensions as tokens, the others as features.
Value flattened(OpBuilder &builder, Location loc, Value value, size_t leading) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<ReassociationIndices> groups(2);
  for (int64_t d = 0; d < type.getRank(); ++d)
    groups[static_cast<size_t>(d) < leading ? 0 : 1].push_back(d);
  if (type.getRank() == 2 && leading == 1)
    return value;
  if (groups[1].empty()) {
    groups.pop_back();
    value = tensor::CollapseShapeOp::create(builder, loc, value, groups);
    int64_t tokens = cast<RankedTensorType>(value.getType()).getDimSize(0);
    return tensor::ExpandShapeOp::create(builder, loc, RankedTensorType::get({tokens, 1}, type.getElementType()), value, ArrayRef<ReassociationIndices>{{0, 1}});
  }
  return tensor::CollapseShapeOp::create(builder, loc, value, groups);
}

/// Operations that give elements of their first operand in another order or shape, or sums of some: MemoryX's work.
bool onlyArranges(Operation *op) {
  auto sum = dyn_cast<linalg::GenericOp>(op);
  return isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::ExtractSliceOp, linalg::TransposeOp>(op) || (sum && sum.getNumDpsInputs() == 1 && sum.getNumReductionLoops() > 0);
}

/// Whether all that is made of a value is arranged and returned.
bool isOnlyReturned(Value value) {
  return llvm::all_of(value.getUsers(), [](Operation *user) { return user->hasTrait<OpTrait::ReturnLike>() || (onlyArranges(user) && isOnlyReturned(user->getResult(0))); });
}

int64_t tokensOf(const Match &match) {
  return ShapedType::getNumElements(cast<RankedTensorType>(match.rows.getType()).getShape().take_front(match.summed));
}

struct SampleGradients : impl::SampleGradientsBase<SampleGradients> {
  using SampleGradientsBase::SampleGradientsBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal() || !function.getBody().hasOneBlock())
      return;
    if (!machine.empty()) {
      try {
        target_ = Machine::load(machine);
      } catch (const MachineError &error) {
        function.emitError() << error.what();
        return signalPassFailure();
      }
    }
    llvm::StringMap<BlockArgument> arguments;
    for (BlockArgument argument : function.getArguments())
      arguments[argumentName(argument)] = argument;
    auto ret = cast<func::ReturnOp>(function.getBody().front().getTerminator());
    for (OpOperand &operand : ret->getOpOperands())
      if (auto kept = function.getResultAttrOfType<StringAttr>(operand.getOperandNumber(), keptAttr))
        sampleKept(operand, arguments.lookup(kept.getValue()));
      else if (target_)
        sampleAll(operand);
  }

private:
  /// Where the pattern is not 0.
  void sampleKept(OpOperand &operand, BlockArgument pattern) {
    auto op = operand.get().getDefiningOp<linalg::LinalgOp>();
    auto type = cast<RankedTensorType>(operand.get().getType());
    auto patternType = pattern ? dyn_cast<RankedTensorType>(pattern.getType()) : RankedTensorType();
    if (!op || !operand.get().hasOneUse() || !patternType || patternType.getShape() != type.getShape() || !patternType.getElementType().isInteger(8))
      return;
    if (std::optional<Match> found = match(op))
      replace(op, *found, pattern);
  }

  /// All of it, if that pays. What is returned may be what is added in another order or shape, a part of it, or sums of parts.
  void sampleAll(OpOperand &operand) {
    Value value = operand.get();
    std::optional<Match> found;
    linalg::LinalgOp op;
    while (Operation *maker = value.getDefiningOp()) {
      op = dyn_cast<linalg::LinalgOp>(maker);
      found = op ? match(op) : std::nullopt;
      if (op && !found)
        found = matchSum(op);
      if (found || !onlyArranges(maker))
        break;
      value = maker->getOperand(0);
    }
    if (!found || !isOnlyReturned(value))
      return;
    const int64_t tokens = tokensOf(*found);
    auto features = [&](Value value) { return value ? cast<RankedTensorType>(value.getType()).getNumElements() / std::max<int64_t>(1, tokens) : 1; };
    if (tokens > 0 && samplingPays(*target_, tokens, features(found->rows), features(found->columns)))
      replace(op, *found, Value());
  }

  void replace(linalg::LinalgOp op, const Match &found, Value pattern) {
    OpBuilder builder(op);
    Value rows = flattened(builder, op.getLoc(), found.rows, found.summed), columns = found.columns ? flattened(builder, op.getLoc(), found.columns, found.summed) : Value();
    op->getResult(0).replaceAllUsesWith(SampleOp::create(builder, op.getLoc(), op->getResult(0).getType(), rows, columns, pattern));
    op.erase();
    ++sampled;
  }

  std::optional<Machine> target_;
};

} // namespace

} // namespace wafer::graph
