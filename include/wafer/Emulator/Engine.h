//===- Engine.h - run a loaded program ------------------------------------===//
//
// The contract between an engine and what is attached to the wafer's edge. An engine is given a verified program, pulls bursts from an
// Ingress (MemoryX sending), runs every core until nothing is left to do, and hands what leaves at the south edge to an Egress.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_EMULATOR_ENGINE_H
#define WAFER_EMULATOR_ENGINE_H

#include "wafer/Executable/Executable.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace wafer {

class MissingRows;
class SortedRows;

/// A run of data wavelets, then at most one control wavelet, all of one colour, sent in this order to each of the input ports
/// first, first + step, ... (count of them, columns of the north edge).
struct Burst {
  uint8_t colour = 0;
  uint16_t firstPort = 0;
  uint16_t portStep = 1;
  uint16_t portCount = 1;
  std::vector<uint32_t> data;
  std::optional<uint32_t> control;
  /// Words that bring the data over MemoryX's link, where the edge unpacks it (docs/spec/weight-stream.md section 3); else as many as wavelets.
  std::optional<uint32_t> linkWords = std::nullopt;
  uint32_t copies = 1; ///< bursts like this one, to ports that nobody simulates, that take room on the link with it
  uint32_t tag = 0;    ///< Ingress::sent is told of bursts that have one
  bool isAwaited = false; ///< what is behind it is asked for when it is through
  /// Bursts of Ingress::nextBeside go behind the one that opens for them, and in front of the one that closes. Nothing is asked for behind that until it has gone.
  bool opensBeside = false, closesBeside = false;
};

/// A row of a weight, whole: what each column of some groups gets for one output of a contraction (docs/spec/weight-stream.md section 2, Contract).
struct WeightRow {
  uint8_t colour = 0;
  uint16_t firstPort = 0, columns = 1, groups = 1; ///< groups lie side by side
  /// The trigger instruction that takes its wavelets, which decides what they look like.
  Opcode opcode = Opcode::Fmacp;
  ElementType type = ElementType::F16; ///< float, of weights and bias
  /// Weight k is for column k mod columns. Where wavelets have an index it is k / columns, and zeros of either sign are not sent.
  const uint8_t *weights = nullptr; ///< may be null where `sorted` is complete
  size_t count = 0;
  /// Where wavelets have an index: what an engine keeps of the rows of this weight, for runs to come, and which of them this one is. Null: of nothing.
  SortedRows *sorted = nullptr;
  size_t number = 0;
  uint16_t owner = 0; ///< column
  /// Of rows of one owner whose sums go together, which one this is, and how many there are; commands come behind the last of them.
  uint32_t place = 0, together = 1;
  uint32_t east = 0, west = 0, own = 0; ///< commands of the columns before the owner, behind it, and of it
  struct Bias {
    uint32_t command = 0; ///< before it
    uint32_t bits = 0;
  };
  std::optional<Bias> bias;

  size_t countIn(size_t column) const { return count / columns + (column < count % columns); }
};

/// Calls a function with each number below a count, maybe from several threads.
using ForEach = std::function<void(size_t count, const std::function<void(size_t)> &use)>;

/// What MemoryX sends. Called by the engine, from one thread at a time, when it has room for more.
class Ingress {
public:
  virtual ~Ingress() = default;
  /// Before anything is sent: threads that would else wait may make ready what will be.
  virtual void prepare(const ForEach & /*forEach*/) {}
  /// Fills `burst` and returns true, or returns false when nothing more will come.
  virtual bool next(Burst &burst) = 0;
  /// From now on what may come beside the rest is not among the bursts of `next`.
  virtual void setBesideApart() {}
  /// The next of those. Returns false when there are no more of what was opened last.
  virtual bool nextBeside(Burst & /*burst*/) { return false; }
  /// Nothing but such bursts can go in now.
  virtual void awaitsBeside() {}
  /// The row that comes next, if one begins here and it can be had whole. Its bursts are those of `next`, unless it is skipped. Valid until the next call.
  virtual const WeightRow *peekRow() { return nullptr; }
  /// Goes on behind that row.
  virtual void skipRow() {}
  /// The last wavelet of a burst with this tag was taken by its ports (cycle engine).
  virtual void sent(uint32_t /*tag*/, uint64_t /*cycle*/) {}
};

/// Blocks that leave at neighbouring ports, as many at each, one behind the other.
struct LeavingBlocks {
  uint8_t colour = 0;
  uint16_t firstPort = 0;
  size_t ports = 0, blocks = 0, words = 0; ///< blocks of each port; words of each block
  /// Copies one to `to`; each is wanted once, in any order and from any thread.
  std::function<void(size_t port, size_t block, uint32_t *to)> copy;
};

