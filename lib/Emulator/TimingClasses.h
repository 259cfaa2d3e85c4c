//===- TimingClasses.h - a wafer of one core per class -----------------------===//
//
// Cores with the same image that differ only by an affine place, next to cores that do, do the same things at other times. The rows of a grid
// are such cores, and so are its column groups. What is left is one group, and rows enough to see what one more of them costs.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_TIMINGCLASSES_H
#define WAFER_LIB_EMULATOR_TIMINGCLASSES_H

#include "wafer/Executable/Executable.h"

#include <optional>

namespace wafer {

/// A program for one load and one grid, with less of both.
class TimingClasses {
public:
  /// `part` is one load; its cores and routers are all classified, whatever the phases are.
  TimingClasses(const LoadedProgram &part, const wexe::GridT &grid);

  /// Rows come and go in multiples of this: neighbours may differ by parity.
  uint32_t period() const { return period_; }
  /// Whether rows of the grid, and whole groups, can be left out.
  bool rowsAreAlike() const { return rowsAreAlike_; }
  bool groupsAreAlike() const { return groupsAreAlike_; }
  /// The program with `rows` rows of the grid (as many as there are, less a multiple of the period) and as many of the groups, verified. Rows of routers below
  /// the grid that only pass on are left out; `missingHops` counts them.
  LoadedProgram reduced(uint32_t rows, uint32_t groups, uint32_t &missingHops) const;

private:
  /// Rows [first, first + count) that are taken out of everything.
  struct Cut {
    uint32_t first = 0, count = 0;
  };
  bool isClean(const Cut &cut, bool regionsToo) const;
  Cut cutOfGrid(uint32_t rows) const;

  const wexe::ProgramT &program_;
  const Machine &machine_;
  const wexe::GridT &grid_;
  uint32_t period_ = 1;
  bool rowsAreAlike_ = false, groupsAreAlike_ = false;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_TIMINGCLASSES_H
