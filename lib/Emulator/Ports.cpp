//===- Ports.cpp - what MemoryX may send where -------------------------------===//

#include "Ports.h"

namespace wafer {

void checkPorts(const LoadedProgram &program, const Burst &burst, const std::string &when) {
  for (unsigned i = 0; i < burst.portCount; ++i) {
    const uint32_t port = portOf(burst, i);
    if (port >= program.machine().width)
      throw Trap("route_c3", when + "MemoryX sends " + program.colourName(burst.colour) + " to column " + std::to_string(port) +
                                 ", but the machine has " + std::to_string(program.machine().width) + " columns");
    RouteEntry entry = program.routeAt(port, 0, burst.colour);
    if (entry.tx == 0 || entry.rx != wexe::Dir::N)
      throw Trap("route_c3", when + "MemoryX sends " + program.colourName(burst.colour) + " to column " + std::to_string(port) +
                                 ", where no route takes it from the north edge; add a route with rx N at router (" + std::to_string(port) +
                                 ", 0)");
  }
}

} // namespace wafer
