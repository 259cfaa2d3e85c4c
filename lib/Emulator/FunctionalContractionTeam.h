//===- FunctionalContractionTeam.h - cores that get rows of a weight ----------===//
//
// What FunctionalContraction knows of the columns that rows go to.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALCONTRACTIONTEAM_H
#define WAFER_LIB_EMULATOR_FUNCTIONALCONTRACTIONTEAM_H

#include "FunctionalColumn.h"
#include "FunctionalContraction.h"

namespace wafer {

/// A command of a column, and where it lets sums go.
struct FunctionalContraction::Command {
  uint32_t number = 0;
  SumTask task;
  /// Column beside this one that takes what is passed on: -1 or 1.
  int to = 0;
  /// Colours, -1: from nowhere.
  int in = -1, secondIn = -1, out = -1;
  Trigger otherRows; ///< of an exchange: what weights behind it multiply
};

/// The cores of one column of all groups.
struct FunctionalContraction::Column : FunctionalColumn {
  std::unique_ptr<FunctionalPanels> panels;
  std::vector<std::unique_ptr<Command>> commands;
  const Command *own = nullptr, *handedOver = nullptr; ///< `handedOver`: the same for rows that are multiplied, while more are read
  std::map<uint8_t, Footprint> held; ///< by register: what commands work on, apart from each other
  int otherSum = -1;                 ///< register
  // What the reader of rows writes, in a line that those who multiply do not look at:
  alignas(64) uint64_t taken = 0; ///< commands for sums that go together
  uint64_t owned = 0;
  uint64_t withPlace = 0;  ///< results from the first on whose places are known to be free
  uint32_t last = 0;       ///< command
  uint64_t biases = 0;     ///< commands before one
  uint64_t elementOps = 0, instructions = 0; ///< of commands, to be counted; instructions of one core
  // To be counted of what was multiplied:
  alignas(64) uint64_t products = 0;
  uint64_t wavelets = 0;

  /// Whether the register is a row of f32 in memory for each sum, apart from everything else.
  bool holdsSums(uint8_t reg) { return isUniform(reg) && isRowOfFloats(at(reg), each * sums) && holdsApart(reg); }
  bool holdsApart(uint8_t reg) {
    const Footprint place = footprintOf(at(reg));
    if (held.count(reg) != 0)
      return true;
    held[reg] = place;
    withPlace = 0;
    return std::none_of(held.begin(), held.end(), [&](const auto &other) { return other.first != reg && other.second.overlaps(place); });
  }
  /// The accumulator that takes turns with the trigger's: empty, and the same for all commands.
  bool takesTurns(uint8_t reg) {
    if (otherSum < 0 && holdsSums(reg) && isZero(at(reg)))
      otherSum = reg;
    return otherSum == reg;
  }
};

/// What a team works in, kept for the next one. What the caller writes while others multiply lies in lines of its own.
struct FunctionalContraction::Room {
  alignas(64) ProductRows rows;       ///< that are taken
  alignas(64) ProductRows handedOver; ///< to be multiplied
  WeightSorter sorter;                ///< for those of them that are not sorted
  ValuePool pool;
  FunctionalProduct product;
};

/// The columns that rows go to one after another.
struct FunctionalContraction::Team {
  std::unique_ptr<Room> room; // before the columns, whose panels are its
  Ports ports;
  bool isReady = false;
  std::vector<Column> columns;

  std::vector<const Command *> commands; ///< of the row that was read last, by column
  /// Rows of one owner mostly have the same commands, of which is known then that they let sums go to it.
  struct Seen {
    WeightRow row; ///< without its weights
    std::vector<const Command *> commands;
  };
  std::vector<std::optional<Seen>> seen; ///< by owner
  uint64_t taken = 0;    ///< rows
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALCONTRACTIONTEAM_H
