//===- CoreModel.h - the state of a core and its operations ------------------===//
//
// What both engines share of a core: memory, descriptor registers, tasks, the checks when an instruction issues, the work on one element
// and the scoreboard's question whether two operations conflict. The engines differ in when they do it.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_COREMODEL_H
#define WAFER_LIB_EMULATOR_COREMODEL_H

#include "Semantics.h"

#include "wafer/Emulator/Engine.h"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace wafer {

/// What all cores of an image share.
struct ImageModel {
  unsigned index = 0;
  const std::vector<Instruction> *code = nullptr;
  unsigned commandColour = 0;
  std::unordered_map<unsigned, uint16_t> controlTasks; ///< number -> pc
  uint32_t dataStart = 0;                              ///< first SRAM byte behind code and templates
  std::optional<uint32_t> start;                       ///< control task that cores run when they are loaded
};

std::vector<ImageModel> imageModels(const LoadedProgram &program);

/// A vector or function instruction that was issued: its descriptors are those of that moment.
struct Operation {
  Instruction insn;
  uint16_t pc = 0;
  Descriptor dst, src[3];
  unsigned sources = 0;
  int fabricSource = -1; ///< the source that comes from the fabric, if one does
  uint64_t elements = 0, done = 0;

  // Scoreboard.
  Footprint writes[2], reads[3]; ///< writes[1]: src1 under clear1
  int inputColour = -1, outputColour = -1;

  // Progress through memory and the fabric. A 16-bit element may be the second half of a wavelet that is already taken or not yet sent.
  Walk dstWalk, srcWalk[3];
  uint32_t pendingIn = 0, pendingOut = 0;
  bool hasPendingIn = false, hasPendingOut = false;

  bool finished() const { return done == elements; }
  bool isFmac() const { return insn.opcode == Opcode::Fmac; }
};

bool conflict(const Operation &earlier, const Operation &later);

/// An arriving weight at work: dst[sum][j] = fma(value, src0[index][j], dst[sum][j]), or the same in i32, for all j or where src1[j] is not 0. Or one that
/// adds on the way: indices in a run, dst = src2 + src0[index] . src1 for each, or a number, dst = src0 + that; one element from the fabric or a constant and one to the fabric.
struct Trigger {
  Instruction insn;
  uint16_t pc = 0;
  Descriptor dst, rows;
  Descriptor row;         ///< src1, of a dot product or a mask
  Descriptor addend;      ///< of one that adds on the way, what comes from the fabric or is a constant
  Footprint writes, reads, readsRow; ///< `reads` spans all rows
  int inputColour = -1, outputColour = -1; ///< of one that adds on the way
  float value[4] = {0, 0, 0, 0}; ///< holds 8-bit integers exactly
  uint32_t index[4] = {0, 0, 0, 0}; ///< of a run of dot products, the first's
  uint32_t sum[4] = {0, 0, 0, 0}; ///< row of dst
  unsigned values = 0;

  bool addsOnTheWay() const { return wafer::addsOnTheWay(insn.opcode); }
  bool isMasked() const { return isMaskedFmac(insn.opcode); }
  uint64_t elementsPerRow() const { return uint64_t(rows.extent[1]) * rows.extent[2] * rows.extent[3]; }
  /// What arriving indices stay below: they count through the rows for the first sum, then for the next one.
  uint32_t indices() const { return addsOnTheWay() ? rows.extent[0] : uint32_t(dst.extent[0]) * rows.extent[0]; }
};

bool conflict(const Operation &earlier, const Trigger &later);

/// One core.
class CoreModel {
public:
  /// `memory`: of memoryBytes; null: no data.
  CoreModel(const LoadedProgram &program, const ImageModel &image, uint16_t x, uint16_t y, std::shared_ptr<uint8_t> memory);

  const uint16_t x, y;
  const ImageModel &image;

  uint32_t implicitIndex = 0;
  int dataTask = -1;         ///< pc of the bound data task
  uint16_t bindingTask = 0; ///< pc at which the control task that bound it begins

  const Instruction &at(uint16_t pc) const { return (*image.code)[pc]; }
  /// pc of the control task that a control wavelet starts; also resets the implicit index. (task_c1)
  uint16_t startControlTask(uint32_t payload);
  /// ldd, swapd, addd, bind.
  void control(const Instruction &insn, uint16_t pc);
  /// What addds of so many bytes together do.
  void advance(unsigned reg, int64_t bytes, uint16_t pc);
  /// Reads descriptors and checks them: desc_c1, desc_c2, desc_c3, vec_c1, route_c7.
  Operation issue(const Instruction &insn, uint16_t pc);
  /// The descriptors of the bound trigger as they are now, without a wavelet (task_c2).
  Trigger boundTrigger();
  /// What a data wavelet brings for it, in the place of what one before it brought (index_c1); advances the implicit index.
  void take(Trigger &bound, uint32_t payload);

