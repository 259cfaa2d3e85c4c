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
#include "WaitReport.h"

#include <deque>
#include <memory>

namespace wafer {

/// Words in order; taken from the front.
class WordQueue {
public:
  size_t size() const { return words_.size() - head_; }
  const uint32_t *data() const { return words_.data() + head_; }
  void push(const uint32_t *words, size_t count) { words_.insert(words_.end(), words, words + count); }
  void pop(size_t count) {
    head_ += count;
    if (head_ == words_.size()) {
      words_.clear();
      head_ = 0;
    } else if (head_ > 4096 && head_ > words_.size() / 2) {
      words_.erase(words_.begin(), words_.begin() + static_cast<long>(head_));
      head_ = 0;
    }
  }

private:
  std::vector<uint32_t> words_;
  size_t head_ = 0;
};

/// Data wavelets, then at most one control wavelet, shared by all cores that receive them.
struct CommandBurst {
  std::vector<uint32_t> data;
  bool hasControl = false;
  uint32_t control = 0;
};

/// Where a core's words go.
class WordSink {
public:
  virtual ~WordSink() = default;
  virtual void send(uint32_t core, unsigned colour, const uint32_t *words, size_t count) = 0;
};

class FunctionalCore {
public:
  FunctionalCore(const LoadedProgram &program, const ImageModel &image, uint16_t x, uint16_t y, uint32_t number);

  /// Goes on until input is missing. Counts into `stats`.
  void run(WordSink &sink, EngineStats &stats);
  bool quiet() const;
  Waiter waiter(const LoadedProgram &program) const;

  CoreModel model;
  std::vector<WordQueue> in; ///< by colour
  std::deque<std::shared_ptr<const CommandBurst>> commands;

private:
  bool conflictsWithPending(const Operation &op, size_t older) const;
  bool runPending(WordSink &sink, EngineStats &stats);
  bool runMain(WordSink &sink, EngineStats &stats);
  bool runCommand(WordSink &sink, EngineStats &stats);
  bool runTask(EngineStats &stats);
  bool runWeights(const CommandBurst &burst, EngineStats &stats);
  bool progress(Operation &op, WordSink &sink, EngineStats &stats);
  void fastRun(Operation &op, size_t n, const uint32_t *words);
  void slowRun(Operation &op, size_t n, const uint32_t *words, size_t wordCount);

  const uint32_t number_;
  std::deque<Operation> pending_; ///< asynchronous operations, oldest first
  std::unique_ptr<Operation> operation_;
  int task_ = -1; ///< pc of the next instruction, -1: none
  size_t burstAt_ = 0;
  std::vector<RowWeight> weights_;
  std::vector<uint32_t> outgoing_;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALCORE_H
