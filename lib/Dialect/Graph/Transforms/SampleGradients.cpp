//===- SampleGradients.cpp - graph-sample-gradients --------------------------===//
//
// The gradient of a sparse weight is a contraction over tokens of which only the kept positions are wanted.
//
//===----------------------------------------------------------------------===//

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Graph.h"
#include "wafer/Dialect/Graph/Transforms/Passes.h"

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
  Value rows, columns;
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

struct SampleGradients : impl::SampleGradientsBase<SampleGradients> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal() || !function.getBody().hasOneBlock())
      return;
    llvm::StringMap<BlockArgument> arguments;
    for (BlockArgument argument : function.getArguments())
      arguments[argumentName(argument)] = argument;
    auto ret = cast<func::ReturnOp>(function.getBody().front().getTerminator());
    for (OpOperand &operand : ret->getOpOperands()) {
      auto kept = function.getResultAttrOfType<StringAttr>(operand.getOperandNumber(), keptAttr);
      auto op = kept ? operand.get().getDefiningOp<linalg::LinalgOp>() : linalg::LinalgOp();
      BlockArgument pattern = kept ? arguments.lookup(kept.getValue()) : BlockArgument();
      if (!op || !pattern || !operand.get().hasOneUse())
        continue;
      auto type = cast<RankedTensorType>(operand.get().getType());
      auto patternType = dyn_cast<RankedTensorType>(pattern.getType());
      std::optional<Match> found = match(op);
      if (!found || !patternType || patternType.getShape() != type.getShape() || !patternType.getElementType().isInteger(8))
        continue;
      OpBuilder builder(op);
      Value rows = flattened(builder, op.getLoc(), found->rows, found->summed), columns = flattened(builder, op.getLoc(), found->columns, found->summed);
      operand.set(SampleOp::create(builder, op.getLoc(), type, rows, columns, pattern));
      op.erase();
      ++sampled;
    }
  }
};

} // namespace

} // namespace wafer::graph
