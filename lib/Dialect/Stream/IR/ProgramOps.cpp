//===- ProgramOps.cpp - verifiers of programs, tensors, segments, calls ----===//

#include "wafer/Dialect/Stream/Stream.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SparseTensor/IR/SparseTensor.h"

using namespace mlir;
using namespace wafer::stream;

LogicalResult ProgramOp::verify() {
  // program_c1
  for (Operation &op : *getBody().begin())
    if (!isa<TensorOp, SegmentOp, CallOp, func::FuncOp>(op))
      return op.emitError() << "program_c1: found '" << op.getName() << "' in a stream.program, expected stream.tensor, stream.segment, stream.call or func.func";
  return success();
}

LogicalResult TensorOp::verify() {
  // tensor_c1
  auto type = cast<RankedTensorType>(getType());
  if (!type.hasStaticShape() || type.getEncoding())
    return emitOpError() << "tensor_c1: found type " << type << ", expected a static shape without encoding";
  // tensor_c2
  if (getNonzeros() && (static_cast<int64_t>(*getNonzeros()) < 0 || static_cast<int64_t>(*getNonzeros()) > type.getNumElements()))
    return emitOpError() << "tensor_c2: found " << static_cast<int64_t>(*getNonzeros()) << " nonzeros, expected 0 to " << type.getNumElements();
  // tensor_c4
  if (Attribute attribute = getEncodingAttr()) {
    auto encoding = dyn_cast<sparse_tensor::SparseTensorEncodingAttr>(attribute);
    if (!encoding || static_cast<int64_t>(encoding.getDimRank()) != type.getRank() || !getNonzeros())
      return emitOpError() << "tensor_c4: found encoding " << attribute << ", expected a #sparse_tensor.encoding of " << type.getRank() << " dimensions beside nonzeros";
  }
  // tensor_c3
  if (FlatSymbolRefAttr updated = getUpdatesAttr()) {
    auto state = (*this)->getParentOfType<ProgramOp>().lookupSymbol<TensorOp>(updated.getAttr());
    if (!state || state.getRole() != Role::State || state.getType() != getType() || (getRole() != Role::Output && getRole() != Role::Intermediate))
      return emitOpError() << "tensor_c3: found it to update " << updated << ", expected an output or intermediate that updates a state of its type, " << getType();
  }
  return success();
}

static LogicalResult verifyOnGrid(Operation *op, RankedTensorType type, GridAttr grid, int64_t batches) {
  // segment_c2
  LayoutAttr layout = getLayout(type);
  if (!layout)
    return op->emitOpError() << "segment_c2: found no layout on " << type << ", expected a #stream.layout because the segment has a grid";
  int64_t block = layout.getFeatureBlock(), features = numFeatures(type);
  if (block == 0 ? features != 1 : grid.getColumns() * block < features)
    return op->emitOpError() << "segment_c2: found feature_block = " << block << " on " << grid.getColumns() << " columns, expected to cover " << features
                             << (features == 1 ? " feature" : " features");
  // segment_c3
  // Of one entry: several at a time have as many groups each.
  int64_t covered = grid.getGroups() * grid.getRows() * grid.getTokenBlock() * grid.getMicroBatches() / batches;
  if (covered < numTokens(type) / batches)
    return op->emitOpError() << "segment_c3: found a grid for " << covered << " tokens" << (batches == 1 ? "" : " of a batch entry") << ", expected at least "
                             << numTokens(type) / batches;
  return success();
}

/// Kernels have been verified before.
LogicalResult SegmentOp::verifyRegions() {
  std::optional<int64_t> tokens;
  int64_t batches = getBatches();
  // segment_c5
  const int64_t atOnce = getGrid() ? getGrid()->getBatchesAtOnce() : 1, bands = getGrid() ? getGrid()->getBands() : 1;
  if (batches < 1 || batches % atOnce != 0 || (getGrid() && getGrid()->getGroups() * bands % atOnce != 0))
    return emitOpError() << "segment_c5: found " << batches << " batches, " << atOnce << " at once, expected a number that divides batches and groups" << (bands == 1 ? "" : " * bands");
  if (getGrid() && getGrid()->getMicroBatches() % (batches / atOnce) != 0)
    return emitOpError() << "segment_c5: found " << batches << " batches, expected a number that divides the micro-batches";
  // segment_c7
  if (getLoads() < 1 || (getLoads() > 1 && (!getGrid() || getGrid()->getMicroBatches() != 1)))
    return emitOpError() << "segment_c7: found " << getLoads() << " loads, expected one, or a grid with one micro-batch";
  for (Operation &op : *getBody().begin()) {
    // segment_c4
    if (!isa<SendOp, ReceiveOp, ContractOp, SampleOp, AttendOp, ScaleOp, MapOp, ReduceOp>(op))
      return op.emitError() << "segment_c4: found '" << op.getName() << "' in a stream.segment, expected a kernel";
    // attend_c5
    if (auto attend = dyn_cast<AttendOp>(op); attend && getGrid()) {
      const int64_t entryTokens = numTokens(attend.getType()) / batches;
      if (attend.numParts() % getGrid()->getColumns() != 0 || getGrid()->getColumns() % static_cast<int64_t>(attend.getAcross()) != 0 || getGrid()->getGroups() * bands != atOnce ||
          getGrid()->getRows() / bands * getGrid()->getTokenBlock() != entryTokens)
        return op.emitOpError() << "attend_c5: found " << attend.getHeads() << " heads across " << attend.getAcross() << " columns and batch entries of " << entryTokens << " tokens on " << *getGrid()
                                << ", expected columns that divide the heads, or their parts, and a band of a group of columns for each entry, whose cores have equally many of its tokens";
    }
    // segment_c6
    auto contract = dyn_cast<ContractOp>(op);
    auto sample = dyn_cast<SampleOp>(op);
    if (bands > 1 && ((contract && !contract.getBatchSizes().empty()) || (sample && !sample.getBatchSizes().empty())))
      return op.emitOpError() << "segment_c6: found batch_sizes on a grid of " << bands << " bands, expected none: all rows of a column are streamed the same";
    for (Value result : op.getResults()) {
      auto type = cast<RankedTensorType>(result.getType());
      // segment_c1
      if (!tokens)
        tokens = numTokens(type);
      if (numTokens(type) != *tokens)
        return op.emitOpError() << "segment_c1: found " << numTokens(type) << " tokens, expected " << *tokens << " as in the values before it";
      if (*tokens % batches != 0)
        return op.emitOpError() << "segment_c5: found " << *tokens << " tokens in " << batches << " batches, expected a multiple";
      if (getGrid() && failed(verifyOnGrid(&op, type, *getGrid(), batches)))
        return failure();
    }
  }
  return success();
}

LogicalResult CallOp::verify() {
  // call_c1
  auto program = (*this)->getParentOfType<ProgramOp>();
  auto callee = program.lookupSymbol<func::FuncOp>(getCallee());
  if (!callee)
    return emitOpError() << "call_c1: found no func.func " << getCalleeAttr() << " in the program";
  auto check = [&](ArrayRef<Attribute> names, TypeRange types, StringRef what) -> LogicalResult {
    if (names.size() != types.size()) {
      InFlightDiagnostic diag = emitOpError() << "call_c1: found " << names.size() << " " << what << ", expected " << types.size();
      diag.attachNote(callee.getLoc()) << "callee is here";
      return diag;
    }
    for (auto [name, type] : llvm::zip_equal(names, types)) {
      auto symbol = cast<FlatSymbolRefAttr>(name);
      auto tensor = program.lookupSymbol<TensorOp>(symbol.getAttr());
      if (!tensor)
        return emitOpError() << "call_c1: found no stream.tensor " << symbol << " in the program";
      if (tensor.getType() != type) {
        InFlightDiagnostic diag = emitOpError() << "call_c1: found " << symbol << " of type " << tensor.getType() << ", expected " << type;
        diag.attachNote(callee.getLoc()) << "callee is here";
        return diag;
      }
    }
    return success();
  };
  if (failed(check(getInputs().getValue(), callee.getArgumentTypes(), "inputs")))
    return failure();
  return check(getOutputs().getValue(), callee.getResultTypes(), "outputs");
}
