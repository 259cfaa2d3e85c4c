//===- Partition.cpp - graph-partition -------------------------------------===//

#include "LayerBuilder.h"

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Transforms/Passes.h"
#include "wafer/Machine/Machine.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace wafer::graph {

#define GEN_PASS_DEF_PARTITION
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"

namespace {

/// "model.py:12", or nothing when the location has no file.
std::string sourceLine(Location loc) {
  std::string line;
  loc->walk([&](Location nested) {
    auto file = dyn_cast<FileLineColLoc>(nested);
    if (!file)
      return WalkResult::advance();
    line = file.getFilename().str() + ":" + std::to_string(file.getLine());
    return WalkResult::interrupt();
  });
  return line;
}

/// Consecutive operations of a layer that run at one place.
struct Part {
  Placement placement;
  std::string reason;
  unsigned more = 0; ///< operations after the first of the reason
  SmallVector<Operation *> ops;
};

struct Partition : impl::PartitionBase<Partition> {
  using PartitionBase::PartitionBase;
  void runOnOperation() override;
  SmallVector<Part> divide(LayerOp layer, WaferKernels &kernels);
  bool fits(const WaferKernel &kernel, std::string &why) const;
  void split(LayerOp layer, MutableArrayRef<Part> parts);

  std::optional<Machine> target;
};

/// Whether one token of what a kernel reads and makes has room in the cores of a row, beside code and temporaries.
bool Partition::fits(const WaferKernel &kernel, std::string &why) const {
  /// For code, descriptors and chunks of temporaries.
  constexpr int64_t forTheRest = 16 * 1024;
  /// Blocks of features are counted in 16 bits.
  constexpr int64_t mostPerCore = 65535;
  if (!target || kernel.kind == KernelKind::Reshape)
    return true;
  const int64_t columns = target->width;
  auto perCore = [&](int64_t features) { return (features + columns - 1) / columns; };
  int64_t values = perCore(kernel.block.features) + perCore(kernel.input.features);
  for (const KernelOperand &operand : kernel.operands)
    if (operand.use == OperandUse::Full || operand.use == OperandUse::Repeated)
      values += perCore(std::max(kernel.block.features, kernel.input.features));
  const int64_t bytes = values * elementBytes, room = int64_t(target->sramBytes) - std::min<int64_t>(forTheRest, target->sramBytes / 3);
  const int64_t features = std::max(kernel.block.features, kernel.input.features);
  if (bytes <= room && perCore(features) <= mostPerCore)
    return true;
  why = "a token of " + std::to_string(features) + " features takes " + std::to_string(bytes) + " bytes of each of the " + std::to_string(columns) + " cores of a row of machine '" +
        target->name + "', which have room for " + std::to_string(room);
  return false;
}

SmallVector<Part> Partition::divide(LayerOp layer, WaferKernels &kernels) {
  SmallVector<Part> parts;
  for (Operation &op : layer.getBlock().without_terminator()) {
    if (isFree(&op))
      continue;
    std::string why;
    std::optional<WaferKernel> kernel = kernels.find(&op, why);
    if (kernel && !fits(*kernel, why))
      kernel.reset();
    Placement placement = kernel ? Placement::Wafer : Placement::MemoryX;
    if (kernel)
      kernels.record(&op, *kernel);
    ++(kernel ? onWafer : inMemoryX);
    if (parts.empty() || parts.back().placement != placement) {
      std::string reason;
      if (!kernel) {
        std::string line = sourceLine(op.getLoc());
        reason = "'" + op.getName().getStringRef().str() + "'" + (line.empty() ? "" : " at " + line) + ": " + why;
      }
      parts.push_back({placement, reason, 0, {}});
    } else {
      ++parts.back().more;
    }
    parts.back().ops.push_back(&op);
  }
  return parts;
}

void Partition::split(LayerOp layer, MutableArrayRef<Part> parts) {
  auto place = [](LayerOp op, const Part &part) {
    op.setPlacement(part.placement);
    if (part.placement == Placement::MemoryX)
      op.setReason(part.more ? part.reason + "; and " + std::to_string(part.more) + (part.more == 1 ? " operation" : " operations") + " after it" : part.reason);
  };
  if (parts.size() == 1)
    return place(layer, parts.front());

  // Put the body in the layer's place, then wrap each part.
  Operation *yield = &layer.getBlock().back();
  for (auto [argument, input] : llvm::zip_equal(layer.getBlock().getArguments(), layer.getInputs()))
    argument.replaceAllUsesWith(input);
  for (auto [result, value] : llvm::zip_equal(layer.getResults(), cast<YieldOp>(yield).getValues()))
    result.replaceAllUsesWith(value);
  SmallVector<Operation *> freeOps;
  for (Operation &op : llvm::make_early_inc_range(layer.getBlock().without_terminator())) {
    op.moveBefore(layer);
    if (isFree(&op))
      freeOps.push_back(&op);
  }
  std::string name = layer.getName().str();
  layer.erase();
  for (auto [index, part] : llvm::enumerate(parts))
    place(wrapInLayer(part.ops, index == 0 ? name : name + "." + std::to_string(index)), part);
  for (Operation *op : llvm::reverse(freeOps))
    if (op->use_empty())
      op->erase();
}

void Partition::runOnOperation() {
  try {
    if (!machine.empty())
      target = Machine::load(machine);
  } catch (const MachineError &error) {
    emitError(getOperation().getLoc()) << error.what();
    return signalPassFailure();
  }
  WaferKernels kernels;
  // Parts keep their operations, so what is recorded about their results stays true when a layer is split after its turn.
  SmallVector<LayerOp> layers(getOperation().getOps<LayerOp>());
  for (Operation &op : getOperation().getBody().getOps())
    if (!isa<LayerOp>(op) && !op.hasTrait<OpTrait::IsTerminator>() && !isFree(&op)) {
      op.emitError() << "found '" << op.getName() << "' outside of a layer; run graph-form-layers first";
      return signalPassFailure();
    }
  if (onlyMemoryX) {
    for (LayerOp layer : layers) {
      layer.setPlacement(Placement::MemoryX);
      layer.setReason("the option only-memoryx asks for it");
    }
    return;
  }
  SmallVector<SmallVector<Part>> divided;
  for (LayerOp layer : layers)
    divided.push_back(divide(layer, kernels));
  for (auto [layer, parts] : llvm::zip_equal(layers, divided)) {
    if (!parts.empty()) {
      split(layer, parts);
      continue;
    }
    // Only constants: nothing for the wafer to do.
    layer.setPlacement(Placement::MemoryX);
    layer.setReason("the layer computes nothing from its inputs");
  }
}

} // namespace

} // namespace wafer::graph
