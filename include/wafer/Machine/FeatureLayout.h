//===- FeatureLayout.h - which column holds a feature ------------*- C++ -*-===//
//
// (layout_c2) of docs/spec/weight-stream.md: features go to the columns of a group in turn, so that features which lie together, and have zeros in
// common, are spread over all columns.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_MACHINE_FEATURELAYOUT_H
#define WAFER_MACHINE_FEATURELAYOUT_H

#include <cstdint>

namespace wafer {

/// How many of `features` lie in column `column` of a group of `columns`: those with feature mod columns == column, in increasing order.
constexpr uint64_t featuresInColumn(uint64_t features, uint64_t columns, uint64_t column) {
  return features > column ? (features - column - 1) / columns + 1 : 0;
}

} // namespace wafer

#endif // WAFER_MACHINE_FEATURELAYOUT_H
