//===- WeightLink.cpp - how a weight travels to the edge ----------------------===//

#include "wafer/Analysis/WeightLink.h"

#include "mlir/Dialect/SparseTensor/IR/SparseTensor.h"

#include <cmath>

using namespace mlir;

namespace wafer {

using namespace stream;

LinkForm structureAlong(Attribute attribute, unsigned dim) {
  auto encoding = dyn_cast_or_null<sparse_tensor::SparseTensorEncodingAttr>(attribute);
  if (!encoding)
    return {LinkForm::Bitmask, 0, 0};
  bool skips = false;
  for (auto [expression, level] : llvm::zip_equal(encoding.getDimToLvl().getResults(), encoding.getLvlTypes())) {
    auto place = dyn_cast<AffineBinaryOpExpr>(expression);
    const bool isPlace = place && place.getKind() == AffineExprKind::Mod && place.getLHS() == getAffineDimExpr(dim, encoding.getContext());
    if (auto size = isPlace ? dyn_cast<AffineConstantExpr>(place.getRHS()) : AffineConstantExpr(); size && size.getValue() > 1) {
      if (sparse_tensor::isNOutOfMLT(level))
        return {LinkForm::Structured, static_cast<unsigned>(sparse_tensor::getN(level)), static_cast<unsigned>(sparse_tensor::getM(level))};
      if (skips && sparse_tensor::isDenseLT(level))
        return {LinkForm::Blocks, 0, static_cast<unsigned>(size.getValue())};
    }
    skips |= !sparse_tensor::isDenseLT(level);
  }
  return {LinkForm::Bitmask, 0, 0};
}

TensorOp weightOf(ContractOp contract) {
  return contract->getParentOfType<ProgramOp>().lookupSymbol<TensorOp>(contract.getWeightAttr().getAttr());
}

std::optional<double> densityOf(TensorOp weight) {
  if (!weight || !weight.getNonzeros())
    return std::nullopt;
  return double(*weight.getNonzeros()) / double(std::max<int64_t>(1, cast<RankedTensorType>(weight.getType()).getNumElements()));
}

uint64_t wordsOfRow(ContractOp contract, TensorOp weight, LinkForm link) {
  RankedTensorType input = contract.getInput().getType();
  const auto positions = static_cast<uint64_t>(numFeatures(input));
  const auto kept = static_cast<uint64_t>(std::ceil(double(positions) * densityOf(weight).value_or(1)));
  return link.words(positions, kept, input.getElementTypeBitWidth());
}

/// The dimension that columns walk, if all steps along rows, columns and batch entries go from group to group of the neighbours that it has.
static std::optional<unsigned> dimensionOfGroups(ContractOp contract, ArrayRef<int64_t> shape, llvm::function_ref<unsigned(unsigned)> sizeAlong) {
  const int64_t step = contract.getColumnStride();
  int64_t stride = 1;
  for (unsigned dim = shape.size(); dim-- > 0; stride *= shape[dim]) {
    if (stride != step || shape[dim] == 1)
      continue;
    const int64_t size = sizeAlong(dim);
    auto isAligned = [&](int64_t offset) { return size != 0 && offset / stride % shape[dim] % size == 0; };
    const bool wraps = static_cast<int64_t>(contract.getOffset()) / stride % shape[dim] + numFeatures(contract.getInput().getType()) > shape[dim];
    if (isAligned(contract.getOffset()) && isAligned(contract.getRowStride()) && llvm::all_of(contract.getBatchStrides(), isAligned) && (!wraps || shape[dim] % size == 0))
      return dim;
  }
  return std::nullopt;
}

LinkForm shortestLink(ContractOp contract, TensorOp weight, WireFormat wire) {
  const std::optional<double> density = densityOf(weight);
  if (!density || *density >= 1)
    return {};
  const auto positions = static_cast<uint64_t>(numFeatures(contract.getInput().getType()));
  const auto kept = static_cast<uint64_t>(std::ceil(double(positions) * *density));
  LinkForm best;
  uint64_t fewest = wire == WireFormat::Indexed32   ? 2 * kept
                    : wire == WireFormat::Indexed16 ? kept
                    : wire == WireFormat::Dense32   ? positions
                    : wire == WireFormat::Packed16  ? (positions + 1) / 2
                                                    : (positions + 3) / 4;
  auto consider = [&](LinkForm form) {
    if (uint64_t words = wordsOfRow(contract, weight, form); words < fewest) {
      best = form;
      fewest = words;
    }
  };
  consider({LinkForm::Bitmask, 0, 0});
  Attribute encoding = weight.getEncodingAttr();
  if (std::optional<unsigned> dim = dimensionOfGroups(contract, cast<RankedTensorType>(weight.getType()).getShape(),
                                                      [&](unsigned dim) { return structureAlong(encoding, dim).size; }))
    consider(structureAlong(encoding, *dim));
  return best;
}

void setWireFormat(ContractOp contract, WireFormat wire) {
  contract.setWire(wire);
  const LinkForm link = shortestLink(contract, weightOf(contract), wire);
  if (!contract.getLinkAttr() && link.kind != LinkForm::Wavelets)
    contract.setLinkAttr(LinkAttr::get(contract.getContext(), static_cast<LinkKind>(link.kind), link.kept, link.size));
}

} // namespace wafer
