//===- FunctionalBlocks.h - memory operands of a batch that are not in memory -===//
//
// An accumulator that is emptied when it is read, or a sum that the next instruction takes, need not go through the memory of each core. A block is the newest
// value of a memory operand; it is written back when anything else touches these bytes. That also renames: an operation that waits for its input keeps the
// value that it has read, and the next one may write the same bytes.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALBLOCKS_H
#define WAFER_LIB_EMULATOR_FUNCTIONALBLOCKS_H

#include "FunctionalCore.h"
#include "FunctionalValue.h"

namespace wafer {

class FunctionalBlocks {
public:
  FunctionalBlocks(const std::vector<FunctionalCore *> &cores, ValuePool &pool) : cores_(cores), pool_(pool) {}

  /// What a block can stand for: f32 or f16 elements one behind the other.
  static bool fits(const Descriptor &descriptor);

  /// Makes memory true for every block that overlaps, but for one of exactly these elements if `exact` names them. False when one is not ready.
  bool settle(const Footprint &footprint, const Descriptor *exact = nullptr);
  /// Writes what is ready of every block; the blocks that are complete are gone.
  void settleReady();
  bool empty() const { return blocks_.empty(); }
  /// Whether there is room for `count` more, if need be by writing old ones back.
  bool makeRoom(size_t count);

  /// The block of exactly these elements, or null.
  ValueRef *find(const Descriptor &descriptor);
  /// The value of an operand whose overlaps are settled: its block's, or what is in memory.
  ValueRef read(const Descriptor &descriptor);
  /// Gives it a new value, null for zeros.
  void write(const Descriptor &descriptor, const Footprint &footprint, ValueRef value);
  /// Whether bytes of the core will come from a block that is not written yet.
  bool holds(size_t core, const Footprint &footprint) const;

private:
  struct Block {
    Descriptor place;
    Footprint footprint;
    ValueRef value; ///< f32, before the rounding to the place's type
    CoreMask settled = 0;
  };
  void writeBack(Block &block);
  CoreMask all() const { return allCores(cores_.size()); }

  const std::vector<FunctionalCore *> &cores_;
  ValuePool &pool_;
  std::vector<Block> blocks_; ///< oldest first
};

inline bool sameElements(const Descriptor &a, const Descriptor &b) {
  return a.base == b.base && a.kind == b.kind && a.type == b.type && a.elements() == b.elements();
}

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALBLOCKS_H
