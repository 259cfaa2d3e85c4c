//===- KeptRows.h - what is known of a weight's rows from earlier runs -----===//
//
// Rows of a weight that the engine has sorted need not be read, converted and counted in the next run, as long as the weight is the same. Whoever lent it may have
// written to it, so that is asked of its contents, each time; and one that differs in every run, as in training, is not worth a copy.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_RUNTIME_KEPTROWS_H
#define WAFER_LIB_RUNTIME_KEPTROWS_H

#include "wafer/Emulator/SortedRows.h"
#include "wafer/Runtime/TensorStore.h"

#include <array>

namespace wafer {

/// Of a tensor's contents; two that differ have the same one in no case that will be seen.
using Fingerprint = std::array<uint64_t, 2>;
/// Of a source that is in memory: of parts of it, which threads may share, and those together.
Fingerprint fingerprintOf(const TensorSource &source);
size_t partsOfFingerprint(const TensorSource &source);
Fingerprint fingerprintOf(const TensorSource &source, size_t part);
Fingerprint together(const std::vector<Fingerprint> &parts);

/// Rows as one step streams them.
class KeptRows {
public:
  /// A run streams a weight with this fingerprint. Whether all of its rows are there.
  bool meet(const Fingerprint &weight) {
    if (weight_ == weight) {
      isMetAgain_ = true;
      return isBegun_ && sorted.isComplete() && uncounted_ == 0;
    }
    weight_ = weight;
    isMetAgain_ = isBegun_ = false;
    sorted = SortedRows();
    return false;
  }
  /// Begins to keep the rows of the weight that was met last, unless it has, if it was met before. False: they are not to be kept.
  bool begin(size_t rows, size_t columns) {
    if (!isMetAgain_ || isBegun_)
      return isBegun_;
    sorted = SortedRows(rows, columns);
    words_.assign(rows, notCounted);
    uncounted_ = rows;
    return isBegun_ = true;
  }
  /// Keeps how many words a row takes on MemoryX's link.
  void count(size_t row, uint64_t words) {
    uncounted_ -= words_[row] == notCounted;
    words_[row] = words;
  }
  uint64_t wordsOf(size_t row) const { return words_[row]; }

  SortedRows sorted;

private:
  static constexpr uint64_t notCounted = UINT64_MAX;

  std::vector<uint64_t> words_; ///< by row
  size_t uncounted_ = 0;
  Fingerprint weight_ = {};
  bool isMetAgain_ = false, isBegun_ = false;
};

/// Of all steps, in the host's memory: a machine has no such thing.
class KeptRowsOfSteps {
public:
  /// Null when there is no room for another weight.
  KeptRows *of(const wexe::StepT &step);

private:
  std::map<const wexe::StepT *, KeptRows> kept_;
};

} // namespace wafer

#endif // WAFER_LIB_RUNTIME_KEPTROWS_H
