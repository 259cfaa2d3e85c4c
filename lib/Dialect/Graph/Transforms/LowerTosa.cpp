//===- LowerTosa.cpp - graph-lower-tosa -------------------------------------===//
//
// Upstream's own conversions do the work; this pass says in which order, begins sums and maxima as wafer kernels do, and leaves functions without tosa
// operations as they are.
//
//===----------------------------------------------------------------------===//

#include "wafer/Dialect/Graph/Transforms/Passes.h"

#include "mlir/Conversion/TosaToArith/TosaToArith.h"
#include "mlir/Conversion/TosaToLinalg/TosaToLinalg.h"
#include "mlir/Conversion/TosaToTensor/TosaToTensor.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tosa/IR/TosaOps.h"
#include "mlir/Dialect/Tosa/Transforms/Passes.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace wafer::graph {

#define GEN_PASS_DEF_LOWERTOSA
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"

namespace {

bool isTosa(Operation *op) { return isa_and_nonnull<tosa::TosaDialect>(op->getDialect()); }

/// Upstream begins the sums of a convolution with the bias. Sums on the wafer begin with zero, and what is added to them is elementwise work.
void addBiasAfterwards(linalg::LinalgOp op) {
  auto broadcast = op.getDpsInits()[0].getDefiningOp<linalg::GenericOp>();
  if (!broadcast || broadcast.getNumDpsInputs() != 1 || broadcast.getNumReductionLoops() || &broadcast.getBody()->front() != broadcast.getBody()->getTerminator())
    return;
  OpBuilder builder(op);
  Location loc = op.getLoc();
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  Value empty = tensor::EmptyOp::create(builder, loc, type.getShape(), type.getElementType());
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type.getElementType()));
  op.getDpsInitsMutable()[0].set(linalg::FillOp::create(builder, loc, zero, empty).getResult(0));

  builder.setInsertionPointAfter(op);
  AffineMap identity = builder.getMultiDimIdentityMap(type.getRank());
  AffineMap bias = broadcast.getMatchingIndexingMap(broadcast.getDpsInputOperand(0));
  SmallVector<utils::IteratorType> loops(type.getRank(), utils::IteratorType::parallel);
  Value product = op->getResult(0);
  auto sum = linalg::GenericOp::create(builder, loc, type, ValueRange{product, broadcast.getDpsInputs()[0]}, ValueRange{empty}, {identity, bias, identity}, loops,
                                       [](OpBuilder &b, Location l, ValueRange args) {
                                         Value result = isa<FloatType>(args[0].getType()) ? arith::AddFOp::create(b, l, args[0], args[1]).getResult()
                                                                                          : arith::AddIOp::create(b, l, args[0], args[1]).getResult();
                                         linalg::YieldOp::create(b, l, result);
                                       });
  product.replaceAllUsesExcept(sum.getResult(0), sum);
  if (broadcast.use_empty())
    broadcast.erase();
}

/// Upstream begins maxima with the lowest finite number. With infinity they are right for tensors of infinities too, and are kernels of the wafer.
void beginWithInfinity(linalg::FillOp fill) {
  FloatAttr value;
  if (!matchPattern(fill.value(), m_Constant(&value)) || !value.getValue().isLargest())
    return;
  bool isMaximum = value.getValue().isNegative();
  for (OpOperand &use : fill.getResult(0).getUses()) {
    auto user = dyn_cast<linalg::LinalgOp>(use.getOwner());
    if (!user || !user.isInitTensor(&use) ||
        llvm::none_of(*user.getBlock(), [&](Operation &op) { return isMaximum ? isa<arith::MaximumFOp>(op) : isa<arith::MinimumFOp>(op); }))
      return;
  }
  OpBuilder builder(fill);
  APFloat infinity = APFloat::getInf(value.getValue().getSemantics(), isMaximum);
  fill.getInputsMutable()[0].set(arith::ConstantOp::create(builder, fill.getLoc(), builder.getFloatAttr(value.getType(), infinity)));
}

struct LowerTosa : impl::LowerTosaBase<LowerTosa> {
  void runOnOperation() override {
    if (!getOperation().walk([](Operation *op) { return isTosa(op) ? WalkResult::interrupt() : WalkResult::advance(); }).wasInterrupted())
      return;
    OpPassManager pm(func::FuncOp::getOperationName());
    pm.addPass(tosa::createTosaOptionalDecompositionsPass());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(tosa::createTosaMakeBroadcastablePass());
    pm.addPass(tosa::createTosaToLinalgNamed());
    pm.addPass(tosa::createTosaToLinalg());
    pm.addPass(createTosaToTensorPass());
    pm.addPass(createTosaToArithPass({/*includeApplyRescale=*/true, /*use32Bit=*/false}));
    pm.addPass(createCanonicalizerPass());
    if (failed(runPipeline(pm, getOperation()))) {
      getOperation().emitError() << "found tosa operations without a lowering to linalg, expected operations that compute, on tensors of static shape";
      return signalPassFailure();
    }
    SmallVector<linalg::LinalgOp> convolutions;
    getOperation().walk([&](linalg::ConvolutionOpInterface op) { convolutions.push_back(cast<linalg::LinalgOp>(op.getOperation())); });
    for (linalg::LinalgOp op : convolutions)
      addBiasAfterwards(op);
    getOperation().walk(beginWithInfinity);
  }
};

} // namespace

} // namespace wafer::graph
