//===- FunctionalWeightSorter.cpp - a row's weights by column -----------------===//

#include "FunctionalWeightSorter.h"

#include "wafer/Emulator/NumberFormats.h"

#include <cstring>

namespace wafer {

void WeightSorter::widen(const uint8_t *weights, size_t count, ElementType type) {
  values_.resize(count);
  if (type == ElementType::F16)
    widenF16(weights, values_.data(), count);
  else if (type == ElementType::F32 && count > 0)
    std::memcpy(values_.data(), weights, count * sizeof(float));
  else
    for (size_t k = 0; k < count; ++k) {
      uint16_t bits;
      std::memcpy(&bits, weights + 2 * k, sizeof bits);
      values_[k] = bf16ToF32(bits);
    }
}

void WeightSorter::sort(const WeightRow &row, bool isIndexed, ProductRows &rows) {
  widen(row.weights, row.count, row.type);
  isIndexed ? sortKept(row, rows) : sortAll(row, rows);
}

void WeightSorter::sortUnsorted(size_t columns, ProductRows &rows) {
  rows.sortUnsorted([&](const uint8_t *weights, size_t count, ElementType type, float *to) {
    widen(weights, count, type);
    for (size_t c = 0; c < columns; ++c)
      for (size_t k = c; k < count; k += columns)
        *to++ = values_[k];
  });
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
  const size_t room = row.countIn(0);
  for (size_t c = 0; c < row.columns; ++c)
    ends_[c] = static_cast<uint32_t>(c * room);
  for (size_t i = 0; i < kept; ++i) {
    const Place &place = places_[kept_[i]];
    const uint32_t at = ends_[place.column]++;
    sortedValues_[at] = values_[i];
    sortedIndices_[at] = place.index;
  }
  for (size_t c = 0; c < row.columns; ++c) {
    const size_t count = ends_[c] - c * room;
    std::copy_n(sortedValues_.begin() + static_cast<long>(c * room), count, rows.addColumn(count));
    std::copy_n(sortedIndices_.begin() + static_cast<long>(c * room), count, rows.addIndices(count));
  }
}

void WeightSorter::placeWeights(const WeightRow &row) {
  if (columns_ != row.columns)
    places_.clear();
  columns_ = row.columns;
  ends_.resize(columns_);
  sortedValues_.resize(columns_ * row.countIn(0));
  sortedIndices_.resize(sortedValues_.size());
  for (size_t k = places_.size(); k < row.count; ++k)
    places_.push_back({static_cast<uint32_t>(k % columns_), static_cast<uint32_t>(k / columns_)});
}

} // namespace wafer
