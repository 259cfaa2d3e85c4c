//===- Layout.h - where elements of a tensor live on the wafer ------------===//
//
// The layout of docs/spec/weight-stream.md section 1: feature and token of a place in a core's block.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_RUNTIME_LAYOUT_H
#define WAFER_LIB_RUNTIME_LAYOUT_H

#include "wafer/Runtime/Tensor.h"

#include <algorithm>

namespace wafer {

/// The block of one core in one micro-batch.
class BlockLayout {
public:
  BlockLayout(const wexe::GridT &grid, uint32_t featureBlock, const Shape &shape, uint32_t microBatch, uint32_t group, uint32_t column,
              uint32_t row)
      : tokenBlock_(grid.token_block), featureBlock_(featureBlock), features_(shape.empty() ? 1 : shape.back()), tokens_(grid.tokens),
        firstFeature_(uint64_t(column) * featureBlock), firstToken_(uint64_t(microBatch) * grid.groups * grid.rows * grid.token_block +
                                                                    (uint64_t(group) * grid.rows + row) * grid.token_block) {}

  uint64_t size() const { return featureBlock_ * tokenBlock_; }
  /// Calls `use` with the place in the block and the number of the element in the tensor, for each place that has one (layout_c2).
  template <typename Use> void forEachElement(Use use) const {
    for (uint64_t j = 0; j < featureBlock_ && firstFeature_ + j < features_; ++j)
      for (uint64_t i = 0; i < tokenBlock_ && firstToken_ + i < tokens_; ++i)
        use(j * tokenBlock_ + i, (firstToken_ + i) * features_ + firstFeature_ + j);
  }

private:
  uint64_t tokenBlock_, featureBlock_, features_, tokens_;
  uint64_t firstFeature_, firstToken_;
};

/// Features of column `column` when each holds `block` of `features` (layout_c2).
inline uint64_t validFeatures(uint64_t features, uint64_t block, uint64_t column) {
  uint64_t first = column * block;
  return first >= features ? 0 : std::min(block, features - first);
}

} // namespace wafer

#endif // WAFER_LIB_RUNTIME_LAYOUT_H
