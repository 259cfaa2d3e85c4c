//===- MissingRows.h - cores that a simulation leaves out --------------------===//
//
// The timing engine simulates the first and the last rows of a grid. Between them a link stands for the rows that are not there: it takes as long and holds as
// much as they do. Cores hand blocks on from row to row. What the missing ones would keep of a relay is taken off it, and what they would add is added. Of column groups that are alike it simulates one, or, where sums pass from group to group below the
// grid, some of the first and the last; the link between those stands for the groups that are not there.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_MISSINGROWS_H
#define WAFER_LIB_EMULATOR_MISSINGROWS_H

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace wafer {

class MissingRows {
public:
  /// Wavelets that the row in front of the missing ones sends to them in one step.
  struct Relay {
    uint64_t sent = 0, kept = 0, added = 0; ///< of `sent`, the first `kept` stay there; `added` leave before all others
  };

  /// Rows behind a row that is there.
  struct Rows {
    uint32_t above = 0, count = 0;
  };
  /// Groups behind the column `before`, which pass sums on below the grid.
  struct Groups {
    uint32_t before = 0, count = 0, columns = 0; ///< `columns` of each
  };
  /// Rows of cores, and below the grid rows of routers, numbered without the former.
  MissingRows(Rows cores, Rows routers, Groups groups, uint32_t south) : cores(cores), routers(routers), groups(groups), south(south) {}

  /// The next step in which this colour goes to the missing rows.
  void expect(uint8_t colour, const Relay &relay) { relays_[colour].push_back(relay); }
  std::vector<Relay> &relays(uint8_t colour) { return relays_[colour]; }

  /// Wavelets in each column that can be left out of those that rows would keep of the relay that goes on (`into`), or of those that they add; and leaving so
  /// many of them out. Set by the engine.
  std::function<uint64_t(uint8_t colour, bool into)> mostToLeaveOut;
  std::function<void(uint8_t colour, bool into, uint64_t count)> leaveOut;

  /// Wavelets of all columns that were left out of what they add, since this was asked last.
  uint64_t takeLeftOut(uint8_t colour) { return std::exchange(leftOut[colour], 0); }

  const Rows cores, routers;
  const Groups groups;
  const uint32_t south; ///< the first row below those of the grid that are there
  std::map<uint8_t, uint64_t> leftOut; ///< by colour

private:
  std::map<uint8_t, std::vector<Relay>> relays_;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_MISSINGROWS_H
