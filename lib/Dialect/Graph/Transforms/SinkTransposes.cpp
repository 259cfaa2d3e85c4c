//===- SinkTransposes.cpp - graph-sink-transposes ---------------------------===//
//
// Elementwise work does not care about the order of dimensions, so it is done in the order in which its operand was made, and the transpose comes later:
// where the next operation reads with other indices anyway, or not at all.
//
//===----------------------------------------------------------------------===//

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Transforms/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace wafer::graph {

#define GEN_PASS_DEF_SINKTRANSPOSES
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"

namespace {

bool isElementwise(linalg::GenericOp op) {
  return op.hasPureTensorSemantics() && op->getNumResults() == 1 && op.getNumReductionLoops() == 0 &&
         op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity() && op.getMatchingBlockArgument(op.getDpsInitOperand(0)).use_empty();
}

Value transposed(OpBuilder &builder, Location loc, Value value, ArrayRef<int64_t> permutation) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape = llvm::map_to_vector(permutation, [&](int64_t d) { return type.getDimSize(d); });
  Value init = tensor::EmptyOp::create(builder, loc, shape, type.getElementType());
  return linalg::TransposeOp::create(builder, loc, value, init, permutation)->getResult(0);
}

/// elementwise(transpose(x), ...) becomes transpose(elementwise(x, ...)) when every operand of full shape is transposed in the same way.
struct SinkThroughElementwise : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    if (!isElementwise(op))
      return rewriter.notifyMatchFailure(op, "is not elementwise");
    ArrayRef<int64_t> permutation;
    for (OpOperand *operand : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(operand);
      if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
        return rewriter.notifyMatchFailure(op, "reads with computed indices");
      if (!map.isIdentity() || constantScalar(operand->get()))
        continue;
      auto transpose = operand->get().getDefiningOp<linalg::TransposeOp>();
      if (!transpose || (!permutation.empty() && transpose.getPermutation() != permutation))
        return rewriter.notifyMatchFailure(op, "has an operand of full shape that is not transposed in the same way");
      permutation = transpose.getPermutation();
    }
    if (permutation.empty())
      return rewriter.notifyMatchFailure(op, "has no transposed operand");

    // Loop d of the operation is loop permutation[d] of the new one, whose loops are the dimensions before the transpose.
    MLIRContext *context = op.getContext();
    SmallVector<AffineExpr> loops = llvm::map_to_vector(permutation, [&](int64_t d) { return getAffineDimExpr(d, context); });
    SmallVector<Value> inputs;
    SmallVector<AffineMap> maps;
    for (OpOperand *operand : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(operand);
      auto transpose = operand->get().getDefiningOp<linalg::TransposeOp>();
      bool isFull = map.isIdentity() && !constantScalar(operand->get());
      inputs.push_back(isFull ? transpose.getInput() : operand->get());
      maps.push_back(isFull ? AffineMap::getMultiDimIdentityMap(loops.size(), context) : map.replaceDimsAndSymbols(loops, {}, loops.size(), 0));
    }
    maps.push_back(AffineMap::getMultiDimIdentityMap(loops.size(), context));
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    SmallVector<int64_t> shape(permutation.size());
    for (auto [d, from] : llvm::enumerate(permutation))
      shape[from] = type.getDimSize(d);
    Value init = tensor::EmptyOp::create(rewriter, op.getLoc(), shape, type.getElementType());
    auto sunk = linalg::GenericOp::create(rewriter, op.getLoc(), init.getType(), inputs, init, maps, op.getIteratorTypesArray());
    rewriter.inlineRegionBefore(op.getRegion(), sunk.getRegion(), sunk.getRegion().begin());
    rewriter.replaceOp(op, transposed(rewriter, op.getLoc(), sunk->getResult(0), permutation));
    return success();
  }
};

/// An operation that moves data anyway reads what a transpose reads.
struct FoldIntoGather : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    bool copies = op.getNumDpsInputs() == 1 && op.getNumReductionLoops() == 0 && op.getBlock()->getOperations().size() == 1;
    auto transpose = copies ? op.getDpsInputs()[0].getDefiningOp<linalg::TransposeOp>() : linalg::TransposeOp();
    if (!transpose)
      return rewriter.notifyMatchFailure(op, "is no copy of a transposed tensor");
    OpOperand *operand = op.getDpsInputOperand(0);
    AffineMap map = op.getMatchingIndexingMap(operand);
    SmallVector<AffineExpr> indices(map.getNumResults());
    for (auto [d, from] : llvm::enumerate(transpose.getPermutation()))
      indices[from] = map.getResult(d);
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    maps[0] = AffineMap::get(map.getNumDims(), 0, indices, op.getContext());
    rewriter.modifyOpInPlace(op, [&] {
      operand->set(transpose.getInput());
      op.setIndexingMapsAttr(rewriter.getAffineMapArrayAttr(maps));
    });
    return success();
  }
};

/// Two transposes are one, or none.
struct MergeTransposes : OpRewritePattern<linalg::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::TransposeOp op, PatternRewriter &rewriter) const override {
    auto before = op.getInput().getDefiningOp<linalg::TransposeOp>();
    if (!before || !op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "transposes no transpose");
    SmallVector<int64_t> permutation = llvm::map_to_vector(op.getPermutation(), [&](int64_t d) { return before.getPermutation()[d]; });
    if (llvm::equal(permutation, llvm::seq<int64_t>(0, permutation.size())))
      rewriter.replaceOp(op, before.getInput());
    else
      rewriter.replaceOp(op, transposed(rewriter, op.getLoc(), before.getInput(), permutation));
    return success();
  }
};

struct SinkTransposes : impl::SinkTransposesBase<SinkTransposes> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SinkThroughElementwise, FoldIntoGather, MergeTransposes>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

} // namespace wafer::graph
