//===- FunctionalCore.h - a core as a sequential process on bursts -----------===//
//
// Runs until it lacks input. Operations that wait are kept in order and run as soon as no earlier one conflicts, as the scoreboard of docs/spec/machine.md section 5 says;
// their number is not bounded here, because results do not depend on it.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALCORE_H
#define WAFER_LIB_EMULATOR_FUNCTIONALCORE_H

#include "CoreModel.h"
#include "FunctionalKernels.h"
#include "FunctionalWords.h"
#include "WaitReport.h"

#include <memory>
#include <optional>

namespace wafer {

/// Operations that come before everything a core does by itself: those of its batch that still wait (FunctionalBatch.h).
class EarlierOperations {
public:
  virtual ~EarlierOperations() = default;
  virtual bool isInTheWay(uint32_t place, const Operation &op) const = 0;
  virtual bool isInTheWay(uint32_t place, const Trigger &trigger) const = 0;
};

/// Whether the elements lie one behind the other.
bool isContiguous(const Descriptor &descriptor);
/// Whether it makes no difference that many elements are read before the first is written.
bool mayReadAhead(const Operation &op);

/// Moves that change no element but for a signalling NaN, from the fabric or to it.
bool isPlainMove(const Operation &op);
/// Whether what comes in goes out as it is.
bool isRelay(const Operation &op);
/// Passing through a 16-bit float type makes a signalling NaN quiet.
void quiet16(ElementType type, uint8_t *data, size_t n);

class FunctionalCore {
public:
  FunctionalCore(const LoadedProgram &program, const ImageModel &image, uint16_t x, uint16_t y, uint32_t number, std::shared_ptr<uint8_t> memory);

  /// Goes on until input or a command is missing. Counts into `stats`.
  void run(WordSink &sink, EngineStats &stats);
  /// Whether nothing is at work: the core takes a command.
  bool isIdle() const { return !command_ && task_ < 0 && !operation_ && pending_.empty(); }
  /// Whether the core is idle and has no words left.
  bool quiet();
  /// Words that come, behind those that have.
  void receive(unsigned colour, Words words) {
    mayHaveWords_ = true;
    in[colour].push(std::move(words));
  }
  /// The next command. The core is idle.
  void take(Command command) { command_ = std::move(command); }
  /// Goes on with the instruction at `pc`. The core is idle.
  void resume(uint16_t pc) { task_ = pc; }
  /// An operation on memory only, from its first element to its last.
  void runLocal(Operation op, EngineStats &stats);
  Waiter waiter(const LoadedProgram &program) const;

  CoreModel model;
  std::vector<WordQueue> in; ///< by colour, to take words from
  const uint32_t number;
  const EarlierOperations *earlier = nullptr;
  uint32_t place = 0; ///< in the batch

private:
  bool conflictsWithPending(const Operation &op, size_t older) const;
  bool runPending(WordSink &sink, EngineStats &stats);
  bool runMain(WordSink &sink, EngineStats &stats);
  bool runTask(EngineStats &stats);
  bool runWeights(WordSink &sink, EngineStats &stats);
  bool runSums(Trigger &bound, WordSink &sink, EngineStats &stats);
  bool progress(Operation &op, WordSink &sink, EngineStats &stats);
  bool relay(Operation &op, WordSink &sink, EngineStats &stats);
  void work(Operation &op, size_t n, const uint32_t *words);
  void arithmeticRun(Operation &op, size_t n, const uint32_t *words);
  void moveRun(Operation &op, size_t n, const uint32_t *words);
  void slowRun(Operation &op, size_t n, const uint32_t *words);

  bool mayHaveWords_ = false; ///< in queues that it would take longer to look through
  std::vector<Operation> pending_; ///< asynchronous operations, oldest first
  std::unique_ptr<Operation> operation_;
  std::optional<Command> command_;
  size_t sumsDone_ = 0;    ///< of the command's data wavelets
  unsigned valuesDone_ = 0; ///< of the one behind them
  int task_ = -1; ///< pc of the next instruction, -1: none
  std::vector<RowWeight> weights_;
  std::vector<uint32_t> outgoing_;
  std::vector<Words> relayed_; ///< keeps its room
  std::vector<float> row_; ///< of dot products; sums before masked products
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALCORE_H
