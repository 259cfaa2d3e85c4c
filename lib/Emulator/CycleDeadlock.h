//===- CycleDeadlock.h - the wait-for graph of a wafer that stands still ------===//
//
// When nothing moves, every operation at hand is blocked for one reason, and following the reasons finds the cycle or where the chain ends.
// (progress_c1)
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_CYCLEDEADLOCK_H
#define WAFER_LIB_EMULATOR_CYCLEDEADLOCK_H

#include "CycleCore.h"
#include "CycleFabric.h"

#include <vector>

namespace wafer {

/// What MemoryX still has to send.
struct PendingBurst {
  bool any = false;
  uint8_t colour = 0;
  std::vector<uint32_t> fullPorts; ///< columns whose input port has no room
};

/// All that the report looks at. `coreAt` gives the core of a router, or -1.
struct Standstill {
  const LoadedProgram &program;
  const CycleFabric &fabric;
  const std::vector<CycleCore> &cores;
  const std::vector<int32_t> &coreAt;
  PendingBurst burst;
};

/// Throws Trap("progress_c1").
[[noreturn]] void reportStandstill(const Standstill &state, const std::string &when);

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_CYCLEDEADLOCK_H
