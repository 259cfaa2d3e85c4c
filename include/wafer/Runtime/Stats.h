//===- Stats.h - what a run did -------------------------------------------===//
//
// Counters of a run, phase by phase, and their JSON form. Everything here was counted while the program ran.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_RUNTIME_STATS_H
#define WAFER_RUNTIME_STATS_H

#include "wafer/Emulator/Timing.h"
#include "wafer/Runtime/TensorStore.h"

#include <string>
#include <vector>

namespace wafer {

inline constexpr uint64_t bytesPerWavelet = 4;

/// Bytes between MemoryX and the wafer. What goes to several columns at once counts once.
struct StreamedBytes {
  uint64_t weights = 0, activationsIn = 0, activationsOut = 0, commands = 0;
  uint64_t total() const { return weights + activationsIn + activationsOut + commands; }
};

/// A contract or scale step of a phase, over all of its micro-batches.
struct StepStats {
  std::string name;           ///< of the weight
  std::string wire, link;     ///< formats on the fabric, and on MemoryX's link
  uint64_t macsDense = 0;     ///< if no weight were zero; padding of tokens included
  uint64_t macsExecuted = 0;  ///< by the weights that were sent, with what is not 0 where zeros are passed over, and by biases
  uint64_t bytes = 0;         ///< of weights on MemoryX's link
  uint64_t bytesDense = 0;    ///< in the wire format that knows no zeros
  bool skipsInputZeros = false; ///< whether weights are not multiplied by zeros
  bool skipsOutputs = false;    ///< whether results that a mask hides are not computed
};

struct PhaseStats {
  bool onWafer = true;
  std::string name;   ///< of the function; of a wafer phase, what it streams
  std::string reason; ///< why a function runs in MemoryX
  uint32_t microBatches = 0;
  std::vector<std::string> outputs; ///< of the program, that the phase makes
  EngineStats engine;
  StreamedBytes streamed;
  std::vector<StepStats> steps;
  double seconds = 0; ///< of the host
  std::optional<PhaseTiming> timing; ///< timing engine
};

/// Where an operation of the model ran.
struct OpStats {
  std::string name, location, placement, reason;
  uint64_t macs = 0;
};

struct RunStats {
  std::string entry, engine, machine;
  unsigned threads = 1;
  double clockGHz = 0;
  std::vector<PhaseStats> phases;
  EngineStats total; ///< sums over the phases; cores and SRAM high water are the largest
  StreamedBytes streamed;
  double seconds = 0;
  MemoryXCounters memoryX;          ///< of this run; the peak is since the session began
  uint64_t activationPeakBytes = 0; ///< most bytes of inputs, intermediates and outputs that MemoryX held in memory at one time
  unsigned weightColours = 0;       ///< colours that carry weights; the loader proved for each that no core can store what it carries
  std::vector<OpStats> ops;

  /// Only engines that model time count cycles.
  bool hasCycles() const { return total.cycles > 0; }
};

/// Adds a phase's counters to a total.
void accumulate(EngineStats &total, const EngineStats &phase);

/// JSON with a fixed order of keys. Counters that the engine does not model are null.
std::string toJson(const RunStats &stats);

} // namespace wafer

#endif // WAFER_RUNTIME_STATS_H
