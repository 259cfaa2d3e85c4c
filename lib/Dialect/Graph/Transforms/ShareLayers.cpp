//===- ShareLayers.cpp - graph-share-layers, graph-expand-layers -----------===//

#include "wafer/Dialect/Graph/Transforms/Passes.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/OperationSupport.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace wafer::graph {

#define GEN_PASS_DEF_SHARELAYERS
#define GEN_PASS_DEF_EXPANDLAYERS
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"

namespace {

constexpr auto equalButForLocations = OperationEquivalence::IgnoreLocations;

/// The same for bodies that are equal.
llvm::hash_code hashOf(Region &body) {
  llvm::hash_code hash = llvm::hash_combine_range(body.getArgumentTypes());
  body.walk([&](Operation *op) {
    hash = llvm::hash_combine(hash, op->getName(), op->getRawDictionaryAttrs(), op->getNumOperands(), llvm::hash_combine_range(op->getResultTypes()));
  });
  return hash;
}

ArrayAttr locationsOf(Region &body) {
  SmallVector<Attribute> locations;
  body.walk([&](Operation *op) { locations.push_back(op->getLoc()); });
  return ArrayAttr::get(body.getContext(), locations);
}

struct ShareLayers : impl::ShareLayersBase<ShareLayers> {
  void runOnOperation() override {
    llvm::MapVector<llvm::hash_code, SmallVector<SmallVector<LayerOp>>> byHash;
    getOperation().walk([&](LayerOp layer) {
      if (layer.getShared())
        return;
      auto &classes = byHash[hashOf(layer.getBody())];
      auto *same = llvm::find_if(
          classes, [&](ArrayRef<LayerOp> layers) { return OperationEquivalence::isRegionEquivalentTo(&LayerOp(layers.front()).getBody(), &layer.getBody(), equalButForLocations); });
      if (same == classes.end())
        classes.push_back({layer});
      else
        same->push_back(layer);
    });

    SymbolTable symbols(getOperation());
    for (auto &[hash, classes] : byHash)
      for (SmallVector<LayerOp> &layers : classes) {
        if (layers.size() < 2)
          continue;
        OpBuilder builder = OpBuilder::atBlockBegin(getOperation().getBody());
        auto body = BodyOp::create(builder, layers.front().getLoc(), "layer");
        symbols.insert(body);
        for (LayerOp layer : layers) {
          layer.setLocationsAttr(locationsOf(layer.getBody()));
          layer.setSharedAttr(FlatSymbolRefAttr::get(body.getSymNameAttr()));
          if (body.getBody().empty())
            body.getBody().takeBody(layer.getBody());
          else
            layer.getBody().getBlocks().clear();
          ++shared;
        }
      }
  }
};

struct ExpandLayers : impl::ExpandLayersBase<ExpandLayers> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    getOperation().walk([&](LayerOp layer) {
      if (!layer.getShared())
        return;
      IRMapping mapping;
      symbols.lookup<BodyOp>(*layer.getShared()).getBody().cloneInto(&layer.getBody(), mapping);
      auto location = layer.getLocationsAttr().begin();
      layer.getBody().walk([&](Operation *op) { op->setLoc(cast<LocationAttr>(*location++)); });
      for (auto [argument, input] : llvm::zip_equal(layer.getBlock().getArguments(), layer.getInputs()))
        argument.setLoc(input.getLoc());
      layer.removeSharedAttr();
      layer.removeLocationsAttr();
    });
    for (auto body : llvm::make_early_inc_range(getOperation().getOps<BodyOp>()))
      body.erase();
  }
};

} // namespace

} // namespace wafer::graph
