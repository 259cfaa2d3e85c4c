//===- Place.cpp - wafer-place ------------------------------------------------===//

#include "MachineOf.h"

#include "wafer/Dialect/Wafer/Transforms/Passes.h"

using namespace mlir;

namespace wafer::wfr {
#define GEN_PASS_DEF_PLACEWAFER
#include "wafer/Dialect/Wafer/Transforms/Passes.h.inc"

namespace {

class PlaceWafer : public impl::PlaceWaferBase<PlaceWafer> {
public:
  void runOnOperation() override {
    llvm::DenseMap<int64_t, PhaseOp> firstOf; // by load
    WalkResult result = getOperation().walk([&](PhaseOp phase) {
      PhaseOp first = firstOf.try_emplace(phase.getLoad(), phase).first->second;
      return place(phase, first) ? WalkResult::advance() : WalkResult::interrupt();
    });
    if (result.wasInterrupted() || (!firstOf.empty() && failed(checkTasks())))
      signalPassFailure();
  }

private:
  LogicalResult checkTasks() {
    FailureOr<Machine> machine = machineOf(getOperation());
    if (failed(machine))
      return failure();
    for (auto image : getOperation().getOps<ImageOp>()) {
      // task_c5
      int64_t tasks = llvm::count_if(image.getOps<TaskOp>(), [](TaskOp task) { return task.getKind() == TaskKind::Control; });
      if (tasks > static_cast<int64_t>(machine->controlTasks))
        return image.emitOpError() << "has " << tasks << " control tasks, but a core of machine '" << machine->name << "' has room for "
                                   << machine->controlTasks << " (task_c5); split the layer";
    }
    return success();
  }

  bool place(PhaseOp phase, PhaseOp first) {
    FailureOr<Machine> machine = machineOf(getOperation());
    if (failed(machine))
      return false;
    GridAttr grid = phase.getGrid(), shape = first.getGrid();
    auto describe = [](GridAttr of) {
      return (Twine(of.getGroups()) + " groups of " + Twine(of.getColumns()) + " x " + Twine(of.getRows()) + (of.getBands() == 1 ? "" : " / " + Twine(of.getBands()).str())).str();
    };
    if (grid.getColumns() != shape.getColumns() || grid.getRows() != shape.getRows() || grid.getGroups() != shape.getGroups() || grid.getBands() != shape.getBands()) {
      InFlightDiagnostic diag = phase.emitOpError() << "has " << describe(grid) << " cores, expected the " << describe(shape) << " of the first phase of its load";
      diag.attachNote(first.getLoc()) << "first phase here";
      return false;
    }
    int64_t width = grid.getColumns() * grid.getGroups();
    if (width > machine->width || grid.getRows() > machine->height) {
      phase.emitOpError() << "needs " << width << " x " << grid.getRows() << " cores, but machine '" << machine->name << "' has " << machine->width << " x "
                          << machine->height << "; use a larger machine or a smaller grid";
      return false;
    }
    coresUsed = std::max<uint64_t>(coresUsed, width * grid.getRows());
    phase.setGridAttr(GridAttr::get(grid.getContext(), 0, 0, grid.getColumns(), grid.getRows(), grid.getGroups(), grid.getTokenBlock(), grid.getTokens(),
                                    grid.getMicroBatches(), grid.getBatches(), grid.getBatchesAtOnce(), grid.getBands()));
    return true;
  }
};

} // namespace
} // namespace wafer::wfr
