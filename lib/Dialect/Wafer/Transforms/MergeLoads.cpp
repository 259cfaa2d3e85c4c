//===- MergeLoads.cpp - wafer-merge-loads -------------------------------------===//

#include "wafer/Dialect/Wafer/Transforms/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace wafer::wfr {
#define GEN_PASS_DEF_MERGELOADS
#include "wafer/Dialect/Wafer/Transforms/Passes.h.inc"

namespace {

/// What an image does, as text in which its own symbols are numbers and nothing tells where it comes from.
std::string codeOf(ImageOp image) {
  llvm::StringMap<unsigned> numbers;
  for (Operation &op : image.getBody().front())
    if (auto name = op.getAttrOfType<StringAttr>(SymbolTable::getSymbolAttrName()))
      numbers.try_emplace(name, numbers.size());
  std::string text;
  llvm::raw_string_ostream os(text);
  os << image.getCommand() << '\n';
  image.getBody().walk<WalkOrder::PreOrder>([&](Operation *op) {
    os << op->getName();
    for (NamedAttribute attribute : op->getAttrDictionary()) {
      if (attribute.getName() == SymbolTable::getSymbolAttrName())
        continue;
      os << ' ' << attribute.getName().getValue() << '=';
      auto symbol = dyn_cast<FlatSymbolRefAttr>(attribute.getValue());
      auto known = symbol ? numbers.find(symbol.getValue()) : numbers.end();
      if (known != numbers.end())
        os << '#' << known->second;
      else
        os << attribute.getValue();
    }
    os << '\n';
  });
  return text;
}

/// A load before or after merging: it has one image.
struct Load {
  ImageOp image;
  GridAttr grid; ///< of its first phase
};

using Chain = SmallVector<Load>;

bool haveOneShape(GridAttr a, GridAttr b) {
  return a.getX0() == b.getX0() && a.getY0() == b.getY0() && a.getColumns() == b.getColumns() && a.getRows() == b.getRows() && a.getGroups() == b.getGroups() && a.getBands() == b.getBands();
}

class MergeLoads : public impl::MergeLoadsBase<MergeLoads> {
public:
  void runOnOperation() override {
    ProgramOp program = getOperation();
    SmallVector<PhaseOp> phases;
    program.walk([&](PhaseOp phase) { phases.push_back(phase); });
    llvm::DenseMap<int64_t, SmallVector<ImageOp>> imagesOf;
    for (auto image : program.getOps<ImageOp>())
      imagesOf[image.getLoad()].push_back(image);

    // What was written by hand or is routed is left as it is.
    if (!program.getOps<RouteOp>().empty() || llvm::any_of(phases, [&](PhaseOp phase) { return imagesOf.lookup(phase.getLoad()).size() != 1; }))
      return;

    Builder builder(program.getContext());
    llvm::StringMap<SmallVector<Chain>> byCode;
    llvm::DenseMap<int64_t, Load> kept;
    int64_t count = 0;
    for (auto phase = phases.begin(); phase != phases.end();) {
      // Loads that continue one another are merged together or not at all: their buffers have one place.
      Chain chain;
      std::string code;
      do {
        chain.push_back({imagesOf[phase->getLoad()].front(), phase->getGrid()});
        code += codeOf(chain.back().image);
      } while (++phase != phases.end() && phase->getContinues());
      if (kept.contains(chain.front().image.getLoad()))
        continue;
      SmallVector<Chain> &candidates = byCode[code];
      Chain *same = llvm::find_if(candidates, [&](const Chain &known) { return known.size() == chain.size() && haveOneShape(known.front().grid, chain.front().grid); });
      if (same == candidates.end()) {
        candidates.push_back(chain);
        same = &candidates.back();
        for (const Load &load : chain)
          newLoad[load.image] = count++;
      } else {
        for (const Load &load : chain)
          dropped.push_back(load.image);
      }
      for (auto [load, stays] : llvm::zip_equal(chain, *same))
        kept[load.image.getLoad()] = stays;
    }
    for (PhaseOp phase : phases) {
      const Load &load = kept[phase.getLoad()];
      renameTasks(phase, imagesOf[phase.getLoad()].front(), load.image);
      phase.setLoadAttr(builder.getI64IntegerAttr(newLoad[load.image]));
    }
    for (auto [image, load] : newLoad)
      cast<ImageOp>(image).setLoadAttr(builder.getI64IntegerAttr(load));
    for (ImageOp image : dropped)
      image.erase();
    loadsMerged += dropped.size();
    newLoad.clear();
    dropped.clear();
  }

private:
  /// Steps name the tasks of the image that stays: those at the same places.
  void renameTasks(PhaseOp phase, ImageOp from, ImageOp to) {
    if (from == to)
      return;
    llvm::StringMap<SymbolRefAttr> renamed;
    for (auto [old, task] : llvm::zip_equal(from.getOps<TaskOp>(), to.getOps<TaskOp>()))
      renamed[old.getSymName()] = SymbolRefAttr::get(to.getSymNameAttr(), {FlatSymbolRefAttr::get(task.getSymNameAttr())});
    for (Operation &step : phase.getBody().front())
      for (NamedAttribute attribute : step.getAttrDictionary())
        if (auto task = dyn_cast<SymbolRefAttr>(attribute.getValue()); task && task.getRootReference() == from.getSymName() && !task.getNestedReferences().empty())
          step.setAttr(attribute.getName(), renamed.lookup(task.getLeafReference()));
  }

  llvm::MapVector<Operation *, int64_t> newLoad;
  SmallVector<ImageOp> dropped;
};

} // namespace
} // namespace wafer::wfr
