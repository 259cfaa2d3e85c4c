//===- SortedRows.h - rows of a weight as an engine wants them again --------===//
//
// A weight is mostly the same from run to run, and sorting its rows costs an engine more than multiplying them where few weights are not zero. MemoryX holds what the
// engine made of them, and knows whether the weight is still the same.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_EMULATOR_SORTEDROWS_H
#define WAFER_EMULATOR_SORTEDROWS_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace wafer {

class SortedRows {
public:
  /// The weights of a row for one column, all of them, or those that are not zero and which of the column's they are, in order.
  struct Run {
    const float *values;
    const uint32_t *indices; ///< null: all
    size_t count;
  };

  /// What an engine makes of rows that it multiplies together.
  class Arrangement {
  public:
    virtual ~Arrangement() = default;
    virtual size_t bytes() const = 0;
  };
  std::map<size_t, std::shared_ptr<const Arrangement>> arrangements; ///< by the first of the rows

  SortedRows() = default;
  SortedRows(size_t rows, size_t columns) : columns_(columns), left_(rows), begins_(rows, absent), ends_(rows * columns) {}

  /// Whether all rows are there. Only then can they be had, and they stay where they are.
  bool isComplete() const { return left_ == 0; }
  Run run(size_t row, size_t column) const {
    const size_t begin = column == 0 ? begins_[row] : ends_[row * columns_ + column - 1];
    return {values_.data() + begin, indices_.empty() ? nullptr : indices_.data() + begin, ends_[row * columns_ + column] - begin};
  }
  /// Weights of a row.
  size_t countOf(size_t row) const { return ends_[(row + 1) * columns_ - 1] - begins_[row]; }
  size_t bytes() const {
    size_t bytes = values_.size() * sizeof(float) + indices_.size() * sizeof(uint32_t);
    for (const auto &[first, together] : arrangements)
      bytes += together->bytes();
    return bytes;
  }

  /// A row, unless it is there: its columns in order.
  template <typename RunOf> void add(size_t row, RunOf runOf) {
    if (begins_[row] != absent)
      return;
    begins_[row] = values_.size();
    for (size_t column = 0; column < columns_; ++column) {
      const Run run = runOf(column);
      values_.insert(values_.end(), run.values, run.values + run.count);
      if (run.indices)
        indices_.insert(indices_.end(), run.indices, run.indices + run.count);
      ends_[row * columns_ + column] = values_.size();
    }
    --left_;
  }

private:
  static constexpr size_t absent = SIZE_MAX;

  size_t columns_ = 0, left_ = SIZE_MAX;
  std::vector<size_t> begins_; ///< by row
  std::vector<size_t> ends_;   ///< by row, then column
  std::vector<float> values_;
  std::vector<uint32_t> indices_;
};

} // namespace wafer

#endif // WAFER_EMULATOR_SORTEDROWS_H
