//===- FunctionalScale.h - features that are scaled one command each ----------===//
//
// A scale (docs/spec/kernels.md) takes a command or two for every feature and does little with each: gamma times a row, plus beta, in the place of the feature. Where
// the code of the cores is such, they are taken from the stream and done without going through every instruction; what the cores then hold, and what is counted, is
// the same. Anything else is left to them.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALSCALE_H
#define WAFER_LIB_EMULATOR_FUNCTIONALSCALE_H

#include "FunctionalColumn.h"
#include "FunctionalCrew.h"
#include "FunctionalStream.h"

#include <map>

namespace wafer {

class FunctionalScale {
public:
  FunctionalScale(const LoadedProgram &program, FunctionalRouting &routing, const std::vector<std::unique_ptr<FunctionalBatch>> &batches, Crew &crew);
  ~FunctionalScale();

  /// Takes features from the front of the stream, as many as can be. Returns whether there were any. Nothing on the wafer can go on by itself.
  bool run(FunctionalStream &stream, EngineStats &stats);

private:
  struct Task;
  struct Feature;
  struct Column;

  Column *columnOf(const Burst &burst);
  bool prepare(Column &column, const Burst &burst);
  const Task *taskOf(Column &column, uint32_t number);
  bool weightOf(const Column &column, const FunctionalStream::Part &part, float &weight);
  bool takeFeature(FunctionalStream &stream);
  bool isFree(const Column &column, const Descriptor &row) const;
  static void compute(const Column &column);
  void finish(Column &column, EngineStats &stats);

  const LoadedProgram &program_;
  FunctionalRouting &routing_;
  const std::vector<std::unique_ptr<FunctionalBatch>> &batches_;
  Crew &crew_;
  std::map<uint16_t, std::unique_ptr<Column>> columns_; ///< by first port, of one run
  uint64_t wavelets_ = 0;
  Weights weights_; ///< of a burst
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALSCALE_H
