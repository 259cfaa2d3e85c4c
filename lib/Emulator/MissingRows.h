//===- MissingRows.h - rows of cores that a simulation leaves out ------------===//
//
// The timing engine simulates the first and the last rows of a grid. Between them a link stands for the rows that are not there: it takes as long and holds as
// much as they do. Cores hand blocks on from row to row. What the missing ones would keep of a relay is taken off it, and what they would add is added.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_MISSINGROWS_H
#define WAFER_LIB_EMULATOR_MISSINGROWS_H

#include <cstdint>
#include <map>
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
  /// Rows of cores, and below the grid rows of routers, numbered without the former.
  MissingRows(Rows cores, Rows routers) : cores(cores), routers(routers) {}

  /// The next step in which this colour goes to the missing rows.
  void expect(uint8_t colour, const Relay &relay) { relays_[colour].push_back(relay); }
  const std::vector<Relay> &relays(uint8_t colour) { return relays_[colour]; }

  const Rows cores, routers;

private:
  std::map<uint8_t, std::vector<Relay>> relays_;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_MISSINGROWS_H
