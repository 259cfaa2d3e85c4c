//===- FunctionalContraction.h - rows of a contraction all together ----------===//
//
// What cores do with the rows of a weight one command after another is a matrix product whose sums are made in a documented order. Where the code, the
// descriptors and the routes of the cores are such, the rows are taken from the stream and multiplied together, in that order: every column's products in the order
// of arrival, the columns from both edges to the owner (docs/spec/weight-stream.md section 3). What the cores then hold, and what is counted, is as if each had
// done it by itself; where anything differs the rows are left to them.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALCONTRACTION_H
#define WAFER_LIB_EMULATOR_FUNCTIONALCONTRACTION_H

#include "FunctionalContractionTasks.h"
#include "FunctionalProduct.h"
#include "FunctionalRouting.h"
#include "FunctionalStream.h"
#include "FunctionalWeightSorter.h"

#include <map>

namespace wafer {

class FunctionalContraction {
public:
  FunctionalContraction(const LoadedProgram &program, FunctionalRouting &routing, const std::vector<std::unique_ptr<FunctionalBatch>> &batches, Crew &crew);
  ~FunctionalContraction();

  /// Whether a burst may be the first of a row; one command to all columns is not.
  static bool mayBegin(const FunctionalStream::Part &part) { return part.burst.control && (part.count != 0 || part.burst.portStep != 1); }
  /// Takes rows from the front of the stream, as many as can be. Returns whether there were any. Nothing on the wafer can go on by itself.
  bool run(FunctionalStream &stream, EngineStats &stats);

private:
  struct Column;
  struct Team;
  struct Command;
  struct Room;

  /// Where rows go: to one column of all groups after another.
  struct Ports {
    uint8_t colour = 0;
    uint16_t first = 0, step = 1, count = 1;
    uint32_t end() const { return first + uint32_t(step) * count; }
    bool operator==(const Ports &other) const { return colour == other.colour && first == other.first && step == other.step && count == other.count; }
  };

  Team *teamOf(const Ports &ports);
  bool prepare(Team &team);
  bool prepare(Column &column, Room &room);
  const Command *commandOf(Team &team, size_t column, uint32_t number);
  bool isChain(const Team &team, size_t &owned) const;
  bool takeRow(FunctionalStream &stream);
  void multiplyMeanwhile();
  /// Whether a thread takes a team as a whole: its tokens would not be worth sharing.
  bool hasManyTeams() const { return crew_.size() > 1 && teams_.size() >= crew_.size(); }
  bool isTimeToMultiply(const Team &team) const;
  static bool handOver(Team &team);
  static void multiply(Team &team, Crew *crew);
  void complete();
  void finish(Team &team, Crew *crew, EngineStats &stats);

  // Rows (FunctionalContractionRows.cpp).
  bool readRow(FunctionalStream &stream, Team &team, ProductRow &row, size_t &bursts);
  bool readCommands(const WeightRow &whole, Team &team);
  bool readRow(const WeightRow &whole, Team &team, ProductRow &row);
  bool hasPlace(Column &owner) const;
  bool areFree(const Column &owner, uint64_t count) const;
  bool acceptRow(Team &team, ProductRow row);
  void acceptCommands(Team &team, const ProductRow &row);

  const LoadedProgram &program_;
  FunctionalRouting &routing_;
  const std::vector<std::unique_ptr<FunctionalBatch>> &batches_;
  Crew &crew_;
  std::map<std::pair<uint16_t, uint16_t>, std::unique_ptr<Team>> teams_; ///< by first port and number of ports, of one run
  std::vector<std::unique_ptr<Room>> spareRooms_;
  std::vector<Team *> atWork_; ///< whose rows are being multiplied
  std::atomic<size_t> doneAtWork_{0}; ///< of many, each by one thread
  size_t waiting_ = 0;        ///< rows that were taken and not handed over
  bool lastWasWhole_ = false; ///< of the rows that were taken
  Weights weights_;            ///< of a column that is read
  WeightSorter sorter_;        ///< of a row that is read
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALCONTRACTION_H
