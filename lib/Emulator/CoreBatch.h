//===- CoreBatch.h - cores that run in step on bursts -------------------------===//
//
// Cores with the same code and the same stream of commands, as one sequential process whose every step is taken by all of them: a step costs little more for
// many cores than for one. Cores may differ in descriptors (region overrides); operations that differ run core by core. Waiting for one core is waiting for all,
// which can only be too much waiting: when nothing moves, a batch is split into its cores, which go on from there.
//
// Operations that wait are kept in order and run as soon as no earlier one conflicts, as the scoreboard of docs/spec/machine.md section 5 says; their number is
// not bounded here, because results do not depend on it.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_COREBATCH_H
#define WAFER_LIB_EMULATOR_COREBATCH_H

#include "CoreModel.h"
#include "Inbox.h"
#include "WaitReport.h"
#include "WeightPanel.h"

#include <deque>
#include <memory>

namespace wafer {

/// Where a batch's words go.
class WordSink {
public:
  virtual ~WordSink() = default;
  /// `count` words from every lane; word i of lane l is words[i * lanes + l].
  virtual void sendAll(uint32_t batch, unsigned colour, const uint32_t *words, size_t count) = 0;
  virtual void sendLane(uint32_t batch, size_t lane, unsigned colour, const uint32_t *words, size_t count) = 0;
};

/// Memory of the cores of a batch; pages are touched when they are used.
class BatchMemory {
public:
  BatchMemory(const Machine &machine, size_t lanes);
  CoreMemory lane(size_t lane) const { return {sram_.get() + lane * sramBytes_, accumulator_.get(), lanes_, lane}; }
  uint8_t *accumulators() const { return accumulator_.get(); }

private:
  struct Free {
    void operator()(uint8_t *pointer) const;
  };
  size_t lanes_, sramBytes_;
  std::unique_ptr<uint8_t, Free> sram_, accumulator_;
};

class CoreBatch {
public:
  CoreBatch(const LoadedProgram &program, const ImageModel &image, const std::vector<std::pair<uint16_t, uint16_t>> &places, uint32_t number);

  size_t lanes() const { return models_.size(); }
  const ImageModel &image() const { return image_; }
  std::pair<uint16_t, uint16_t> place(size_t lane) const { return {models_[lane].x, models_[lane].y}; }

  /// Goes on until input is missing. Counts into `stats`.
  void run(WordSink &sink, EngineStats &stats);
  bool quiet() const;
  uint64_t sramHighWater() const;
  /// For a batch of one core.
  Waiter waiter(const LoadedProgram &program) const;
  /// One lane as a batch of its own that goes on from here; the memory stays where it is.
  CoreBatch only(size_t lane, uint32_t number) const;

  std::vector<Inbox> in; ///< by colour
  CommandQueue commands;

private:
  /// A register: one descriptor, or one per lane.
  struct Register {
    bool loaded = false;
    Descriptor common;
    std::vector<Descriptor> lanes; ///< empty: common
    const Descriptor &of(size_t lane) const { return lanes.empty() ? common : lanes[lane]; }
  };
  /// An issued operation of all lanes, or one per lane.
  struct Work {
    Operation common;
    std::vector<Operation> lanes;  ///< empty: common, all lanes at the same element
    std::vector<float> source1;    ///< src1 read when the operation was issued, [element][lane]; the memory is free for others
    bool touchesMemory = true;     ///< false: nothing in memory is still to be read or written
    const Operation &of(size_t lane) const { return lanes.empty() ? common : lanes[lane]; }
    bool finished() const;
  };

  CoreBatch(const LoadedProgram &program, const ImageModel &image, std::shared_ptr<BatchMemory> memory, uint32_t number);
  const Register &use(uint8_t reg, uint16_t pc) const;
  void control(const Instruction &insn, uint16_t pc);
  Work issue(const Instruction &insn, uint16_t pc);
  void checkRoutes(const Operation &op);
  void readEarly(Work &work);

  bool blocks(const Work &earlier, const Work &later, size_t lane) const;
  bool isBlocked(const Work &work, size_t older) const;
  bool runPending(WordSink &sink, EngineStats &stats);
  bool runMain(WordSink &sink, EngineStats &stats);
  void runTask(EngineStats &stats);
  bool runWeights(const CommandBurst &burst, EngineStats &stats);
  bool runTriggersApart(const CommandBurst &burst, EngineStats &stats);
  bool progress(Work &work, size_t older, WordSink &sink, EngineStats &stats);
  bool progressLane(Work &work, size_t lane, WordSink &sink, EngineStats &stats);
  void runTogether(Work &work, size_t n, const uint32_t *words);
  void runElements(Operation &op, size_t lane, size_t n, WordQueue *queue);
  bool runsTogether(const Operation &op) const;
  void noteWrites(const Operation &op);
  float *accumulator(const Descriptor &descriptor, uint64_t element) const;

  const LoadedProgram &program_;
  const ImageModel &image_;
  std::shared_ptr<BatchMemory> memory_;
  uint32_t number_;
  bool ownsAccumulators_ = true; ///< lanes are all cores of the memory, so that an accumulator's lanes lie side by side
  std::vector<CoreModel> models_;
  std::vector<Register> registers_;
  std::vector<std::unique_ptr<Register>> templates_; ///< made when first loaded
  int dataTask_ = -1;
  uint32_t implicitIndex_ = 0;
  int task_ = -1; ///< pc of the next instruction, -1: none
  size_t burstAt_ = 0;
  std::vector<std::unique_ptr<Work>> pending_; ///< asynchronous operations, oldest first
  std::optional<Work> work_; ///< the task's operation at hand
  std::vector<bool> routesChecked_;
  WeightPanel panel_;
  std::vector<RowWeight> weights_;
  std::vector<uint32_t> outgoing_;
  std::vector<float> gathered_[2], result_;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_COREBATCH_H
