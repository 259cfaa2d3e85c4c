//===- ReadEncodings.cpp - graph-read-encodings ----------------------------===//

#include "wafer/Dialect/Graph/Graph.h"
#include "wafer/Dialect/Graph/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SparseTensor/IR/SparseTensor.h"

using namespace mlir;

namespace wafer::graph {

#define GEN_PASS_DEF_READENCODINGS
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"

namespace {

/// The type without its sparse encoding, or null when it has none.
RankedTensorType plain(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  bool isSparse = tensor && isa_and_nonnull<sparse_tensor::SparseTensorEncodingAttr>(tensor.getEncoding());
  return isSparse ? RankedTensorType::get(tensor.getShape(), tensor.getElementType()) : RankedTensorType();
}

/// Part of the elements that is expected where nobody counted them: what an N:M level leaves, else a quarter.
double expectedDensity(sparse_tensor::SparseTensorEncodingAttr encoding) {
  for (sparse_tensor::LevelType level : encoding.getLvlTypes())
    if (sparse_tensor::isNOutOfMLT(level))
      return double(sparse_tensor::getN(level)) / double(sparse_tensor::getM(level));
  return 0.25;
}

struct ReadEncodings : impl::ReadEncodingsBase<ReadEncodings> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (!function.isExternal())
      for (BlockArgument argument : function.getArguments())
        note(function, argument);
    WalkResult result = function.walk([&](Operation *op) {
      if (isa_and_nonnull<sparse_tensor::SparseTensorDialect>(op->getDialect())) {
        op->emitError() << "found '" << op->getName() << "', expected no operation on the storage of sparse tensors: MemoryX stores all tensors alike; declare the weight sparse in "
                        << "the type of its argument";
        return WalkResult::interrupt();
      }
      for (Value value : op->getResults())
        strip(value);
      for (Region &region : op->getRegions())
        for (Block &block : region)
          for (Value value : block.getArguments())
            strip(value);
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
    auto results = llvm::map_to_vector(function.getResultTypes(), [](Type type) -> Type {
      RankedTensorType stripped = plain(type);
      return stripped ? stripped : type;
    });
    if (!function.isExternal())
      function.setType(FunctionType::get(&getContext(), function.getBody().front().getArgumentTypes(), results));
  }

private:
  void strip(Value value) {
    if (RankedTensorType type = plain(value.getType()))
      value.setType(type);
  }

  void note(func::FuncOp function, BlockArgument argument) {
    const unsigned number = argument.getArgNumber();
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type || !type.hasStaticShape() || !isParameter(argument))
      return;
    if (plain(type))
      function.setArgAttr(number, encodingAttr, type.getEncoding());
    auto encoding = function.getArgAttrOfType<sparse_tensor::SparseTensorEncodingAttr>(number, encodingAttr);
    if (!encoding || function.getArgAttr(number, nonzerosAttr))
      return;
    const auto kept = static_cast<int64_t>(double(type.getNumElements()) * expectedDensity(encoding));
    function.setArgAttr(number, nonzerosAttr, Builder(&getContext()).getI64IntegerAttr(kept));
  }
};

} // namespace

} // namespace wafer::graph
