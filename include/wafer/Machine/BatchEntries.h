//===- BatchEntries.h - whose weights are whose --------------------*- C++ -*-===//
//
// Batch entries of docs/spec/weight-stream.md: where each one's weight begins, and which of them can share a stream.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_MACHINE_BATCHENTRIES_H
#define WAFER_MACHINE_BATCHENTRIES_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace wafer {

/// What batch entry `entry`, written in digits of `sizes` with the last one fastest, adds to the offset of a weight: the sum of digit * stride.
template <typename Sizes, typename Strides> int64_t batchOffset(const Sizes &sizes, const Strides &strides, uint64_t entry) {
  int64_t sum = 0;
  for (size_t d = sizes.size(); d-- > 0; entry /= static_cast<uint64_t>(sizes[d]))
    sum += static_cast<int64_t>(entry % static_cast<uint64_t>(sizes[d])) * strides[d];
  return sum;
}

/// Neighbouring entries that have one weight.
struct EntrySpan {
  uint64_t first = 0, count = 1; ///< `first` counts from the first entry of those side by side
  int64_t offset = 0;
};

/// The `count` entries from `first` on, which are side by side.
template <typename Sizes, typename Strides> std::vector<EntrySpan> entrySpans(const Sizes &sizes, const Strides &strides, uint64_t first, uint64_t count) {
  std::vector<EntrySpan> spans;
  for (uint64_t i = 0; i < count; ++i) {
    const int64_t offset = batchOffset(sizes, strides, first + i);
    if (!spans.empty() && spans.back().offset == offset)
      ++spans.back().count;
    else
      spans.push_back({i, 1, offset});
  }
  return spans;
}

/// Weights that `count` entries side by side stream: one, or one for each neighbourhood that differs. That of the first entries stands for all.
template <typename Sizes, typename Strides> uint64_t streamsAtOnce(const Sizes &sizes, const Strides &strides, uint64_t count) {
  return count == 1 ? 1 : entrySpans(sizes, strides, 0, count).size();
}

} // namespace wafer

#endif // WAFER_MACHINE_BATCHENTRIES_H
