//===- FindZeros.cpp - stream-find-zeros -------------------------------------===//
//
// Which activations have zeros follows from what makes them. How many is known when a program runs, so kernels that skip are never slower than those that do not.
//
//===----------------------------------------------------------------------===//

#include "Guards.h"
#include "Zeros.h"

#include "wafer/Dialect/Stream/Transforms/Passes.h"

using namespace mlir;

namespace wafer::stream {

#define GEN_PASS_DEF_FINDZEROS
#include "wafer/Dialect/Stream/Transforms/Passes.h.inc"

namespace {

struct FindZeros : impl::FindZerosBase<FindZeros> {
  using FindZerosBase::FindZerosBase;

  /// Of tensors with fewer than `limit` elements: what a value is made of guards it too, but would hardly be all 0.
  StringAttr smallest(const Guards &guards, int64_t limit) {
    StringAttr found;
    for (StringAttr guard : guards)
      if (int64_t elements = cast<RankedTensorType>(getOperation().lookupSymbol<TensorOp>(guard).getType()).getNumElements(); elements < limit) {
        found = guard;
        limit = elements;
      }
    return found;
  }

  void runOnOperation() override {
    ProgramOp program = getOperation();
    if (zeros < 1 || zeros > 1000) {
      emitError(program.getLoc()) << "found " << zeros.getValue() << " thousandths of zeros, expected 1 to 1000";
      return signalPassFailure();
    }
    Builder builder(&getContext());
    ZeroAnalysis analysis(program);
    GuardAnalysis guards(program);
    program.walk([&](ContractOp contract) {
      if (!contract.getInputZeros() && analysis.ofBlock(contract.getInput()).zero) {
        contract.setInputZeros(zeros);
        ++skipping;
        if (StringAttr guard = smallest(guards.of(contract.getInput()), contract.getInput().getType().getNumElements())) {
          contract.setGuardAttr(FlatSymbolRefAttr::get(guard));
          ++guarded;
        }
      }
      auto tensor = program.lookupSymbol<TensorOp>(contract.getWeightAttr().getAttr());
      if (!tensor || tensor.getNonzeros() || !analysis.ofTensor(tensor.getSymNameAttr()).zero)
        return;
      const int64_t elements = cast<RankedTensorType>(tensor.getType()).getNumElements();
      // In this order the product fits: no tensor has more than 2^40 elements.
      tensor.setNonzerosAttr(builder.getI64IntegerAttr(elements * (1000 - int64_t(zeros)) / 1000));
      ++sparse;
    });
  }
};

} // namespace

} // namespace wafer::stream
