//===- SplitReductions.cpp - graph-split-reductions ---------------------------===//
//
// The wafer's reduction is over the features of a token. A sum over all of a large tensor would be one token with more features than cores have room for.
//
//===----------------------------------------------------------------------===//

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace wafer::graph {

#define GEN_PASS_DEF_SPLITREDUCTIONS
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"

namespace {

/// combiner(something of the inputs, accumulator), or null.
Operation *combinerOf(linalg::GenericOp op) {
  BlockArgument accumulator = op.getMatchingBlockArgument(op.getDpsInitOperand(0));
  Operation *combine = op.getBody()->getTerminator()->getOperand(0).getDefiningOp();
  const bool isCombiner = isa_and_nonnull<arith::AddFOp, arith::MaximumFOp, arith::MinimumFOp>(combine);
  return isCombiner && accumulator.hasOneUse() && *accumulator.user_begin() == combine ? combine : nullptr;
}

/// Whether several loops are reduced that have more than `limit` iterations together.
bool isLarge(linalg::GenericOp op, int64_t limit) {
  SmallVector<unsigned> reduced;
  op.getReductionDims(reduced);
  int64_t iterations = 1;
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  for (unsigned loop : reduced)
    iterations *= std::max<int64_t>(ranges[loop], 1);
  return reduced.size() > 1 && iterations > limit;
}

/// Reduces over the innermost of the loops, then over the others, with the same combiner.
linalg::GenericOp split(linalg::GenericOp op, Operation *combine) {
  OpBuilder builder(op);
  Location loc = op.getLoc();
  const unsigned loops = op.getNumLoops();
  SmallVector<unsigned> reduced;
  op.getReductionDims(reduced);
  const unsigned innermost = reduced.pop_back_val();
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();

  // What is left after the first: the result's loops, then the other reduced ones.
  AffineMap result = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  SmallVector<AffineExpr> kept(result.getResults());
  for (unsigned loop : reduced)
    kept.push_back(builder.getAffineDimExpr(loop));
  SmallVector<int64_t> shape(cast<RankedTensorType>(op->getResult(0).getType()).getShape());
  for (unsigned loop : reduced)
    shape.push_back(ranges[loop]);
  Type element = getElementTypeOrSelf(op->getResult(0).getType());
  Value neutral = arith::ConstantOp::create(builder, loc, cast<TypedAttr>(constantScalar(op.getDpsInits()[0])));
  Value empty = tensor::EmptyOp::create(builder, loc, shape, element);
  Value init = linalg::FillOp::create(builder, loc, neutral, empty)->getResult(0);

  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  maps.back() = AffineMap::get(loops, 0, kept, builder.getContext());
  SmallVector<utils::IteratorType> iterators(loops, utils::IteratorType::parallel);
  iterators[innermost] = utils::IteratorType::reduction;
  auto first = linalg::GenericOp::create(builder, loc, init.getType(), op.getDpsInputs(), init, maps, iterators, [&](OpBuilder &b, Location, ValueRange args) {
    IRMapping mapping;
    mapping.map(op.getBody()->getArguments(), args);
    for (Operation &nested : *op.getBody())
      b.clone(nested, mapping);
  });

  // Dimensions of the first result that are no loop (there are none of that kind but constants) stay what they are.
  SmallVector<AffineExpr> all;
  for (unsigned d = 0; d < shape.size(); ++d)
    all.push_back(builder.getAffineDimExpr(d));
  const unsigned outer = result.getNumResults();
  SmallVector<utils::IteratorType> others(shape.size(), utils::IteratorType::reduction);
  std::fill_n(others.begin(), outer, utils::IteratorType::parallel);
  SmallVector<AffineMap> otherMaps = {AffineMap::get(shape.size(), 0, all, builder.getContext()),
                                      AffineMap::get(shape.size(), 0, ArrayRef(all).take_front(outer), builder.getContext())};
  auto second = linalg::GenericOp::create(builder, loc, op->getResult(0).getType(), first->getResult(0), op.getDpsInits()[0], otherMaps, others,
                                          [&](OpBuilder &b, Location l, ValueRange args) {
                                            IRMapping mapping;
                                            for (Value operand : combine->getOperands())
                                              mapping.map(operand, operand == op.getMatchingBlockArgument(op.getDpsInitOperand(0)) ? args[1] : args[0]);
                                            linalg::YieldOp::create(b, l, b.clone(*combine, mapping)->getResult(0));
                                          });
  op->getResult(0).replaceAllUsesWith(second->getResult(0));
  op->erase();
  return second;
}

struct SplitReductions : impl::SplitReductionsBase<SplitReductions> {
  using SplitReductionsBase::SplitReductionsBase;

  void runOnOperation() override {
    SmallVector<linalg::GenericOp> reductions;
    getOperation().walk([&](linalg::GenericOp op) {
      if (op.hasPureTensorSemantics() && op->getNumResults() == 1 && !op.hasDynamicShape() && !isContraction(op) && !op.hasIndexSemantics() &&
          op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isProjectedPermutation() && constantScalar(op.getDpsInits()[0]))
        reductions.push_back(op);
    });
    for (linalg::GenericOp op : reductions)
      for (Operation *combine = combinerOf(op); combine && isLarge(op, mostFeatures); combine = combinerOf(op)) {
        op = split(op, combine);
        ++splits;
      }
  }
};

} // namespace

} // namespace wafer::graph
