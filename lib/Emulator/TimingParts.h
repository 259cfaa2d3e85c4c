//===- TimingParts.h - steps that are timed by themselves ----------------------===//
//
// What follows a contraction of a million cycles hardly notices how it ended: both can be timed by themselves, each with no more of the wafer than takes part in it, and equal
// ones once. Between them is a command, which goes to all columns at once, the slowest of them too.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_TIMINGPARTS_H
#define WAFER_LIB_EMULATOR_TIMINGPARTS_H

#include "wafer/Emulator/Timing.h"

#include <optional>
#include <vector>

namespace wafer {

/// Steps [first, first + count) of a phase.
struct TimingPart {
  size_t first = 0, count = 0;
  bool isLong = false; ///< a command and one step, which takes long
  /// The command with which the part has ended; none: when nothing is left to do.
  std::optional<uint16_t> end;
};

/// All of a phase, in order. It is one part where it is short, or where kernels need what others left in registers.
std::vector<TimingPart> partsOf(const LoadedProgram &program, const wexe::PhaseT &phase, const TimingOptions &options);

/// A phase of those steps, and of the command behind them.
wexe::PhaseT phaseOf(const wexe::PhaseT &phase, const TimingPart &part);

/// What the time of a long part depends on, but for how many rows a weight has; empty where that is its values.
std::vector<int64_t> timingKey(const LoadedProgram &program, const wexe::PhaseT &part, const TimingOptions &options);

/// Colours on which cores send or take something in the part, a bit for each, and those of what is below the grid.
uint32_t coloursOf(const LoadedProgram &program, const wexe::PhaseT &part);

/// Whether each row of the step's weight takes as long as any other.
bool hasEqualRows(const wexe::StepT &step, const TimingOptions &options);

/// So many rows of a weight tell what each further turn of their owners takes. As many are left for the last turn as of all rows.
uint32_t rowsThatTell(const wexe::GridT &grid, const wexe::StepT &step, const TimingOptions &options);

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_TIMINGPARTS_H
