//===- MachineOf.cpp - the machine a program is for --------------------------===//

#include "MachineOf.h"

using namespace mlir;

namespace wafer::wfr {

FailureOr<Machine> machineOf(ProgramOp program) {
  try {
    return Machine::load(program.getMachine().str());
  } catch (const MachineError &error) {
    return program.emitOpError() << "cannot load its machine: " << error.what();
  }
}

} // namespace wafer::wfr