/// What MemoryX receives.
class Egress {
public:
  virtual ~Egress() = default;
  /// Wavelets that left the south edge at column `port`, in order per (port, colour). Called from one thread at a time.
  virtual void deliver(uint16_t port, uint8_t colour, const uint32_t *payload, size_t count) = 0;
  /// The same of many blocks, for which `forEach` may be used.
  virtual void deliver(const LeavingBlocks &leaving, const ForEach & /*forEach*/) {
    std::vector<uint32_t> words(leaving.words);
    for (size_t block = 0; block < leaving.blocks; ++block)
      for (size_t port = 0; port < leaving.ports; ++port) {
        leaving.copy(port, block, words.data());
        deliver(static_cast<uint16_t>(leaving.firstPort + port), leaving.colour, words.data(), words.size());
      }
  }
};

/// What a run did. Counters that an engine does not model are 0; results, macs and instructions agree between engines.
struct EngineStats {
  uint64_t cycles = 0;           ///< cycle and timing engines only
  uint64_t instructions = 0;     ///< instructions executed, all cores
  uint64_t macs = 0;             ///< multiply-accumulates of trigger instructions, element by element
  uint64_t elementOps = 0;       ///< elements processed by vector and function instructions
  uint64_t waveletsIn = 0;       ///< sent by MemoryX; a multicast to several ports counts once
  uint64_t waveletsOut = 0;      ///< left the south edge
  uint64_t hops = 0;             ///< wavelets x links crossed between routers (cycle engine)
  uint64_t sramHighWater = 0;    ///< largest byte address written or read plus one, over all cores
  uint64_t cores = 0;            ///< cores that belong to a region
  uint64_t rowsTogether = 0;     ///< rows of contractions that were multiplied all together instead of core by core (functional engine)
  uint64_t featuresTogether = 0; ///< features of scales that were done without going through every instruction (functional engine)
  uint64_t transfersTogether = 0; ///< values whose blocks did not pass every core on their way (functional engine)
  /// Multiply-accumulates of triggers that pass over some (skip0, masks), which only a run can count, by image << 16 | pc of the control task that bound the trigger.
  std::map<uint32_t, uint64_t> skippingMacs;
  /// Core-cycles by what a core did or waited for: "busy", "wait-command", "wait-fabric-in", "wait-fabric-out", "wait-conflict", "wait-slot",
  /// "microthread" (cycle engine).
  std::map<std::string, uint64_t> coreCycles;
};

/// A program did what the specification forbids, or cannot go on. `label` is the rule in docs/spec/machine.md.
class Trap : public std::runtime_error {
public:
  Trap(std::string label, const std::string &message) : std::runtime_error(label + ": " + message), label_(std::move(label)) {}
  const std::string &label() const { return label_; }

private:
  std::string label_;
};

struct EngineOptions {
  unsigned threads = 1;
  std::string traceFile; ///< Chrome trace JSON; empty: none (cycle engine)
  /// Cycles without any movement after which the cycle engine looks for the wait-for cycle.
  uint64_t stallLimit = 10000;
  /// Without data, nothing is computed: every element is 0, and time is all that a run gives (cycle engine).
  bool withData = true;
  /// Without data: share of elements that a trigger with skip0 or a mask does not pass over, by number of the control task that bound it (cycle engine).
  std::map<uint16_t, double> nonzeros;
  unsigned lookAhead = 0;    ///< bursts that the edge sees at a time; 0: as many as the machine has columns (cycle engine)
  /// Wavelets that one of this colour at an output port stands for, which share the way out; null: one (cycle engine).
  std::function<uint32_t(uint16_t port, uint8_t colour)> copiesOfWavelet = nullptr;
  MissingRows *missing = nullptr; ///< rows that the program leaves out of a grid; without data only (cycle engine)
};

class Engine {
public:
  virtual ~Engine() = default;
  virtual std::string_view name() const = 0;
  /// Runs until `in` is exhausted and the wafer is quiet. SRAM persists from run to run of one engine. Throws Trap.
  virtual EngineStats run(Ingress &in, Egress &out) = 0;
  /// Calls function(x, y, memory) for each core: its SRAM, and behind it the accumulator cache.
  virtual void forEachCore(const std::function<void(uint16_t, uint16_t, uint8_t *)> &function) = 0;
};

/// Cores go on with what those of an engine before, in the same places and of the same machine, have in memory.
void takeMemory(Engine &engine, Engine &before, const Machine &machine);

/// The readable reference: every wavelet, router, queue, task and microthread, cycle by cycle. `program` must outlive the engine.
std::unique_ptr<Engine> createCycleEngine(const LoadedProgram &program, const EngineOptions &options);
/// The fast engine on bursts: same results, no time. `program` must outlive the engine.
std::unique_ptr<Engine> createFunctionalEngine(const LoadedProgram &program, const EngineOptions &options);
/// "cycle" or "functional"; throws std::invalid_argument that names the engines there are.
std::unique_ptr<Engine> createEngine(std::string_view name, const LoadedProgram &program, const EngineOptions &options);

} // namespace wafer

#endif // WAFER_EMULATOR_ENGINE_H
