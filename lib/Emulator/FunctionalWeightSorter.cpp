//===- FunctionalWeightSorter.cpp - a row's weights by column -----------------===//

#include "FunctionalWeightSorter.h"

#include "wafer/Emulator/NumberFormats.h"

#include <cstring>

namespace wafer {

void WeightSorter::sort(const WeightRow &row, bool isIndexed, ProductRows &rows) {
  values_.resize(row.count);
  if (row.type == ElementType::F16)
    widenF16(row.weights, values_.data(), row.count);
  else if (row.type == ElementType::F32 && row.count > 0)
    std::memcpy(values_.data(), row.weights, row.count * sizeof(float));
  else
    for (size_t k = 0; k < row.count; ++k) {
      uint16_t bits;
      std::memcpy(&bits, row.weights + 2 * k, sizeof bits);
      values_[k] = bf16ToF32(bits);
    }
  isIndexed ? sortKept(row, rows) : sortAll(row, rows);
}

void WeightSorter::sortAll(const WeightRow &row, ProductRows &rows) {
  for (size_t c = 0; c < row.columns; ++c) {
    const size_t count = row.countIn(c);
    float *to = rows.addColumn(count);
    const float *from = values_.data() + c;
    for (size_t i = 0; i < count; ++i, from += row.columns)
      to[i] = *from;
  }
}

void WeightSorter::sortKept(const WeightRow &row, ProductRows &rows) {
  placeWeights(row);
  kept_.resize(row.count + keepingRoom);
  values_.resize(row.count + keepingRoom);
  const size_t kept = keepNonzeros(values_.data(), row.count, kept_.data());
  for (Column &column : sorted_)
    column.count = 0;
  for (size_t i = 0; i < kept; ++i) {
    const Place &place = places_[kept_[i]];
    Column &column = sorted_[place.column];
    column.values[column.count] = values_[i];
    column.indices[column.count++] = place.index;
  }
  for (const Column &column : sorted_) {
    std::copy_n(column.values.begin(), column.count, rows.addColumn(column.count));
    std::copy_n(column.indices.begin(), column.count, rows.addIndices(column.count));
  }
}

void WeightSorter::placeWeights(const WeightRow &row) {
  if (columns_ != row.columns)
    places_.clear();
  columns_ = row.columns;
  sorted_.resize(row.columns);
  for (size_t k = places_.size(); k < row.count; ++k)
    places_.push_back({static_cast<uint32_t>(k % columns_), static_cast<uint32_t>(k / columns_)});
  for (Column &column : sorted_)
    if (column.values.size() < row.countIn(0)) {
      column.values.resize(row.countIn(0));
      column.indices.resize(row.countIn(0));
    }
}

} // namespace wafer
