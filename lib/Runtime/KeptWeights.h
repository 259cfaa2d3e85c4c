//===- KeptWeights.h - where a sparse weight is not zero ------------------===//

#ifndef WAFER_LIB_RUNTIME_KEPTWEIGHTS_H
#define WAFER_LIB_RUNTIME_KEPTWEIGHTS_H

#include "wafer/Runtime/TensorStore.h"

#include <map>
#include <vector>

namespace wafer {

/// How many weights of a row are not zero in a column: counted where the weight is known, else drawn.
class KeptWeights {
public:
  KeptWeights(const wexe::ProgramT &program, const TensorStore &store) : program_(program), store_(store) {}

  /// `columns`: of the grid.
  uint64_t of(const wexe::StepT &step, uint64_t columns, uint64_t row, uint64_t column, double density);

private:
  /// By row, then column; empty where the weight is not known, or too large.
  std::vector<uint32_t> countsOf(const wexe::StepT &step, uint64_t columns) const;

  const wexe::ProgramT &program_;
  const TensorStore &store_;
  std::map<const wexe::StepT *, std::vector<uint32_t>> counts_;
};

} // namespace wafer

#endif // WAFER_LIB_RUNTIME_KEPTWEIGHTS_H
