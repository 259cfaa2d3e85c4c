//===- FunctionalWeightSorter.h - a row's weights by column -------------------===//
//
// Rows come in the order of features, which lie on the columns in turn (docs/spec/weight-stream.md section 1).
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALWEIGHTSORTER_H
#define WAFER_LIB_EMULATOR_FUNCTIONALWEIGHTSORTER_H

#include "FunctionalProductRows.h"

#include "wafer/Emulator/Engine.h"

namespace wafer {

class WeightSorter {
public:
  /// Adds the row's columns to `rows`: all weights, or with `isIndexed` those that are not zero and their indices.
  void sort(const WeightRow &row, bool isIndexed, ProductRows &rows);
  /// Sorts the rows that were added as they came, for so many columns.
  void sortUnsorted(size_t columns, ProductRows &rows);

private:
  void widen(const uint8_t *weights, size_t count, ElementType type);
  void sortAll(const WeightRow &row, ProductRows &rows);
  void sortKept(const WeightRow &row, ProductRows &rows);
  void placeWeights(const WeightRow &row);

  std::vector<float> values_; ///< of the row
  std::vector<uint32_t> kept_; ///< which of them are not zero
  struct Place {
    uint32_t column, index;
  };
  std::vector<Place> places_; ///< of weights, by number, for a number of columns
  size_t columns_ = 0;
  // By column, each with room for all of its weights:
  std::vector<float> sortedValues_;
  std::vector<uint32_t> sortedIndices_;
  std::vector<uint32_t> ends_;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALWEIGHTSORTER_H
