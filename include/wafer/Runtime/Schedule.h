//===- Schedule.h - what MemoryX sends and receives in a phase ------------===//
//
// The stream schedule of docs/spec/weight-stream.md: steps of a wafer phase as bursts of wavelets on the way in, and as tensors on the way
// out. Bursts are made one at a time, from one row of a weight or one core's block of an activation.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_RUNTIME_SCHEDULE_H
#define WAFER_RUNTIME_SCHEDULE_H

#include "wafer/Emulator/Engine.h"
#include "wafer/Runtime/TensorStore.h"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <tuple>

namespace wafer {

class BlockLayout;
class KeptRows;
class RowStream;
class StepBursts;

/// Tensors that MemoryX holds during a run, by number in the executable.
using TensorValues = std::map<unsigned, Tensor>;

/// Words on MemoryX's link by what they are, one for each wavelet unless the edge unpacks them; what goes to several ports counts once.
struct StreamCounts {
  uint64_t weights = 0, activations = 0, commands = 0;
};

/// What a contract or scale step sent, over all micro-batches. Values are weights, zeros that the wire carries among them, once for each group that they go to;
/// there each meets the tokens of one core in every row. Words are those of MemoryX's link.
struct StepCounts {
  uint64_t values = 0, words = 0;
};

class SampledPhase;
class SampledSums;

/// Sends the steps of a wafer phase for each micro-batch. Program, phase, store and values must outlive it.
class PhaseIngress final : public Ingress {
public:
  /// Throws RuntimeError when a weight is missing or not as the program expects, when a tensor to send has no value yet, or when the DRAM
  /// tier is too small.
  /// `sampled`: of a phase with Sample steps.
  PhaseIngress(const wexe::ProgramT &program, const wexe::PhaseT &phase, TensorStore &store, const TensorValues &values,
               const SampledPhase *sampled = nullptr);
  ~PhaseIngress() override;
  void prepare(const ForEach &forEach) override;
  bool next(Burst &burst) override;
  void setBesideApart() override { isBesideApart_ = true; }
  bool nextBeside(Burst &burst) override;
  const WeightRow *peekRow() override;
  void skipRow() override;
  const StreamCounts &counts() const { return counts_; }
  /// By step; zeros for those that stream no weights.
  const std::vector<StepCounts> &stepCounts() const { return stepCounts_; }

private:
  std::unique_ptr<StepBursts> startStep() const;
  void settleStep();
  void endStep();

  const wexe::ProgramT &program_;
  const wexe::PhaseT &phase_;
  const TensorValues &values_;
  const SampledPhase *sampled_;
  std::vector<KeptRows *> kept_; ///< by step; null where rows are not kept
  std::unique_ptr<RowStream> rows_;
  uint32_t microBatch_ = 0;
  size_t step_ = 0;
  std::unique_ptr<StepBursts> current_;
  bool isBesideApart_ = false;
  std::deque<std::unique_ptr<StepBursts>> beside_; ///< of sends whose blocks come beside other steps
  std::optional<uint32_t> besideSteps_;            ///< that are left of those for the last of them
  StreamCounts counts_;
  std::vector<StepCounts> stepCounts_;
};

/// Puts the tensors of a phase's Receive steps together. Program and phase must outlive it.
class PhaseEgress final : public Egress {
public:
  PhaseEgress(const wexe::ProgramT &program, const wexe::PhaseT &phase, const SampledPhase *sampled = nullptr);
  ~PhaseEgress() override;
  /// Throws RuntimeError for a wavelet that no step expects; names tensor and column.
  void deliver(uint16_t port, uint8_t colour, const uint32_t *payload, size_t count) override;
  void deliver(const LeavingBlocks &leaving, const ForEach &forEach) override;
  /// The tensors, when the run is complete. Throws RuntimeError that names tensor and column when wavelets are missing.
  TensorValues finish();
  uint64_t wavelets() const { return wavelets_; }

private:
  /// What comes out of one port on one colour: for each micro-batch, each of the colour's Receive steps, each core from the south.
  struct Channel {
    uint32_t microBatch = 0;
    size_t step = 0;             ///< in stepsOf_[colour]
    uint32_t block = 0;          ///< complete blocks of this step
    std::vector<uint32_t> words; ///< of the block that is coming
  };
  /// Blocks of the cores that lie side by side in a group, until all have come.
  struct Blocks {
    uint32_t arrived = 0;
    std::vector<uint16_t> elements;
  };
  size_t wordsPerBlock(const wexe::StepT &step) const;
  BlockLayout layoutOf(const wexe::StepT &step, uint32_t microBatch, uint32_t block, uint32_t portInGrid) const;
  static bool arePlacedTogether(const wexe::StepT &step, const BlockLayout &layout);
  void place(const wexe::StepT &step, const Channel &channel, uint32_t portInGrid);
  static void placeTogether(const wexe::StepT &step, const BlockLayout &layout, const uint16_t *blocks, Tensor &tensor);
  std::vector<Channel> *channelsOf(const LeavingBlocks &leaving);
  void endBlocks(Channel &channel, size_t steps, uint32_t blocks) const;
  std::string describe(const wexe::StepT &step, uint32_t portInGrid) const;

  const wexe::ProgramT &program_;
  const wexe::GridT &grid_;
  std::map<uint8_t, std::vector<const wexe::StepT *>> stepsOf_; ///< Receive steps by colour, in order
  std::map<uint8_t, std::vector<Channel>> channels_;            ///< by colour, then port in the grid
  std::map<std::tuple<const wexe::StepT *, uint32_t, uint32_t, uint32_t>, Blocks> blocks_; ///< by step, micro-batch, group and row
  TensorValues tensors_;
  std::map<uint8_t, std::unique_ptr<SampledSums>> sums_; ///< by colour
  uint64_t wavelets_ = 0;
};

} // namespace wafer

#endif // WAFER_RUNTIME_SCHEDULE_H
