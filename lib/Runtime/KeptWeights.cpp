//===- KeptWeights.cpp - where a sparse weight is not zero ----------------===//

#include "KeptWeights.h"

#include "wafer/Emulator/Timing.h"
#include "wafer/Machine/FeatureLayout.h"

#include <algorithm>
#include <cstring>

namespace wafer {

namespace {

/// Larger weights are not read for this, and of others so much at a time.
constexpr uint64_t mostBytes = uint64_t(1) << 30, bytesAtOnce = uint64_t(1) << 24;

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
  // Elements in the order of the tensor; of their strides the larger one tells rows or columns apart.
  std::vector<uint32_t> counts(step.rows * columns);
  const uint64_t offset = static_cast<uint64_t>(step.offset), larger = static_cast<uint64_t>(std::max(step.row_stride, step.column_stride)), smaller = static_cast<uint64_t>(std::max<int64_t>(std::min(step.row_stride, step.column_stride), 1));
  const uint64_t count = source->bytes() / byteSize(dtype), atOnce = bytesAtOnce / byteSize(dtype);
  std::vector<uint8_t> elements, converted;
  for (uint64_t first = 0; first < count; first += atOnce) {
    const uint64_t here = std::min(atOnce, count - first);
    elements.resize(here * byteSize(dtype));
    converted.resize(here * byteSize(wire));
    source->read(first * byteSize(dtype), elements.size(), elements.data());
    convertElements(dtype, elements.data(), here, wire, converted.data());
    for (uint64_t i = 0; i < here; ++i) {
      uint32_t bits = 0;
      std::memcpy(&bits, converted.data() + i * byteSize(wire), byteSize(wire));
      if ((bits & (isPattern ? 0xffu : byteSize(wire) == 4 ? 0x7fffffffu : 0x7fffu)) == 0 || first + i < offset)
        continue;
      const uint64_t at = first + i - offset, outer = at / larger, inner = at % larger / smaller;
      const bool rowsFirst = step.row_stride >= step.column_stride;
      const uint64_t row = rowsFirst ? outer : inner, k = rowsFirst ? inner : outer;
      if (row < step.rows && k < step.columns && at % larger % smaller == 0)
        ++counts[row * columns + k % columns];
    }
  }
  return counts;
}

} // namespace wafer
