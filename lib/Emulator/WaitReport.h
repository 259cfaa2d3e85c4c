//===- WaitReport.h - who waits for whom -------------------------------------===//
//
// When nothing can move, an engine lists what every core waits for; this finds the cycle, or the chains, and words it. (progress_c1)
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_WAITREPORT_H
#define WAFER_LIB_EMULATOR_WAITREPORT_H

#include "CoreModel.h"

#include <string>
#include <utility>
#include <vector>

namespace wafer {

/// Who waits for what: one node for each thing that cannot go on.
struct WaitGraph {
  struct Node {
    std::string text;       ///< "core (1, 0), pc 7 '...' waits for psum (colour 4) from core (0, 0)"
    std::vector<size_t> on; ///< nodes that it waits for
  };
  std::vector<Node> nodes;
};

/// Throws Trap("progress_c1") with the wait-for cycle if there is one, else the chains, each in the order of who waits for whom.
[[noreturn]] void reportNoProgress(const WaitGraph &graph, const std::string &when);

/// One core that cannot go on.
struct Waiter {
  uint16_t x = 0, y = 0;
  std::string what;                              ///< "core (1, 0), pc 7 '...' waits for colour psum (colour 4) from core (0, 0)"
  std::vector<std::pair<uint16_t, uint16_t>> on; ///< cores it waits for
};

/// The core that sends on `colour` towards router (x, y), or nothing when the colour comes from MemoryX or from nowhere.
struct Sender {
  enum Kind { Core, MemoryX, Nobody } kind = Nobody;
  uint16_t x = 0, y = 0;
};
Sender senderOf(const LoadedProgram &program, uint16_t x, uint16_t y, unsigned colour);
/// The cores that receive what core (x, y) sends on `colour`; `leaves` is set when a copy reaches an output port.
struct Receivers {
  std::vector<std::pair<uint16_t, uint16_t>> cores;
  std::vector<uint16_t> ports;
};
Receivers receiversOf(const LoadedProgram &program, uint16_t x, uint16_t y, unsigned colour);
/// The cores that receive what MemoryX sends into column `port`.
Receivers receiversOfPort(const LoadedProgram &program, uint16_t port, unsigned colour);

/// "waits for ..." for an operation that lacks input, with the sender.
Waiter waitsForInput(const LoadedProgram &program, const CoreModel &core, uint16_t pc, unsigned colour);

/// The same for waiters that name each other by place.
[[noreturn]] void reportNoProgress(const std::vector<Waiter> &waiters, const std::string &when);

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_WAITREPORT_H
