//===- KeptRows.h - what is known of a weight's rows from earlier runs -----===//
//
// Rows of a sparse weight that the engine has sorted need not be read, converted and counted in the next run, as long as the weight is the same. Whoever lent it may
// have written to it, so that is asked of its contents, each time.
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
/// Of a source that is in memory.
Fingerprint fingerprintOf(const TensorSource &source);

/// Rows as one step streams them.
class KeptRows {
public:
  /// Whether all rows of a weight with this fingerprint are there.
  bool areOf(const Fingerprint &weight) const { return weight_ == weight && sorted.isComplete(); }
  /// Begins to keep those of a weight, unless it has.
  void begin(const Fingerprint &weight, size_t rows, size_t columns) {
    if (weight_ == weight)
      return;
    weight_ = weight;
    sorted = SortedRows(rows, columns);
    words.assign(rows, 0);
  }

  SortedRows sorted;
  std::vector<uint64_t> words; ///< of each row, on MemoryX's link

private:
  Fingerprint weight_ = {};
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
