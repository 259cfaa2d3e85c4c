//===- Machine.h - a machine description ----------------------------------===//
//
// Everything numeric about a machine, read from machines/*.json and validated. docs/spec/machine.md says what the numbers mean.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_MACHINE_MACHINE_H
#define WAFER_MACHINE_MACHINE_H

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wafer {

/// A description that is refused; the message names file, field, what was found and what was expected.
class MachineError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Elements per cycle by 32-, 16- and 8-bit type.
struct Lanes {
  uint32_t bits32 = 1, bits16 = 1, bits8 = 1;
};

/// Cores that do not work, of a wafer that has more columns than programs see: a row of the machine is the first `width` live cores of a row of the wafer.
struct Defects {
  uint32_t columns = 0;                               ///< of the wafer; 0: as many as the machine has, all of them live
  std::vector<std::pair<uint32_t, uint32_t>> cores;   ///< x and y of dead cores on the wafer
};

struct Machine {
  std::string name;
  uint32_t width = 0, height = 0;          ///< cores
  uint32_t sramBytes = 0;
  uint32_t accumulatorBytes = 0;
  uint32_t colours = 0;
  uint32_t controlTasks = 0;
  uint32_t microthreads = 0;
  uint32_t routerQueueDepth = 0, coreQueueDepth = 0; ///< wavelets per colour
  double clockGHz = 0;
  uint32_t ingestWaveletsPerCycle = 0, egressWaveletsPerCycle = 0;
  uint32_t hopCycles = 0, rampCycles = 0, taskCycles = 0, triggerCycles = 0, scalarCycles = 0, descriptorCycles = 0, vectorSetupCycles = 0;
  Lanes vectorLanes, functionLanes, fmacAccLanes, fmacMemLanes;
  uint64_t memoryxDramBytes = 0, memoryxFlashBytes = 0;
  uint32_t maxSystems = 1;
  Defects defects;

  /// Parses and validates; `origin` (a path or name) begins every message. Unknown fields are errors. Throws MachineError.
  static Machine fromJson(std::string_view text, std::string_view origin);
  /// A preset's name ("tiny") or a path that ends in .json. Presets are found in $WAFER_MACHINES, beside the library, or in the source tree. Throws
  /// MachineError that lists the presets.
  static Machine load(const std::string &nameOrPath);
  static std::vector<std::string> presets();

  /// Canonical JSON: the same machine gives the same text.
  std::string toJson() const;
  uint64_t hash() const;
  /// The wafer's column of each core, by y * width + x; empty when it is x everywhere.
  std::vector<uint32_t> columnsOnWafer() const;
};

} // namespace wafer

#endif // WAFER_MACHINE_MACHINE_H
