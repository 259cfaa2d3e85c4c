//===- Layout.h - where elements of a tensor live on the wafer ------------===//
//
// The layout of docs/spec/weight-stream.md section 1: feature and token of a place in a core's block.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_RUNTIME_LAYOUT_H
#define WAFER_LIB_RUNTIME_LAYOUT_H

#include "wafer/Emulator/NumberFormats.h"
#include "wafer/Executable/Grids.h"
#include "wafer/Machine/FeatureLayout.h"
#include "wafer/Runtime/Tensor.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <type_traits>

namespace wafer {

/// The block of one core in one micro-batch.
class BlockLayout {
public:
  /// For a Send or Receive of a tensor of this shape.
  BlockLayout(const wexe::GridT &grid, const wexe::StepT &step, const Shape &shape, uint32_t microBatch, uint32_t group, uint32_t column,
              uint32_t row)
      : tokenBlock_(grid.token_block), featureBlock_(step.feature_block), features_(featuresOf(step, shape)),
        tokens_(grid.tokens / grid.batches), tensorTokens_(tokensOf(step, shape)),
        columns_(grid.columns), column_(column), before_(step.kind == wexe::StepKind::Send ? step.offset : 0),
        valid_(std::min(featureBlock_, std::max(before_, featuresInColumn(features_, columns_, column_)) - before_)) {
    // Entries that are on the wafer at once divide the places among them.
    const uint64_t each = microBatchesEach(grid), rows = rowsOfBand(grid), place = uint64_t(group) * grid.bands + row / rows, places = placesOf(grid) / grid.batches_at_once;
    const uint64_t entry = microBatch / each * grid.batches_at_once + place / places;
    firstToken_ = (microBatch % each * places + place % places) * rows * grid.token_block + row % rows;
    tokenStep_ = rows;
    tokensBefore_ = entry * tokens_;
  }

  uint64_t size() const { return featureBlock_ * tokenBlock_; }
  /// Copies elements of `size` bytes from the tensor to their places in the block, or back. Places that have no element (layout_c2) are left alone.
  void pick(const uint8_t *tensor, uint8_t *block, unsigned size) const {
    copy(size, [=](auto bytes, uint64_t at, uint64_t element) { std::memcpy(block + at * bytes, tensor + element * bytes, bytes); });
  }
  void place(const uint8_t *block, uint8_t *tensor, unsigned size) const {
    copy(size, [=](auto bytes, uint64_t at, uint64_t element) { std::memcpy(tensor + element * bytes, block + at * bytes, bytes); });
  }
  /// Whether every place has an element.
  bool isFull() const { return valid_ == featureBlock_ && firstToken_ + (tokenBlock_ - 1) * tokenStep_ < tokens_; }

  /// The first element of the tokens of the core and of those beside it in its group, if every place of these cores has an element, and the tokens are one
  /// distance apart: such cores' blocks are copied together.
  std::optional<uint64_t> together() const {
    const uint64_t first = (tokensBefore_ + firstToken_) % tensorTokens_;
    constexpr uint64_t few = 8; // whose transposition is no gain
    if (columns_ < few || tokenBlock_ < few || features_ < (before_ + featureBlock_) * columns_ || !isFull() || first + (tokenBlock_ - 1) * tokenStep_ >= tensorTokens_)
      return std::nullopt;
    return first * features_ + before_ * columns_;
  }
  /// Elements from one of these tokens to the next.
  uint64_t tokenPitch() const { return tokenStep_ * features_; }
  /// Copies elements of 16 bits from such tokens to the blocks of these cores, which lie one behind the other, or back.
  void pickTogether(const uint16_t *tokens, uint64_t pitch, uint16_t *blocks) const {
    for (uint64_t j = 0; j < featureBlock_; ++j)
      transpose16(tokens + j * columns_, pitch, blocks + j * tokenBlock_, size(), tokenBlock_, columns_);
  }
  void placeTogether(const uint16_t *blocks, uint16_t *tokens, uint64_t pitch) const {
    for (uint64_t j = 0; j < featureBlock_; ++j)
      transpose16(blocks + j * tokenBlock_, size(), tokens + j * columns_, pitch, columns_, tokenBlock_);
  }
  uint64_t tokens() const { return tokenBlock_; }
  uint64_t features() const { return features_; }

private:
  /// Calls `use` with the size, as a constant where it is a usual one, the place in the block and the number of the element in the tensor.
  template <typename Use> void copy(unsigned size, Use use) const {
    if (size == 4)
      forEachElement([&](uint64_t at, uint64_t element) { use(std::integral_constant<size_t, 4>(), at, element); });
    else if (size == 2)
      forEachElement([&](uint64_t at, uint64_t element) { use(std::integral_constant<size_t, 2>(), at, element); });
    else
      forEachElement([&](uint64_t at, uint64_t element) { use(size_t(size), at, element); });
  }
  template <typename Use> void forEachElement(Use use) const {
    uint64_t token = firstToken_;
    for (uint64_t i = 0; i < tokenBlock_ && token < tokens_; ++i, token += tokenStep_) {
      const uint64_t first = (tokensBefore_ + token) % tensorTokens_ * features_ + before_ * columns_ + column_;
      for (uint64_t j = 0; j < valid_; ++j)
        use(j * tokenBlock_ + i, first + j * columns_);
    }
  }

  uint64_t tokenBlock_, featureBlock_, features_;
  uint64_t tokens_, tensorTokens_; ///< of a batch entry; of the tensor
  uint64_t columns_, column_;
  uint64_t before_, valid_; ///< features of the column that another send brings; of those behind them, the ones that are there
  uint64_t firstToken_, tokenStep_, tokensBefore_; ///< firstToken_: in the entry
};

} // namespace wafer

#endif // WAFER_LIB_RUNTIME_LAYOUT_H
