//===- Session.h - run the entries of a program ---------------------------===//
//
// MemoryX and a wafer: holds the weights, runs an entry's phases one after another on an engine (or, for functions, in MemoryX itself),
// keeps the tensors between phases and counts what happened.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_RUNTIME_SESSION_H
#define WAFER_RUNTIME_SESSION_H

#include "wafer/Runtime/ComputeBackend.h"
#include "wafer/Runtime/Schedule.h"
#include "wafer/Runtime/Stats.h"

#include <functional>
#include <mutex>
#include <set>

namespace wafer {

class KnownTimes;

struct SessionOptions {
  std::string engine = "functional"; ///< a name that createEngine knows, or "timing"
  unsigned threads = 1;
  /// Size of the DRAM tier in bytes; without a value, that of the program's machine.
  std::optional<uint64_t> dramBudget;
  /// Folder of the flash tier, for activations and results that do not fit into a quarter of the DRAM tier; empty: they stay in memory.
  std::string flashFolder;
  std::string trace; ///< Chrome trace JSON; empty: none (cycle engine; of the timing engine's stats, Timeline.h makes one)
};

using NamedTensors = std::map<std::string, Tensor>;
/// Where the elements of values in the flash tier begin.
using FlashPlaces = std::set<const uint8_t *>;

/// One thread at a time.
/// Takes name and value of an output.
using OutputObserver = std::function<void(const std::string &, const Tensor &)>;

class Session {
public:
  /// Throws RuntimeError for an engine that does not exist; names those that do.
  Session(const LoadedProgram &program, SessionOptions options);
  ~Session();

  /// Takes weights from safetensors files. Throws RuntimeError for a damaged file, and for a weight of the program that has another type or
  /// shape there.
  void loadWeights(const std::vector<std::string> &paths);
  /// Takes a weight, or what a state begins with, from memory, now and for later runs. Throws RuntimeError when the program has no such weight, of this type
  /// and shape.
  void setWeight(const std::string &name, Tensor tensor);

  /// Runs an entry. Throws RuntimeError when inputs or weights are missing, unknown, or of another type or shape, before anything runs;
  /// Trap when the program does what the machine forbids. The session can be used again after either, and its states are
  /// those from before.
  /// `made`, if given, is told each output as soon as the run has it, while the run goes on.
  NamedTensors run(const std::string &entry, const NamedTensors &inputs, const OutputObserver &made = {});

  /// What the program's states are now, by name. A state that nobody gave a value begins with zeros.
  NamedTensors states() const;
  /// Throws RuntimeError when the program has no such state, of this type and shape.
  void setState(const std::string &name, Tensor value);
  /// Every state begins anew.
  void resetStates() { states_.clear(); }

  /// The time of an entry, without inputs and without results. Weights are not needed: how many of a sparse one are kept comes from the program.
  /// Throws RuntimeError for an entry that does not exist, Trap when the program cannot go on.
  void time(const std::string &entry);

  /// Of the last run that was complete.
  const RunStats &stats() const { return stats_; }
  const LoadedProgram &program() const { return program_; }

private:
  const wexe::EntryT &findEntry(const std::string &name) const;
  uint32_t findOutside(const std::string &name, const Tensor &value, std::initializer_list<wexe::Role> roles, const char *what) const;
  Tensor stateOf(uint32_t number) const;
  TensorValues checkInputs(const wexe::EntryT &entry, const NamedTensors &inputs) const;
  void checkWeights(const wexe::EntryT &entry) const;
  void checkBlocks(const wexe::EntryT &entry) const;
  void changeLoad(uint16_t load, bool continues);
  PhaseStats runOnWafer(const wexe::PhaseT &phase, TensorValues &values);
  PhaseStats timeOnWafer(const wexe::PhaseT &phase, std::mutex &readsWeights, const std::shared_ptr<KnownTimes> &known) const;
  std::vector<PhaseStats> timeEach(const std::vector<const wexe::PhaseT *> &phases) const;
  std::vector<std::string> outputsOf(const wexe::EntryT &entry, const wexe::PhaseT &phase) const;
  uint64_t skippingMacs(const EngineStats &counted, const wexe::PhaseT &phase, size_t step) const;
  void spill(TensorValues &values, FlashPlaces &inFlash);
  PhaseStats runInMemoryX(const wexe::PhaseT &phase, TensorValues &values);
  void finishStats(const wexe::EntryT &entry, RunStats &stats, const MemoryXCounters &before) const;

  const LoadedProgram program_;
  const SessionOptions options_;
  TensorStore store_;
  std::unique_ptr<Engine> engine_; ///< null after a trap: the next run begins with a fresh wafer
  uint16_t load_ = 0;              ///< the load that the engine has
  uint64_t coresOfEngine_ = 0;     ///< that was at work last
  std::map<uint16_t, std::unique_ptr<Engine>> engines_; ///< of other loads, whose places stay when they are at work
  uint64_t memoryOfEngines_ = 0;   ///< bytes of the cores of these
  std::map<int, std::unique_ptr<Callable>> functions_;
  TensorValues states_;                  ///< those that were written, by number
  uint64_t flashBytesWritten_ = 0; ///< in this run
  RunStats stats_;
};

} // namespace wafer

#endif // WAFER_RUNTIME_SESSION_H
