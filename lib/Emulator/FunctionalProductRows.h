//===- FunctionalProductRows.h - rows of a weight that wait to be multiplied --===//
//
// The weights of many rows one behind the other, so that a row costs no memory of its own; or where somebody else keeps them.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALPRODUCTROWS_H
#define WAFER_LIB_EMULATOR_FUNCTIONALPRODUCTROWS_H

#include "FunctionalPanels.h"

#include "wafer/Emulator/Engine.h"
#include "wafer/Emulator/SortedRows.h"

namespace wafer {

struct ProductRow {
  size_t owner = 0;        ///< column
  uint32_t resultBase = 0; ///< byte address in the owner's cores
  uint64_t number = 0;     ///< of the rows whose sums go together, among those that the owner has
  uint32_t place = 0;      ///< among them
  bool isLast = true;      ///< of them
  bool keepsTotal = false; ///< in the place that is its turn
  bool hasBias = false;
  float bias = 0;
  SortedRows *kept = nullptr; ///< where the weights stay from run to run, if they do
  size_t keptRow = 0;         ///< of those
  size_t firstRun = 0;        ///< of the weights of others
};

class ProductRows {
public:
  /// Weights of a row for one column; `rows` is null where they are in order of the panel's.
  struct Run {
    const float *values;
    const uint32_t *rows;
    size_t count;
  };

  void clear(size_t columns) {
    columns_ = columns;
    rows_.clear();
    indexedOf_.clear();
    runs_.clear();
    weights_ = indexed_ = 0;
    values_.clear();
    indices_.clear();
    unsorted_.clear();
    bytes_.clear();
  }
  size_t size() const { return rows_.size(); }
  /// Weights of all rows.
  size_t weights() const { return weights_; }
  /// Those of them that have an index.
  size_t indexed() const { return indexed_; }
  size_t indexedOf(size_t row) const { return indexedOf_[row]; }
  ProductRow &operator[](size_t row) { return rows_[row]; }
  const ProductRow &operator[](size_t row) const { return rows_[row]; }
  Run run(size_t row, size_t column) const {
    const ProductRow &of = rows_[row];
    if (!of.kept)
      return runAt(runs_[of.firstRun + column]);
    const SortedRows::Run run = of.kept->run(of.keptRow, column);
    return {run.values, run.indices, run.count};
  }

  // A row: begin, add its columns unless its weights are kept, end. One that does not end is forgotten when the next one begins.
  void beginRow() {
    const bool isFirst = rows_.empty();
    runs_.resize(isFirst ? 0 : endOfRuns_);
    values_.resize(isFirst ? 0 : endOfValues_);
    indices_.resize(isFirst ? 0 : endOfIndices_);
    if (!unsorted_.empty() && unsorted_.back().row == rows_.size()) {
      bytes_.resize(unsorted_.back().byte);
      unsorted_.pop_back();
    }
  }
  void addColumn(const Weights &weights) {
    std::copy(weights.values.begin(), weights.values.end(), addColumn(weights.values.size()));
    if (!weights.rows.empty())
      std::copy(weights.rows.begin(), weights.rows.end(), addIndices(weights.values.size()));
  }
  /// Room for the values of a column; and, if they have some, behind that, for their indices.
  float *addColumn(size_t count) {
    const size_t at = values_.size();
    runs_.push_back({nullptr, nullptr, at, noIndex, count});
    values_.resize(at + count);
    return values_.data() + at;
  }
  uint32_t *addIndices(size_t count) {
    const size_t at = indices_.size();
    runs_.back().index = at;
    indices_.resize(at + count);
    return indices_.data() + at;
  }
  /// All columns of a row whose weights have no index, as they came: who multiplies them puts them in order first.
  void addUnsorted(const WeightRow &row) {
    unsorted_.push_back({rows_.size(), bytes_.size(), row.count, row.type});
    bytes_.insert(bytes_.end(), row.weights, row.weights + row.count * byteSize(row.type));
    for (size_t column = 0; column < columns_; ++column)
      runs_.push_back({nullptr, nullptr, 0, noIndex, row.countIn(column)});
  }
  /// Calls `sort` with each such row: its weights, how many, their type, and where those of each column go one behind the other. Then none is unsorted.
  template <typename Sort> void sortUnsorted(Sort sort) {
    size_t all = 0;
    for (const Unsorted &row : unsorted_)
      all += row.count;
    sorted_.resize(all);
    float *to = sorted_.data();
    for (const Unsorted &row : unsorted_) {
      sort(bytes_.data() + row.byte, row.count, row.type, to);
      for (size_t column = 0; column < columns_; ++column) {
        Place &place = runs_[rows_[row.row].firstRun + column];
        place.values = to;
        to += place.count;
      }
    }
    unsorted_.clear();
  }
  void endRow(const ProductRow &row) {
    rows_.push_back(row);
    size_t count = 0, indexed = 0;
    if (row.kept) {
      count = row.kept->countOf(row.keptRow);
      indexed = row.kept->run(row.keptRow, 0).indices ? count : 0;
    } else {
      rows_.back().firstRun = runs_.size() - columns_;
      for (size_t column = 0; column < columns_; ++column) {
        const Run run = lastRun(column);
        count += run.count;
        indexed += run.rows ? run.count : 0;
      }
    }
    weights_ += count;
    indexed_ += indexed;
    indexedOf_.push_back(indexed);
    endOfRuns_ = runs_.size();
    endOfValues_ = values_.size();
    endOfIndices_ = indices_.size();
  }
  /// Of the row that was added last or is being added, whose weights are not kept.
  Run lastRun(size_t column) const { return runAt(runs_[runs_.size() - columns_ + column]); }

private:
  static constexpr size_t noIndex = SIZE_MAX;
  struct Place {
    const float *values; ///< of a row that was unsorted, or null
    const uint32_t *rows;
    size_t value, index, count;
  };
  Run runAt(const Place &place) const {
    if (place.values)
      return {place.values, place.rows, place.count};
    return {values_.data() + place.value, place.index == noIndex ? nullptr : indices_.data() + place.index, place.count};
  }

  size_t columns_ = 0, weights_ = 0, indexed_ = 0;
  size_t endOfRuns_ = 0, endOfValues_ = 0, endOfIndices_ = 0; ///< of the rows that have ended
  std::vector<ProductRow> rows_;
  std::vector<size_t> indexedOf_; ///< by row
  std::vector<Place> runs_; ///< of rows whose weights are not kept; by row, then column
  std::vector<float> values_;
  std::vector<uint32_t> indices_;
  struct Unsorted {
    size_t row, byte, count;
    ElementType type;
  };
  std::vector<Unsorted> unsorted_;
  std::vector<uint8_t> bytes_; ///< theirs
  std::vector<float> sorted_;  ///< of rows that were unsorted
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALPRODUCTROWS_H
