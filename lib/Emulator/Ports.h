//===- Ports.h - what MemoryX may send where ---------------------------------===//
//
// The north edge's side of the routing rules. Every engine asks before it lets a burst in.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_PORTS_H
#define WAFER_LIB_EMULATOR_PORTS_H

#include "wafer/Emulator/Engine.h"

namespace wafer {

/// Column of the burst's `i`-th port.
inline uint32_t portOf(const Burst &burst, unsigned i) { return burst.firstPort + i * burst.portStep; }

/// Throws Trap("route_c3") when a router at one of the burst's ports does not take its colour from the north edge; `when` begins the
/// message.
void checkPorts(const LoadedProgram &program, const Burst &burst, const std::string &when);

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_PORTS_H
