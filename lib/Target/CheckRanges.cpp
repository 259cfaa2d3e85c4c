//===- CheckRanges.cpp - numbers fit the executable's fields -------------------===//
//
// Attributes have 64 bits, fields of the executable as many as they need (include/wafer/Executable/wexe.fbs). A number that would wrap is refused here; what
// fits but is wrong is the load-time verifier's affair.
//
//===----------------------------------------------------------------------===//

#include "CheckRanges.h"

#include "llvm/ADT/TypeSwitch.h"

#include <limits>

using namespace mlir;

namespace wafer {

namespace {

/// Refuses the first attribute of an operation that does not fit its field.
class Ranges {
public:
  explicit Ranges(Operation *op) : op_(op) {}

  template <typename Field> Ranges &field(StringRef name, int64_t value) {
    return between(name, value, std::numeric_limits<Field>::min(), std::numeric_limits<Field>::max());
  }
  /// The bits of a 32-bit number, written signed or unsigned.
  Ranges &bits32(StringRef name, int64_t value) { return between(name, value, INT32_MIN, UINT32_MAX); }
  Ranges &rect(wfr::RectAttr rect) {
    for (auto [name, value] : {std::pair<StringRef, int64_t>{"x0", rect.getX0()}, {"y0", rect.getY0()}, {"width", rect.getNx()}, {"height", rect.getNy()},
                               {"x step", rect.getSx()}, {"y step", rect.getSy()}})
      field<uint16_t>(name, value);
    return *this;
  }
  Ranges &grid(wfr::GridAttr grid) {
    for (auto [name, value] : {std::pair<StringRef, int64_t>{"x0", grid.getX0()}, {"y0", grid.getY0()}, {"columns", grid.getColumns()},
                               {"rows", grid.getRows()}, {"groups", grid.getGroups()}, {"token_block", grid.getTokenBlock()},
                               {"batches_at_once", grid.getBatchesAtOnce()}, {"bands", grid.getBands()}})
      field<uint16_t>(name, value);
    return field<uint32_t>("micro_batches", grid.getMicroBatches()).field<uint32_t>("batches", grid.getBatches());
  }
  Ranges &between(StringRef name, int64_t value, int64_t low, int64_t high) {
    if (succeeded(result_) && (value < low || value > high))
      result_ = op_->emitOpError() << "has " << name << " " << value << ", expected " << low << " to " << high << ", which the executable has room for";
    return *this;
  }
  LogicalResult result() const { return result_; }

private:
  Operation *op_;
  LogicalResult result_ = success();
};

LogicalResult check(Operation *op) {
  Ranges ranges(op);
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](wfr::ColorOp color) { ranges.field<uint8_t>("number", color.getNumber().value_or(0)); })
      .Case([&](wfr::BufferOp buffer) {
        int64_t address = buffer.getAddress().value_or(0);
        ranges.field<uint16_t>("address", address).field<uint16_t>("bytes", buffer.getBytes());
        ranges.between("end", address + static_cast<int64_t>(buffer.getBytes()), 0, UINT16_MAX);
      })
      .Case([&](wfr::DescriptorOp descriptor) { ranges.bits32("value", descriptor.getValue().value_or(0)); })
      .Case([&](wfr::TaskOp task) { ranges.field<uint16_t>("number", task.getNumber()); })
      .Case([&](wfr::RegionOp region) { ranges.rect(region.getRect()); })
      .Case([&](wfr::ImageOp image) { ranges.field<uint16_t>("load", image.getLoad()); })
      .Case([&](wfr::RouteOp route) { ranges.rect(route.getRect()).field<uint16_t>("load", route.getLoad()); })
      .Case([&](wfr::OverrideOp entry) {
        ranges.bits32("base", entry.getBase().value_or(0)).field<int32_t>("dx", entry.getDx().value_or(0)).field<int32_t>("dy", entry.getDy().value_or(0));
      })
      .Case([&](wfr::PhaseOp phase) { ranges.grid(phase.getGrid()).field<uint16_t>("load", phase.getLoad()).field<uint32_t>("prologue", phase.getPrologue()); })
      .Case<wfr::SendOp, wfr::ReceiveOp>([&](auto step) {
        ranges.template field<uint32_t>("block", step.getFeatureBlock()).template field<uint32_t>("features", step.getFeatures());
        if constexpr (std::is_same_v<decltype(step), wfr::SendOp>)
          ranges.template field<uint32_t>("beside", step.getBeside());
      })
      .Case([&](wfr::ContractOp contract) {
        ranges.field<uint32_t>("rows", contract.getRows()).field<uint32_t>("columns", contract.getColumns());
        for (int64_t size : contract.getBatchSizes())
          ranges.field<uint32_t>("batch size", size);
        ranges.field<uint32_t>("block", contract.getFeatureBlock()).field<uint32_t>("block of rows", contract.getOutBlock());
        ranges.field<uint16_t>("input_zeros", contract.getInputZeros()).field<uint16_t>("output_zeros", contract.getOutputZeros());
      })
      .Case([&](wfr::ScaleOp scale) { ranges.field<uint32_t>("rows", scale.getRows()).field<uint32_t>("block", scale.getOutBlock()); });
  return ranges.result();
}

} // namespace

LogicalResult checkRanges(wfr::ProgramOp program) {
  WalkResult result = program.walk([](Operation *op) { return failed(check(op)) ? WalkResult::interrupt() : WalkResult::advance(); });
  return failure(result.wasInterrupted());
}

} // namespace wafer
