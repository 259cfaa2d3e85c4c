//===- AssignColors.cpp - wafer-assign-colors ---------------------------------===//

#include "MachineOf.h"

#include "wafer/Dialect/Wafer/Transforms/Passes.h"

#include "mlir/IR/Builders.h"

#include <set>

using namespace mlir;

namespace wafer::wfr {
#define GEN_PASS_DEF_ASSIGNCOLORS
#include "wafer/Dialect/Wafer/Transforms/Passes.h.inc"

namespace {

class AssignColors : public impl::AssignColorsBase<AssignColors> {
public:
  void runOnOperation() override {
    FailureOr<Machine> machine = machineOf(getOperation());
    if (failed(machine))
      return signalPassFailure();
    std::set<int64_t> taken;
    for (auto color : getOperation().getOps<ColorOp>()) {
      ++colorsUsed;
      if (color.getNumber())
        taken.insert(*color.getNumber());
    }
    if (colorsUsed > machine->colours) {
      getOperation().emitOpError() << "needs " << colorsUsed.getValue() << " colors, but machine '" << machine->name << "' has " << machine->colours;
      return signalPassFailure();
    }
    int64_t next = 0;
    for (auto color : getOperation().getOps<ColorOp>()) {
      if (color.getNumber())
        continue;
      while (taken.count(next))
        ++next;
      color.setNumberAttr(Builder(color).getI64IntegerAttr(next++));
    }
  }
};

} // namespace
} // namespace wafer::wfr
