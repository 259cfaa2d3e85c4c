//===- ChooseWireFormat.cpp - stream-choose-wire-format --------------------===//

#include "wafer/Dialect/Stream/Transforms/Passes.h"

using namespace mlir;

namespace wafer::stream {

#define GEN_PASS_DEF_CHOOSEWIREFORMAT
#include "wafer/Dialect/Stream/Transforms/Passes.h.inc"

namespace {

struct ChooseWireFormat : impl::ChooseWireFormatBase<ChooseWireFormat> {
  using ChooseWireFormatBase::ChooseWireFormatBase;

  void runOnOperation() override {
    std::optional<WireFormat> wanted = symbolizeWireFormat(format);
    if (!wanted && !format.empty()) {
      emitError(getOperation().getLoc()) << "found wire format '" << format << "', expected dense32, packed16, indexed16, packed8 or indexed32";
      return signalPassFailure();
    }
    auto choose = [&](auto kernel) {
      if (kernel.getWire())
        return;
      Type element = kernel.getInput().getType().getElementType();
      WireFormat fitting = element.isF32() ? WireFormat::Dense32 : element.isInteger(8) ? WireFormat::Packed8 : WireFormat::Packed16;
      kernel.setWire(wanted && wireFormatFits(*wanted, element) ? *wanted : fitting);
    };
    getOperation().walk([&](ContractOp contract) {
      // Two 16-bit values take as long as one with its index, two f32 values as long as an index and one.
      auto weight = getOperation().lookupSymbol<TensorOp>(contract.getWeightAttr().getAttr());
      bool isSparse = weight && weight.getNonzeros() && 2 * *weight.getNonzeros() <= static_cast<uint64_t>(cast<RankedTensorType>(weight.getType()).getNumElements());
      Type element = contract.getInput().getType().getElementType();
      if (!contract.getWire() && !wanted && isSparse && !element.isInteger(8))
        contract.setWire(element.isF32() ? WireFormat::Indexed32 : WireFormat::Indexed16);
      choose(contract);
    });
    getOperation().walk([&](ScaleOp scale) { choose(scale); });
  }
};

} // namespace

} // namespace wafer::stream
