//===- Sampled.h - gradients at kept positions ------------------------------===//
//
// What a Sample step of docs/spec/weight-stream.md sends and receives beside its commands: indices of the kept positions of each column, and their sums.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_RUNTIME_SAMPLED_H
#define WAFER_LIB_RUNTIME_SAMPLED_H

#include "wafer/Runtime/Schedule.h"

#include <deque>

namespace wafer {

/// Kept positions of one step, by column in the order in which they are sent.
struct KeptPositions {
  struct Column {
    std::vector<uint32_t> rowEnds;  ///< of each row, the number of positions up to its end
    std::vector<uint32_t> indices;  ///< rows of the column's block
    std::vector<uint64_t> elements; ///< of the result
  };
  std::vector<Column> columns;
};

/// Those of all Sample steps of a phase, which both ends of the wafer need.
class SampledPhase {
public:
  /// Throws RuntimeError when a pattern is missing or not as the program expects.
  SampledPhase(const wexe::ProgramT &program, const wexe::PhaseT &phase, TensorStore &store, const TensorValues &values);
  const KeptPositions &of(const wexe::StepT &step) const { return positions_.at(&step); }

private:
  std::map<const wexe::StepT *, KeptPositions> positions_;
};

/// Adds what leaves on one colour: the column groups one after another, unless the wafer did, then the micro-batches; of each batch entry by itself where the step has
/// sums for each.
class SampledSums {
public:
  /// `groupsAdded`: of all steps, sums leave below the last group only.
  SampledSums(const wexe::GridT &grid, const SampledPhase &sampled, bool groupsAdded) : grid_(grid), sampled_(sampled), firstGroup_(groupsAdded ? grid.groups - 1 : 0), columns_(grid.columns) {
    for (Column &column : columns_)
      column.groups.resize(grid.groups - firstGroup_);
  }
  /// Whether sums come from there.
  bool expects(uint32_t portInGrid) const { return portInGrid / grid_.columns >= firstGroup_ && portInGrid / grid_.columns < grid_.groups; }
  /// The next step of each micro-batch; `sums` lives as long as this.
  void add(const wexe::StepT &step, float *sums) { steps_.push_back({&step, sums}); }
  /// Returns how many of the wavelets were not expected.
  size_t deliver(uint32_t portInGrid, const uint32_t *payload, size_t count);
  /// The first step of which sums are missing, or null.
  const wexe::StepT *missing() const;

private:
  struct Step {
    const wexe::StepT *step;
    float *sums;
  };
  struct Column {
    uint32_t microBatch = 0;
    size_t step = 0, at = 0;
    std::vector<std::deque<float>> groups; ///< that have come before those of other groups
  };
  void addNext(Column &column, uint32_t number);
  bool isComplete(const Column &column) const { return steps_.empty() || column.microBatch == grid_.micro_batches; }
  void skipEmpty(Column &column, uint32_t number) const;

  const wexe::GridT &grid_;
  const SampledPhase &sampled_;
  const uint32_t firstGroup_; ///< that sums come from
  std::vector<Step> steps_;
  std::vector<Column> columns_;
};

} // namespace wafer

#endif // WAFER_LIB_RUNTIME_SAMPLED_H
