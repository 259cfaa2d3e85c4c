//===- FunctionalBatch.h - cores of one column that run in step ---------------===//
//
// Cores of one image that receive the same commands. While nothing sets them apart they are one process whose operands are those of all cores side by side:
// an instruction is decoded and checked once, and the weights of many commands are multiplied at once (WeightsAhead). At an instruction that this does not
// cover the cores part and each goes on by itself (FunctionalCore); when all of them wait for the next command they join again. Either way the bits are
// those of docs/spec/machine.md.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALBATCH_H
#define WAFER_LIB_EMULATOR_FUNCTIONALBATCH_H

#include "FunctionalBlocks.h"
#include "FunctionalElements.h"
#include "FunctionalPanels.h"
#include "FunctionalRegisters.h"
#include "FunctionalWaiting.h"

namespace wafer {

class FunctionalBatch final : private EarlierOperations {
public:
  /// `cores` live as long as the batch, `pool` is that of its domain.
  FunctionalBatch(const LoadedProgram &program, std::vector<FunctionalCore *> cores, ValuePool &pool, uint32_t number);

  const std::vector<FunctionalCore *> &cores() const { return cores_; }
  /// Before anything else: the control task that the cores run when they are loaded.
  void start(uint32_t task);
  void command(Command command) {
    isQuiet_ = false;
    commands_.push_back({std::move(command), {}});
  }
  void receive(size_t place, unsigned colour, Words words);
  /// One after the other; leaves nothing of them.
  void receive(size_t place, unsigned colour, std::vector<Words> &parts);
  void receiveAll(unsigned colour, ValueRef value, size_t elementsPerCore);

  /// Goes on until input and commands are missing.
  void run(BatchSink &sink, EngineStats &stats);
  /// Lets cores go on although others of the batch cannot yet: those that wait for a command take it, and those in step that wait part. Returns whether any did.
  bool runAhead();
  /// Whether nothing is left to do, and all that the cores hold is in their own memory and registers. No more words will come.
  bool quiet();
  void addWaiters(const LoadedProgram &program, std::vector<Waiter> &waiters) const;

private:
  bool isInTheWay(uint32_t place, const Operation &op) const override;
  bool isInTheWay(uint32_t place, const Trigger &trigger) const override;

  // Apart.
  void runCores(BatchSink &sink, EngineStats &stats);
  bool allIdle() const;
  bool joinOrTake();
  void part();

  // In step.
  bool runJoined(BatchSink &sink, EngineStats &stats);
  void runTask(uint16_t pc, BatchSink &sink, EngineStats &stats);
  struct Plan;
  Plan &planOf(const Instruction &insn, uint16_t pc);
  enum class Issued { Yes, Later, Apart }; ///< Later: when operations that wait for input are done
  Issued issue(const Instruction &insn, uint16_t pc, BatchSink &sink, EngineStats &stats);
  bool issueLocal(const Plan &plan, EngineStats &stats);
  void runElementsOfAll();
  bool issueFabric(const Plan &plan, BatchSink &sink, EngineStats &stats);

  // Weights (FunctionalBatchWeights.cpp).
  struct BoundTrigger;
  bool runWeights(EngineStats &stats);
  BoundTrigger *boundTrigger();
  uint64_t productsOf(const BoundTrigger &bound, const Weights &weights);
  void contract(const BoundTrigger &bound, const PackedRows &rows, ValueRef sums, bool fromZero);

  CoreMask all() const { return allCores(cores_.size()); }
  CoreModel &first() { return cores_[0]->model; }

  /// The sums that a command's weights give when they begin with 0, made before it is its turn.
  struct Ahead {
    ValueRef sums;
    uint64_t rows = 0; ///< number of the packing
    uint16_t trigger = 0;
    uint64_t products = 0;
  };
  struct Waiting {
    Command command;
    Ahead ahead;
  };
  struct Plan {
    enum Kind { Apart, Nothing, Local, Fabric } kind = Apart;
    Operation op;
    std::optional<ElementRuns> runs; ///< of a local one
  };
  struct BoundTrigger {
    int task = -1;
    Descriptor dst, rows;
    Trigger trigger;
    bool isFast = false;
  };

  const std::vector<FunctionalCore *> cores_;
  ValuePool &pool_;
  const unsigned commandColour_;
  FunctionalRegisters registers_;
  FunctionalBlocks blocks_;
  FunctionalPanels panels_;
  FunctionalWaiting waiting_;

  std::deque<Waiting> commands_;
  uint64_t firstCommand_ = 0;   ///< number of the first in the queue
  std::vector<uint64_t> taken_; ///< by core: number of the next command
  size_t at_ = 0;               ///< in step: place of the next command in the queue
  bool isJoined_ = false;
  bool isQuiet_ = false; ///< known to be, and nothing has come since
  std::optional<uint16_t> pausedAt_; ///< in step: pc of the instruction that waits
  CoreMask mayRun_ = 0; ///< apart: cores that something happened to

  struct Plans {
    std::vector<Plan> known;
    size_t oldest = 0;
  };
  std::vector<Plans> plans_;          ///< by pc
  std::vector<ElementRuns> elements_; ///< that were issued and are still to be done, of the task at work
  std::vector<BoundTrigger> triggers_;
  size_t oldestTrigger_ = 0;
  unsigned madeInVain_ = 0;      ///< sums that were made ahead and of no use, less those that were
  std::vector<Weights> weights_; ///< room for the commands that are multiplied at once
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALBATCH_H
