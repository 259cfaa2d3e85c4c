//===- FuseMaps.cpp - stream-fuse-maps -------------------------------------===//

#include "wafer/Dialect/Stream/Transforms/Passes.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace wafer::stream {

#define GEN_PASS_DEF_FUSEMAPS
#include "wafer/Dialect/Stream/Transforms/Passes.h.inc"

namespace {

/// Operations and operands: each may need a descriptor register.
unsigned sizeOf(MapOp map) { return map.getInputs().size() + map.getBody().front().getOperations().size() - 1; }

struct FuseProducer : OpRewritePattern<MapOp> {
  FuseProducer(MLIRContext *context, unsigned maxOperations, Pass::Statistic &fused)
      : OpRewritePattern(context), maxOperations(maxOperations), fused(fused) {}

  LogicalResult matchAndRewrite(MapOp map, PatternRewriter &rewriter) const override {
    for (auto [index, input] : llvm::enumerate(map.getInputs())) {
      auto producer = input.getDefiningOp<MapOp>();
      // A producer of one feature per token would be computed again for each feature; integers are made where a result is written.
      if (producer && input.hasOneUse() && isStorageType(producer.getType().getElementType()) && numFeatures(producer.getType()) == numFeatures(map.getType()) && sizeOf(producer) + sizeOf(map) <= maxOperations) {
        fuse(map, producer, index, rewriter);
        return success();
      }
    }
    return rewriter.notifyMatchFailure(map, "no operand is a map that only this one reads and that is small enough");
  }

  void fuse(MapOp map, MapOp producer, unsigned index, PatternRewriter &rewriter) const {
    SmallVector<Value> inputs(map.getInputs());
    inputs.erase(inputs.begin() + index);
    llvm::append_range(inputs, producer.getInputs());
    auto merged = MapOp::create(rewriter, rewriter.getFusedLoc({producer.getLoc(), map.getLoc()}), map.getType(), inputs);
    Block &from = map.getBody().front(), &before = producer.getBody().front();
    Block *body = rewriter.createBlock(&merged.getBody());
    IRMapping mapping;
    unsigned next = 0;
    for (BlockArgument argument : from.getArguments())
      if (argument.getArgNumber() != index)
        mapping.map(argument, body->addArgument(argument.getType(), inputs[next++].getLoc()));
    for (BlockArgument argument : before.getArguments())
      mapping.map(argument, body->addArgument(argument.getType(), inputs[next++].getLoc()));
    for (Operation &op : before.without_terminator())
      rewriter.clone(op, mapping);
    mapping.map(from.getArgument(index), mapping.lookupOrDefault(cast<YieldOp>(before.back()).getValue()));
    for (Operation &op : from)
      rewriter.clone(op, mapping);
    rewriter.replaceOp(map, merged);
    rewriter.eraseOp(producer);
    ++fused;
  }

  unsigned maxOperations;
  Pass::Statistic &fused;
};

struct FuseMaps : impl::FuseMapsBase<FuseMaps> {
  using FuseMapsBase::FuseMapsBase;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseProducer>(&getContext(), maxOperations, fused);
    MapOp::getCanonicalizationPatterns(patterns, &getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

} // namespace wafer::stream
