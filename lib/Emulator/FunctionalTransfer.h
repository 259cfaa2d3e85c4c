//===- FunctionalTransfer.h - values that come to all cores, or leave them ----===//
//
// A value comes down each column, or leaves it, core by core (docs/spec/kernels.md, Send and receive): a core takes its own block, or sends it, and passes on those
// of the cores further along. Where the code, the descriptors and the routes are such, each block is copied to where it would have come to. What the cores then hold,
// what leaves and what is counted is as if every core had passed it on; anything else is left to them.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALTRANSFER_H
#define WAFER_LIB_EMULATOR_FUNCTIONALTRANSFER_H

#include "FunctionalCrew.h"
#include "FunctionalRouting.h"
#include "FunctionalStream.h"

#include <map>

namespace wafer {

class FunctionalTransfer {
public:
  FunctionalTransfer(const LoadedProgram &program, FunctionalRouting &routing, const std::vector<std::unique_ptr<FunctionalBatch>> &batches, Crew &crew);
  ~FunctionalTransfer();

  /// Whether a burst is the command of a transfer, which can be taken if all that comes before it is done.
  bool mayBegin(const FunctionalStream::Part &part);
  /// Takes a transfer from the front of the stream. Returns whether there was one. Nothing on the wafer can go on by itself.
  bool run(FunctionalStream &stream, Egress &out, EngineStats &stats);

private:
  struct Place;
  struct Column;
  struct Plan;

  Plan *planOf(const FunctionalStream::Part &part);
  bool prepare(Plan &plan, const Burst &command);
  bool addCore(Plan &plan, FunctionalCore &core, uint32_t number) const;
  bool linkColumns(Plan &plan, const Burst &command);
  static bool haveSameBlocks(const Plan &plan);
  bool receive(const Plan &plan, FunctionalStream &stream, EngineStats &stats);
  void send(const Plan &plan, Egress &out, EngineStats &stats);

  const LoadedProgram &program_;
  FunctionalRouting &routing_;
  const std::vector<std::unique_ptr<FunctionalBatch>> &batches_;
  Crew &crew_;
  /// By command colour, first port, number of ports and command. Templates and routes stay as they are, so that plans do.
  std::map<std::tuple<uint8_t, uint16_t, uint16_t, uint32_t>, std::unique_ptr<Plan>> plans_;
  std::vector<std::vector<const uint32_t *>> blocks_; ///< that came, by column and in its order
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALTRANSFER_H
