//===- WeightPanel.h - arriving weights against the rows of a batch ----------===//
//
// What the weights of a run multiply, as f32 with all cores of a batch side by side: a panel of rows. Runs of the rows to come are multiplied ahead, several at a
// time, and used if nothing has changed until their turn comes.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_WEIGHTPANEL_H
#define WAFER_LIB_EMULATOR_WEIGHTPANEL_H

#include "CoreModel.h"
#include "FunctionalKernels.h"

#include <deque>
#include <memory>
#include <optional>

namespace wafer {

/// Data wavelets, then at most one control wavelet, shared by all cores that receive them.
struct CommandBurst {
  std::vector<uint32_t> data;
  bool hasControl = false;
  uint32_t control = 0;
};
using CommandQueue = std::deque<std::shared_ptr<const CommandBurst>>;

class WeightPanel {
public:
  /// Whether a trigger's rows can be a panel: rows of f32, f16 or bf16 in SRAM, elements side by side, not written by the trigger.
  static bool fits(const Trigger &trigger, size_t lanes);

  /// Makes the panel that of the trigger's rows, if it is not.
  void select(const Trigger &trigger, std::vector<CoreModel> &lanes);
  /// A write to SRAM.
  void forget(const Footprint &written);

  /// The sums of the burst at the front of `queue` that began as zeros, [element][lane], if its weights are those of all rows in order; else null.
  const float *sumsOf(const CommandQueue &queue, const Trigger &trigger);
  /// Adds the weights to `sums`.
  void add(const RowWeight *weights, size_t count, float *sums) const { addWeights(current_->values.data(), current_->width, weights, count, sums); }

private:
  struct Panel {
    Descriptor rows;
    Footprint footprint;
    size_t width = 0; ///< elements of a row x lanes
    std::vector<float> values;
    uint64_t used = 0;
    bool valid = false;
  };
  bool decode(const CommandBurst &burst, const Trigger &trigger, float *weights) const;

  Panel panels_[2];
  Panel *current_ = nullptr;
  uint64_t uses_ = 0;

  // Sums of bursts ahead, in the order of the queue.
  const Panel *aheadOf_ = nullptr;
  std::vector<std::shared_ptr<const CommandBurst>> ahead_; ///< kept alive, so that an address means one burst
  size_t nextAhead_ = 0;
  std::vector<float> weights_, sums_;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_WEIGHTPANEL_H
