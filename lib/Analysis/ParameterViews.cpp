//===- ParameterViews.cpp - parameters and constants behind other values ---===//
//
// Weights are streamed from MemoryX in any order, so transposing or slicing a parameter costs nothing: it changes the strides of the stream.
//
//===----------------------------------------------------------------------===//

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Graph.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace wafer {

SmallVector<int64_t> rowMajorStrides(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (int64_t d = shape.size() - 1; d >= 0; --d) {
    strides[d] = stride;
    stride *= shape[d];
  }
  return strides;
}

/// The permutation by which `op` copies its input to its result: result dimension d is input dimension permutation[d].
static std::optional<SmallVector<int64_t>> copyPermutation(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumDpsInits() != 1 || op.getNumReductionLoops() != 0)
    return std::nullopt;
  Block *body = op.getBlock();
  if (body->getOperations().size() != 1 || body->getTerminator()->getOperand(0) != body->getArgument(0))
    return std::nullopt;
  AffineMap in = op.getMatchingIndexingMap(op.getDpsInputOperand(0)), out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  if (!in.isPermutation() || !out.isPermutation())
    return std::nullopt;
  AffineMap fromResult = in.compose(inversePermutation(out));
  SmallVector<int64_t> permutation(fromResult.getNumResults());
  for (auto [inputDim, expr] : llvm::enumerate(fromResult.getResults()))
    permutation[cast<AffineDimExpr>(expr).getPosition()] = inputDim;
  return permutation;
}

static std::optional<ParameterView> viewThrough(Operation *op) {
  if (auto copy = dyn_cast<linalg::LinalgOp>(op)) {
    std::optional<SmallVector<int64_t>> permutation = copyPermutation(copy);
    if (!permutation)
      return std::nullopt;
    std::optional<ParameterView> source = viewOfParameter(copy.getDpsInputOperand(0)->get());
    if (!source)
      return std::nullopt;
    ParameterView view = {source->parameter, source->offset, {}};
    for (int64_t inputDim : *permutation)
      view.strides.push_back(source->strides[inputDim]);
    return view;
  }
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    std::optional<ParameterView> source = viewOfParameter(slice.getSource());
    if (!source || !slice.getOffsets().empty() || !slice.getSizes().empty() || !slice.getStrides().empty())
      return std::nullopt;
    ParameterView view = {source->parameter, source->offset, {}};
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    for (auto [d, stride] : llvm::enumerate(source->strides)) {
      view.offset += slice.getStaticOffset(d) * stride;
      if (!dropped.test(d))
        view.strides.push_back(slice.getStaticStride(d) * stride);
    }
    return view;
  }
  if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op)) {
    std::optional<ParameterView> source = viewOfParameter(op->getOperand(0));
    auto sourceType = cast<RankedTensorType>(op->getOperand(0).getType()), type = cast<RankedTensorType>(op->getResult(0).getType());
    if (!source || source->strides != rowMajorStrides(sourceType.getShape()) || !type.hasStaticShape())
      return std::nullopt;
    return ParameterView{source->parameter, source->offset, rowMajorStrides(type.getShape())};
  }
  return std::nullopt;
}

std::optional<ParameterView> viewOfParameter(Value value) {
  value = graph::throughLayers(value);
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || !type.hasStaticShape())
    return std::nullopt;
  if (graph::isParameter(value))
    return ParameterView{cast<BlockArgument>(value), 0, rowMajorStrides(type.getShape())};
  Operation *op = value.getDefiningOp();
  return op ? viewThrough(op) : std::nullopt;
}

TypedAttr constantScalar(Value value) {
  value = graph::throughLayers(value);
  if (auto fill = value.getDefiningOp<linalg::FillOp>())
    return constantScalar(fill.getInputs()[0]);
  Attribute constant;
  if (!matchPattern(value, m_Constant(&constant)))
    return {};
  if (auto elements = dyn_cast<DenseElementsAttr>(constant))
    return elements.isSplat() ? dyn_cast<TypedAttr>(elements.getSplatValue<Attribute>()) : TypedAttr();
  return isa<FloatAttr, IntegerAttr>(constant) ? cast<TypedAttr>(constant) : TypedAttr();
}

bool isFree(Operation *op) {
  if (isa<tensor::EmptyOp>(op))
    return true;
  // Numbers that differ from element to element are a tensor that MemoryX holds.
  if (op->hasTrait<OpTrait::ConstantLike>())
    return constantScalar(op->getResult(0)) || !stream::isStorageType(getElementTypeOrSelf(op->getResult(0).getType()));
  // What a layer gives, be it a view of a parameter, is made once.
  if (op->getNumResults() != 1 || isa<graph::LayerOp>(op))
    return false;
  return (isa<linalg::FillOp>(op) && constantScalar(op->getResult(0))) || viewOfParameter(op->getResult(0)).has_value();
}

} // namespace wafer
