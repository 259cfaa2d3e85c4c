//===- NormalizeContractions.cpp - graph-normalize-contractions ------------===//
//
// Brings contractions into the one form that the wafer's kernel has: batch, tokens, features. What that takes is moving data, which MemoryX does.
//
//===----------------------------------------------------------------------===//

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Transforms/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace wafer::graph {

#define GEN_PASS_DEF_NORMALIZECONTRACTIONS
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"

namespace {

using Dims = SmallVector<unsigned>;

class Contraction {
public:
  Contraction(linalg::LinalgOp op, unsigned streamed)
      : op_(op), weight_(op.getDpsInputOperand(streamed)), activation_(op.getDpsInputOperand(1 - streamed)), streamed_(streamed), ranges_(op.getStaticLoopRanges()) {}

  /// Whether the loops are those of a contraction; then `rewrite` may be called.
  bool classify();
  bool isNormal();
  /// Whether the result's dimensions are in the kernel's order.
  bool resultIsNormal() const;
  Value rewrite(OpBuilder &builder);

private:
  Value gather(OpBuilder &builder);
  Value collapse(OpBuilder &builder, Value value, size_t first, size_t count);
  SmallVector<int64_t> sizesOf(ArrayRef<unsigned> dims) const {
    return llvm::map_to_vector(dims, [&](unsigned d) { return ranges_[d]; });
  }
  /// Tokens, then `features`.
  Dims withTokens(ArrayRef<unsigned> features) const {
    Dims dims = tokens_;
    dims.append(features.begin(), features.end());
    return dims;
  }

  linalg::LinalgOp op_;
  OpOperand *weight_, *activation_;
  unsigned streamed_;
  SmallVector<int64_t> ranges_;
  Dims inWeight_, inResult_;
  Dims tokens_;  ///< of the activation and the result: those that the weight has too, then the others
  Dims rows_;    ///< of the weight and the result, in the weight's order
  Dims reduced_; ///< in the weight's order
};

bool Contraction::classify() {
  std::optional<Dims> weight = plainDims(op_.getMatchingIndexingMap(weight_)), result = plainDims(op_.getMatchingIndexingMap(op_.getDpsInitOperand(0)));
  if (!weight || !result)
    return false;
  inWeight_ = *weight;
  inResult_ = *result;
  AffineMap activation = op_.getMatchingIndexingMap(activation_);
  Dims others;
  for (unsigned d : inResult_) {
    bool isInWeight = llvm::is_contained(inWeight_, d), isInActivation = activation.isFunctionOfDim(d);
    if (!isInWeight && !isInActivation)
      return false;
    if (isInActivation)
      (isInWeight ? tokens_ : others).push_back(d);
  }
  tokens_.append(others);
  for (unsigned d : inWeight_) {
    bool isInResult = llvm::is_contained(inResult_, d);
    if (isInResult && !activation.isFunctionOfDim(d))
      rows_.push_back(d);
    if (!isInResult)
      reduced_.push_back(d);
  }
  // Summed dimensions lie side by side in the weight, and each is in both operands.
  size_t first = reduced_.empty() ? 0 : llvm::find(inWeight_, reduced_.front()) - inWeight_.begin();
  if (reduced_.empty() || !llvm::equal(ArrayRef(inWeight_).slice(first).take_front(reduced_.size()), reduced_))
    return false;
  for (unsigned d = 0; d < ranges_.size(); ++d)
    if (!llvm::is_contained(inResult_, d) && (!llvm::is_contained(reduced_, d) || !activation.isFunctionOfDim(d)))
      return false;
  return tokens_.size() + rows_.size() == inResult_.size();
}

bool Contraction::resultIsNormal() const { return llvm::equal(inResult_, withTokens(rows_)); }

bool Contraction::isNormal() {
  std::optional<Dims> activation = plainDims(op_.getMatchingIndexingMap(activation_));
  return activation && llvm::equal(*activation, withTokens(reduced_)) && reduced_.size() <= 1 && resultIsNormal();
}

/// The activation with a dimension per token and reduction loop; a window is copied once per pixel that it covers.
Value Contraction::gather(OpBuilder &builder) {
  AffineMap map = op_.getMatchingIndexingMap(activation_);
  Dims loops = withTokens(reduced_);
  std::optional<Dims> plain = plainDims(map);
  Value source = activation_->get();
  if (plain && llvm::equal(*plain, loops))
    return source;
  Location loc = op_.getLoc();
  Type element = getElementTypeOrSelf(source.getType());
  if (plain && plain->size() == loops.size()) {
    auto permutation = llvm::map_to_vector(loops, [&](unsigned d) -> int64_t { return llvm::find(*plain, d) - plain->begin(); });
    Value init = tensor::EmptyOp::create(builder, loc, sizesOf(loops), element);
    return linalg::TransposeOp::create(builder, loc, source, init, permutation)->getResult(0);
  }
  SmallVector<AffineExpr> renamed(ranges_.size());
  for (unsigned d = 0; d < ranges_.size(); ++d)
    renamed[d] = builder.getAffineConstantExpr(0);
  for (auto [place, d] : llvm::enumerate(loops))
    renamed[d] = builder.getAffineDimExpr(place);
  AffineMap read = map.replaceDimsAndSymbols(renamed, {}, loops.size(), 0);
  Value init = tensor::EmptyOp::create(builder, loc, sizesOf(loops), element);
  SmallVector<utils::IteratorType> iterators(loops.size(), utils::IteratorType::parallel);
  return linalg::GenericOp::create(builder, loc, init.getType(), source, init, {read, builder.getMultiDimIdentityMap(loops.size())}, iterators,
                                   [](OpBuilder &b, Location l, ValueRange args) { linalg::YieldOp::create(b, l, args[0]); })
      ->getResult(0);
}

/// `count` dimensions from `first` on become one.
Value Contraction::collapse(OpBuilder &builder, Value value, size_t first, size_t count) {
  if (count <= 1)
    return value;
  SmallVector<ReassociationIndices> groups;
  for (int64_t d = 0, rank = cast<RankedTensorType>(value.getType()).getRank(); d < rank; ++d) {
    if (static_cast<size_t>(d) > first && static_cast<size_t>(d) < first + count)
      groups.back().push_back(d);
    else
      groups.push_back({d});
  }
  return tensor::CollapseShapeOp::create(builder, op_.getLoc(), value, groups);
}

Value Contraction::rewrite(OpBuilder &builder) {
  Location loc = op_.getLoc();
  Value activation = collapse(builder, gather(builder), tokens_.size(), reduced_.size());
  Value weight = weight_->get();
  Dims inWeight = inWeight_;
  if (reduced_.size() > 1) {
    auto at = llvm::find(inWeight, reduced_.front());
    weight = collapse(builder, weight, at - inWeight.begin(), reduced_.size());
    inWeight.erase(at + 1, at + reduced_.size());
  }
  // Loops: tokens, rows, one that is summed over.
  unsigned loops = tokens_.size() + rows_.size() + 1;
  llvm::DenseMap<unsigned, AffineExpr> loopOf;
  for (auto [place, d] : llvm::enumerate(withTokens(rows_)))
    loopOf[d] = builder.getAffineDimExpr(place);
  AffineExpr sum = builder.getAffineDimExpr(loops - 1);
  auto expressions = [&](ArrayRef<unsigned> dims) {
    return llvm::map_to_vector(dims, [&](unsigned d) { return llvm::is_contained(reduced_, d) ? sum : loopOf[d]; });
  };
  SmallVector<AffineExpr> ofActivation = expressions(tokens_);
  ofActivation.push_back(sum);
  MLIRContext *context = builder.getContext();
  AffineMap activationMap = AffineMap::get(loops, 0, ofActivation, context), weightMap = AffineMap::get(loops, 0, expressions(inWeight), context),
            resultMap = AffineMap::get(loops, 0, expressions(withTokens(rows_)), context);
  Type element = getElementTypeOrSelf(op_->getResult(0).getType());
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(element));
  Value init = tensor::EmptyOp::create(builder, loc, sizesOf(withTokens(rows_)), element);
  init = linalg::FillOp::create(builder, loc, zero, init)->getResult(0);
  SmallVector<utils::IteratorType> iterators(loops, utils::IteratorType::parallel);
  iterators.back() = utils::IteratorType::reduction;
  Value inputs[2] = {activation, weight};
  SmallVector<AffineMap> maps = {activationMap, weightMap, resultMap};
  if (streamed_ == 0) {
    std::swap(inputs[0], inputs[1]);
    std::swap(maps[0], maps[1]);
  }
  auto body = [&](OpBuilder &b, Location, ValueRange args) {
    IRMapping mapping;
    mapping.map(op_.getBlock()->getArguments(), args);
    for (Operation &nested : *op_.getBlock())
      b.clone(nested, mapping);
  };
  Value result = linalg::GenericOp::create(builder, loc, init.getType(), inputs, init, maps, iterators, body)->getResult(0);
  if (resultIsNormal())
    return result;
  Dims order = withTokens(rows_);
  auto permutation = llvm::map_to_vector(inResult_, [&](unsigned d) -> int64_t { return llvm::find(order, d) - order.begin(); });
  Value transposed = tensor::EmptyOp::create(builder, loc, sizesOf(inResult_), element);
  return linalg::TransposeOp::create(builder, loc, result, transposed, permutation)->getResult(0);
}

/// The operand to stream: a parameter if there is one, else the one whose dimensions come last in the result.
std::optional<Contraction> chooseStreamed(linalg::LinalgOp op) {
  bool isParameter[2];
  for (unsigned i : {0, 1})
    isParameter[i] = viewOfParameter(op.getDpsInputOperand(i)->get()).has_value();
  if (isParameter[0] && isParameter[1])
    return std::nullopt;
  std::optional<Contraction> choice;
  for (unsigned streamed : {1, 0}) {
    if (isParameter[1 - streamed])
      continue;
    Contraction contraction(op, streamed);
    if (contraction.classify() && (!choice || (!choice->resultIsNormal() && contraction.resultIsNormal())))
      choice = contraction;
  }
  return choice;
}

struct NormalizeContractions : impl::NormalizeContractionsBase<NormalizeContractions> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> contractions;
    getOperation().walk([&](linalg::LinalgOp op) {
      TypedAttr initial = isContraction(op) && op.hasPureTensorSemantics() ? constantScalar(op.getDpsInits()[0]) : TypedAttr();
      bool isStatic = llvm::none_of(op.getStaticLoopRanges(), ShapedType::isDynamic);
      if (initial && initial == OpBuilder(op).getZeroAttr(initial.getType()) && isStatic)
        contractions.push_back(op);
    });
    for (linalg::LinalgOp op : contractions) {
      std::optional<Contraction> contraction = chooseStreamed(op);
      if (!contraction || contraction->isNormal())
        continue;
      OpBuilder builder(op);
      op->getResult(0).replaceAllUsesWith(contraction->rewrite(builder));
      op->erase();
      ++normalized;
    }
  }
};

} // namespace

} // namespace wafer::graph
