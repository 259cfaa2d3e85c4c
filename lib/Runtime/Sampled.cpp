//===- Sampled.cpp - gradients at kept positions ----------------------------===//

#include "Sampled.h"

#include "wafer/Emulator/NumberFormats.h"
#include "wafer/Executable/Grids.h"
#include "wafer/Machine/BatchEntries.h"

namespace wafer {

namespace {

std::vector<uint8_t> patternOf(const wexe::ProgramT &program, const wexe::StepT &step, TensorStore &store, const TensorValues &values) {
  const wexe::TensorT &pattern = *program.tensors[step.pattern];
  if (pattern.role == wexe::Role::Weight) {
    auto source = store.find(pattern.name, dtypeOf(pattern.type), pattern.shape);
    std::vector<uint8_t> bytes(source->bytes());
    source->read(0, bytes.size(), bytes.data());
    return bytes;
  }
  auto value = values.find(static_cast<unsigned>(step.pattern));
  if (value == values.end())
    throw RuntimeError("step '" + step.name + "' needs the pattern '" + pattern.name + "', which has no value yet: no earlier phase makes it");
  return {value->second.data(), value->second.data() + value->second.bytes()};
}

} // namespace

SampledPhase::SampledPhase(const wexe::ProgramT &program, const wexe::PhaseT &phase, TensorStore &store, const TensorValues &values) {
  for (const auto &step : phase.steps) {
    if (step->kind != wexe::StepKind::Sample)
      continue;
    const std::vector<uint8_t> pattern = step->pattern < 0 ? std::vector<uint8_t>() : patternOf(program, *step, store, values);
    KeptPositions &positions = positions_[step.get()];
    positions.columns.resize(phase.grid->columns);
    for (uint64_t n = 0; n < step->rows; ++n) {
      for (uint64_t k = 0; k < step->columns; ++k) {
        const auto element = static_cast<uint64_t>(step->offset + static_cast<int64_t>(n) * step->row_stride + static_cast<int64_t>(k) * step->column_stride);
        if (step->pattern >= 0 && pattern[element] == 0)
          continue;
        KeptPositions::Column &column = positions.columns[k % phase.grid->columns];
        column.indices.push_back(static_cast<uint32_t>(k / phase.grid->columns));
        column.elements.push_back(element);
      }
      for (KeptPositions::Column &column : positions.columns)
        column.rowEnds.push_back(static_cast<uint32_t>(column.indices.size()));
    }
  }
}

/// Goes on to the next step that has positions in the column.
void SampledSums::skipEmpty(Column &column, uint32_t number) const {
  while (!isComplete(column) && column.at == sampled_.of(*steps_[column.step].step).columns[number].elements.size()) {
    column.at = 0;
    if (++column.step == steps_.size()) {
      column.step = 0;
      ++column.microBatch;
    }
  }
}

size_t SampledSums::deliver(uint32_t portInGrid, const uint32_t *payload, size_t count) {
  const uint32_t number = portInGrid % grid_.columns;
  Column &column = columns_[number];
  std::deque<float> &own = column.groups[portInGrid / grid_.columns - firstGroup_];
  for (size_t i = 0; i < count; ++i)
    own.push_back(floatOf(payload[i]));
  for (skipEmpty(column, number); !isComplete(column); skipEmpty(column, number)) {
    for (const std::deque<float> &group : column.groups)
      if (group.empty())
        return 0;
    addNext(column, number);
  }
  return own.size();
}

/// One position, of which all groups have a sum.
void SampledSums::addNext(Column &column, uint32_t number) {
  const Step &step = steps_[column.step];
  const uint64_t element = sampled_.of(*step.step).columns[number].elements[column.at++];
  const bool perEntry = !step.step->batch_sizes.empty();
  const uint32_t entries = perEntry ? grid_.batches_at_once : 1, groupsEach = static_cast<uint32_t>(column.groups.size()) / entries;
  // Micro-batches that add to the same sums.
  const uint64_t each = perEntry ? microBatchesEach(grid_) : grid_.micro_batches;
  for (uint32_t e = 0; e < entries; ++e) {
    float total = 0;
    for (uint32_t g = 0; g < groupsEach; ++g) {
      std::deque<float> &group = column.groups[e * groupsEach + g];
      total = g == 0 ? group.front() : total + group.front();
      group.pop_front();
    }
    const uint64_t entry = column.microBatch / each * entries + e;
    const int64_t offset = perEntry ? batchOffset(step.step->batch_sizes, step.step->batch_strides, entry) : 0;
    float &sum = step.sums[static_cast<int64_t>(element) + offset];
    sum = column.microBatch % each == 0 ? total : sum + total;
  }
}

const wexe::StepT *SampledSums::missing() const {
  for (uint32_t number = 0; number < columns_.size(); ++number) {
    Column column = columns_[number];
    skipEmpty(column, number);
    if (!isComplete(column))
      return steps_[column.step].step;
  }
  return nullptr;
}

} // namespace wafer
