//===- ChooseWireFormat.cpp - stream-choose-wire-format --------------------===//

#include "wafer/Dialect/Stream/Transforms/Passes.h"
#include "wafer/Analysis/WeightLink.h"

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
      kernel.setWire(wanted && wireFormatFits(*wanted, element) ? *wanted : denseWireFormat(element));
    };
    getOperation().walk([&](ContractOp contract) {
      // Two 16-bit values take as long as one with its index, two f32 values as long as an index and one, four 8-bit values as long as one with its index.
      auto weight = getOperation().lookupSymbol<TensorOp>(contract.getWeightAttr().getAttr());
      const uint64_t elements = weight ? cast<RankedTensorType>(weight.getType()).getNumElements() : 0;
      const Type element = contract.getInput().getType().getElementType();
      const uint64_t breakEven = element.isInteger(8) ? 4 : 2;
      const bool hasZeros = weight && weight.getNonzeros() && *weight.getNonzeros() < elements;
      if (!contract.getWire() && !wanted && hasZeros) {
        // With fewer zeros it depends on how many tokens a weight meets.
        if (breakEven * *weight.getNonzeros() <= elements)
          setWireFormat(contract, sparseWireFormat(element));
        return;
      }
      choose(contract);
      setWireFormat(contract, *contract.getWire());
    });
    getOperation().walk([&](ScaleOp scale) { choose(scale); });
  }
};

} // namespace

} // namespace wafer::stream
