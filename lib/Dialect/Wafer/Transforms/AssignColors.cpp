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
    unsigned count = 0; // a statistic does not count in every build of MLIR
    for (auto color : getOperation().getOps<ColorOp>()) {
      ++count;
      if (!color.getNumber())
        continue;
      // color_c1
      if (*color.getNumber() >= machine->colours) {
        color.emitOpError() << "has number " << *color.getNumber() << ", but machine '" << machine->name << "' has " << machine->colours
                            << " colors, 0 to " << machine->colours - 1 << " (color_c1)";
        return signalPassFailure();
      }
      taken.insert(*color.getNumber());
    }
    colorsUsed = count;
    if (count > machine->colours) {
      getOperation().emitOpError() << "needs " << count << " colors, but machine '" << machine->name << "' has " << machine->colours;
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
