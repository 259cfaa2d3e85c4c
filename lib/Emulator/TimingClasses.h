//===- TimingClasses.h - a wafer of one core per class -----------------------===//
//
// Cores with the same image that differ only by an affine place, next to cores that do, do the same things at other times. The rows of a grid
// are such cores, and so are its column groups. What is left is one group, and rows enough to see what one more of them costs. Where sums of the groups are added below
// the grid, one group after the other, two are left, one of which begins and the other is the last: that has to wait for what passes all others.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_TIMINGCLASSES_H
#define WAFER_LIB_EMULATOR_TIMINGCLASSES_H

#include "MissingRows.h"
#include "wafer/Executable/Executable.h"

#include <optional>
#include <tuple>

namespace wafer {

/// What of a grid takes part in steps that are timed.
struct TimingUse {
  bool pairs = true; ///< rows may send to others, which take turns with them
  uint32_t colours = UINT32_MAX; ///< a bit for each
  bool below = true; ///< what is below the grid, where results leave and groups may add theirs
  bool operator<(const TimingUse &other) const { return std::tie(pairs, colours, below) < std::tie(other.pairs, other.colours, other.below); }
};

/// A program for one load and one grid, with less of both.
class TimingClasses {
public:
  /// `part` is one load; its cores and routers are all classified, whatever the phases are.
  TimingClasses(const LoadedProgram &part, const wexe::GridT &grid, TimingUse use);

  /// Groups that have to be there, of all.
  uint32_t groupsLeft() const { return groupsLeft_; }
  /// Rows of the grid that need not be there, if any, and rows of routers below it that only pass on.
  MissingRows missingRows() const;
  /// The program without those rows and the groups that need not be there, verified.
  LoadedProgram reduced(const MissingRows &missing) const;
  /// What the row in front of the missing ones sends to them in the control task `number`, and on which colour.
  std::optional<std::pair<uint8_t, MissingRows::Relay>> relayOf(const MissingRows &missing, uint16_t number) const;

private:
  /// Rows, or columns, [first, first + count) that are taken out of everything.
  struct Cut {
    uint32_t first = 0, count = 0;
  };
  void leaveOutChainedGroups();
  Cut groupsBetween() const;
  void beginsSums(wexe::RegionT &region, const wexe::Rect &source) const;
  bool bringsSums(const wexe::RouteT &route, const wexe::Rect &kept) const;
  uint64_t sentInTask(uint32_t x, uint32_t y, uint16_t pc, std::optional<uint8_t> &colour) const;
  bool isUsed(unsigned colour) const { return use_.colours >> colour & 1; }
  bool hasSameImages() const;
  bool hasCores(uint32_t first, uint32_t end) const;
  Cut cutOf(uint32_t first, uint32_t end) const;

  /// Rows at either end of the grid that are simulated: an even number where a ring passes the last of them, else one; where relays fill their links, so many, or as many as make up so many cores.
  static constexpr uint32_t pairOfRows = 2, manyRows = 16, manyCores = 2048;

  const LoadedProgram &part_;
  const wexe::ProgramT &program_;
  const Machine &machine_;
  const wexe::GridT &grid_;
  const TimingUse use_;
  uint32_t period_ = 1; ///< rows come and go in multiples of this: neighbours may differ by parity
  Cut missing_;         ///< rows of the grid that need not be there
  uint32_t groupsLeft_ = 1, firstGroup_ = 0; ///< so many, of which the first has this number
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_TIMINGCLASSES_H
