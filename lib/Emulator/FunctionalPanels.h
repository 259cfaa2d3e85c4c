//===- FunctionalPanels.h - what arriving weights multiply, ready for it ------===//
//
// The rows that a trigger reads, widened to f32, those of all cores side by side (Panel in FunctionalKernels.h). They are packed once and serve every
// weight until something writes to them.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALPANELS_H
#define WAFER_LIB_EMULATOR_FUNCTIONALPANELS_H

#include "FunctionalValue.h"
#include "FunctionalRegisters.h"

namespace wafer {

struct PackedRows {
  Descriptor rows;
  Footprint footprint;
  ValueRef values;
  Panel panel;
  uint64_t number = 0;              ///< differs from that of every other packing
  std::vector<uint32_t> nonzeros;   ///< by row, in all cores; empty until it is asked for
  std::vector<char> isPacked;       ///< by tile
};

class FunctionalPanels {
public:
  FunctionalPanels(const std::vector<FunctionalCore *> &cores, ValuePool &pool) : cores_(cores), pool_(pool) {}

  /// `rows` as they are in memory now.
  PackedRows &of(const Descriptor &rows, const Footprint &footprint);
  /// The same with tiles that are packed by whoever multiplies them: different ones by different threads.
  PackedRows &tilesOf(const Descriptor &rows, const Footprint &footprint);
  void packTile(PackedRows &packed, size_t tile) const;
  /// Numbers of each row that are not 0.
  const std::vector<uint32_t> &nonzerosOf(const Descriptor &rows, const Footprint &footprint);
  /// Multiplications of weights with numbers that are not 0. `indices`: the weights' rows, null: 0, 1, 2, ...
  uint64_t productsOf(const Descriptor &rows, const Footprint &footprint, const uint32_t *indices, size_t count);
  /// Something writes to these bytes.
  void forget(const Footprint &footprint);
  void forgetAll() { packed_.clear(); }

private:
  void packElements(PackedRows &packed) const;

  const std::vector<FunctionalCore *> &cores_;
  ValuePool &pool_;
  std::vector<PackedRows> packed_;
  uint64_t packings_ = 0;
};

/// Weights of a command as numbers, or why there are none.
struct Weights {
  std::vector<float> values;
  std::vector<uint32_t> rows; ///< empty: 0, 1, 2, ...
};

/// Takes the payload of `count` wavelets for a trigger whose implicit index stands at `first`. False when one has an index that is no row: the core traps.
bool decodeWeights(const Trigger &trigger, const uint32_t *payload, size_t count, uint32_t first, Weights &weights);

/// Whether the sum of a zero and its weight leaves every sum that begins with 0 as it is, so that passing over zeros and multiplying them give the same bits: the
/// products are exact, and no sum is -0.
bool zerosAddNothing(const Trigger &trigger, const float *weights, size_t count);

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALPANELS_H