  /// Works on the next element of an operation. `fabricBits` holds the element from the fabric, if one of the sources is; returns the bits
  /// to send when dst is.
  uint32_t element(Operation &operation, uint32_t fabricBits);
  /// Products that value `which` of a trigger takes: the elements of its row, but for those that the instruction passes over. Without data, those of `nonzeros` of
  /// them.
  uint64_t products(const Trigger &trigger, unsigned which, double nonzeros) const;
  /// For each element of the row whether the trigger's mask wants it.
  std::vector<char> wanted(const Trigger &trigger) const;
  /// Products [from, to) of value `which` of a trigger.
  void fmac(const Trigger &trigger, unsigned which, uint64_t from, uint64_t to);
  /// Adds products of the bound trigger, which a mere addition has none of, to what was counted.
  void count(uint64_t products, EngineStats &stats) const {
    const Instruction &insn = at(static_cast<uint16_t>(dataTask));
    if (insn.opcode == Opcode::Addw)
      return;
    stats.macs += products;
    if (insn.skip0 || isMaskedFmac(insn.opcode))
      stats.skippingMacs[image.index << 16 | bindingTask] += products;
  }
  /// The bits of addend + row . src1 for value `which` of a trigger, or + the number that arrived. `fabricBits` holds the addend if it comes from the fabric.
  uint32_t sumOnTheWay(const Trigger &trigger, unsigned which, uint32_t fabricBits);

  /// What register `reg` holds; null before a ldd into it.
  const Descriptor *descriptorIn(unsigned reg) const { return loaded_[reg] ? &registers_[reg] : nullptr; }
  /// What a ldd of this would leave.
  void load(unsigned reg, const Descriptor &descriptor) {
    registers_[reg] = descriptor;
    loaded_[reg] = true;
  }
  void copyRegister(const CoreModel &from, unsigned reg) {
    registers_[reg] = from.registers_[reg];
    loaded_[reg] = from.loaded_[reg];
  }
  /// Whether the router delivers the colour to the core, and takes it from the core.
  bool receives(unsigned colour) const;
  bool sends(unsigned colour) const;

  /// Of SRAM and the cache behind it.
  static size_t memoryBytes(const Machine &machine) { return cacheOffset(machine) + machine.accumulatorBytes; }
  static size_t cacheOffset(const Machine &machine) { return (size_t(machine.sramBytes) + 63) / 64 * 64; }
  uint8_t *memory(wexe::DescKind kind) const { return kind == wexe::DescKind::Acc ? accumulator_ : sram_.get(); }
  void noteUse(const Footprint &footprint) {
    if (!footprint.acc && footprint.high > static_cast<int64_t>(sramHighWater))
      sramHighWater = static_cast<uint64_t>(footprint.high);
  }
  uint64_t sramHighWater = 0;

  /// "core (3, 4)"
  std::string name() const;
  /// "core (3, 4), pc 7 'fmacw.f16 d1, d0' (model.py:12)"
  std::string where(uint16_t pc) const;
  /// Throws Trap: "at cycle 812, core (3, 4), pc 7 '...' (model.py:12): message".
  [[noreturn]] void trap(const char *label, uint16_t pc, const std::string &message) const;
  /// Set by the cycle engine, so that traps tell the cycle.
  const uint64_t *clock = nullptr;

private:
  Number elementAt(const Descriptor &descriptor, const Walk &at) const;
  float dot(const Trigger &trigger, unsigned which) const;
  /// Calls function(row's element, place in dst) for each product that the trigger's value takes, in order.
  template <typename Function> void forEachProduct(const Trigger &trigger, unsigned which, Function function) const;
  const Descriptor &use(unsigned reg, uint16_t pc) const;
  void checkMemory(const Descriptor &descriptor, const Footprint &footprint, unsigned reg, uint16_t pc) const;
  void checkSource(const Operation &operation, unsigned which, unsigned reg) const;
  void checkRoutes(int inputColour, int outputColour, uint16_t pc) const;
  void bindDot(Trigger &trigger) const;
  void bindWay(Trigger &trigger) const;
  void bindMask(Trigger &trigger) const;
  [[noreturn]] void trapAt(const char *label, const std::string &place, const std::string &message) const;

  const LoadedProgram &program_;
  std::shared_ptr<uint8_t> sram_;    ///< null: no data
  uint8_t *accumulator_ = nullptr; ///< behind it
  std::array<Descriptor, numDescriptorRegisters> registers_;
  std::array<bool, numDescriptorRegisters> loaded_{};
  uint16_t controlTask_ = 0; ///< pc at which the last one began
};

/// What cores count.
inline void addCounts(const EngineStats &more, EngineStats &stats) {
  stats.instructions += more.instructions;
  stats.waveletsIn += more.waveletsIn;
  stats.macs += more.macs;
  stats.elementOps += more.elementOps;
  stats.rowsTogether += more.rowsTogether;
  for (auto [task, macs] : more.skippingMacs)
    stats.skippingMacs[task] += macs;
}

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_COREMODEL_H
