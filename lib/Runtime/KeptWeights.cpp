//===- KeptWeights.cpp - where a sparse weight is not zero ----------------===//

#include "KeptWeights.h"

#include "wafer/Emulator/Timing.h"
#include "wafer/Machine/FeatureLayout.h"

#include <algorithm>
#include <cstring>

namespace wafer {

namespace {

/// Larger weights are not read for this.
constexpr uint64_t mostBytes = uint64_t(1) << 28;

} // namespace

uint64_t KeptWeights::of(const wexe::StepT &step, uint64_t columns, uint64_t row, uint64_t column, double density) {
  auto [counts, isNew] = counts_.try_emplace(&step);
  if (isNew)
    counts->second = countsOf(step, columns);
  return counts->second.empty() ? drawKept(featuresInColumn(step.columns, columns, column), density, row, column) : counts->second[row * columns + column];
}

std::vector<uint32_t> KeptWeights::countsOf(const wexe::StepT &step, uint64_t columns) const {
  const bool isPattern = step.kind == wexe::StepKind::Sample;
  if (isPattern && step.pattern < 0)
    return {};
  const wexe::TensorT &tensor = *program_.tensors[isPattern ? step.pattern : step.tensor];
  if (tensor.role != wexe::Role::Weight || !store_.has(tensor.name) || !step.batch_sizes.empty())
    return {};
  const DType dtype = dtypeOf(tensor.type), wire = isPattern ? dtype : dtypeOf(step.type);
  const auto source = store_.find(tensor.name, dtype, tensor.shape);
  if (source->bytes() > mostBytes)
    return {};
  std::vector<uint8_t> elements(source->bytes()), converted(source->bytes() / byteSize(dtype) * byteSize(wire));
  source->read(0, elements.size(), elements.data());
  convertElements(dtype, elements.data(), elements.size() / byteSize(dtype), wire, converted.data());
  std::vector<uint32_t> counts(step.rows * columns);
  for (uint64_t row = 0; row < step.rows; ++row)
    for (uint64_t k = 0; k < step.columns; ++k) {
      const uint64_t element = step.offset + row * step.row_stride + k * step.column_stride;
      uint32_t bits = 0;
      std::memcpy(&bits, converted.data() + element * byteSize(wire), byteSize(wire));
      counts[row * columns + k % columns] += (bits & (isPattern ? 0xffu : byteSize(wire) == 4 ? 0x7fffffffu : 0x7fffu)) != 0;
    }
  return counts;
}

} // namespace wafer
