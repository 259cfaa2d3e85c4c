//===- Timing.h - the time of a phase without its data ---------------------===//
//
// What the cycle engine would count for a phase of a verified program, from one core per class (docs/rationale/timing.md).
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_EMULATOR_TIMING_H
#define WAFER_EMULATOR_TIMING_H

#include "wafer/Emulator/Engine.h"

#include <functional>
#include <memory>

namespace wafer {

/// Times of long steps, which phases of a program share that are timed with it, side by side too.
class KnownTimes;
std::shared_ptr<KnownTimes> makeKnownTimes();

struct TimingOptions {
  /// Kept weights of a row of an indexed16 step in a column. Without it they are drawn from `density`.
  std::function<uint64_t(const wexe::StepT &step, uint64_t row, uint64_t column)> kept;
  /// Share of weights that are kept, by step.
  std::function<double(const wexe::StepT &step)> density;
  /// Steps that take so many cycles at least are timed by themselves: what is lost between them and their neighbours are some hundreds.
  uint64_t longCycles = 1 << 18;
  std::shared_ptr<KnownTimes> known = makeKnownTimes();
};

/// What goes between MemoryX and the wafer, in words of its link, one for each wavelet unless the edge unpacks them; what goes to several columns at once counts once.
struct WaveletCounts {
  uint64_t weights = 0, activationsIn = 0, activationsOut = 0, commands = 0;
  uint64_t weightWavelets = 0; ///< that the edge makes of the weights
  uint64_t in() const { return weights + activationsIn + commands; }
};

/// A step of the stream schedule, all micro-batches together.
struct StepTiming {
  std::string name, location;
  wexe::StepKind kind = wexe::StepKind::Command;
  uint64_t begin = 0;  ///< cycle of the phase in which its first wavelet went in, first micro-batch
  uint64_t cycles = 0; ///< from its first wavelet to that of the next step
  uint64_t macs = 0;
  WaveletCounts wavelets;
  uint64_t ingestCycles = 0, egressCycles = 0; ///< for which it has MemoryX's link, at least
};

struct PhaseTiming {
  uint64_t cycles = 0;
  uint64_t macs = 0;
  uint64_t cores = 0;
  WaveletCounts wavelets;
  std::vector<StepTiming> steps;
  uint64_t simulatedCores = 0, simulatedCycles = 0; ///< what it took: cores, of a part of the phase at most, and cycles that were not left out, of all parts that were not known
};

/// Kept weights among `valid` of them, drawn so that all rows and columns together have the share `density`.
uint64_t drawKept(uint64_t valid, double density, uint64_t row, uint64_t column);

/// `program` has the load of the phase and maybe others. Throws Trap when the program cannot go on.
PhaseTiming timePhase(const LoadedProgram &program, const wexe::PhaseT &phase, const TimingOptions &options);

} // namespace wafer

#endif // WAFER_EMULATOR_TIMING_H
