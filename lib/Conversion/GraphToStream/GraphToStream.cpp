//===- GraphToStream.cpp - layers become kernels and calls -----------------===//
//
// Three walks over a function: the first plans the segments, the second finds the values that MemoryX holds between them, the third writes tensors, segments
// and calls.
//
//===----------------------------------------------------------------------===//

#include "wafer/Conversion/GraphToStream.h"

#include "KernelBuilder.h"
#include "MemoryXFunctions.h"
#include "SegmentPlan.h"

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Graph.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace wafer {

#define GEN_PASS_DEF_CONVERTGRAPHTOSTREAM
#include "wafer/Conversion/GraphToStream.h.inc"

namespace {

/// Layers that run one after another on the wafer, or one layer on MemoryX.
struct Run {
  bool onWafer;
  SmallVector<graph::LayerOp> layers;
  SegmentPlan plan; ///< on the wafer
};

class ProgramBuilder {
public:
  ProgramBuilder(func::FuncOp function, StringRef machine) : function_(function), machine_(machine), body_(function.getContext()) {}
  LogicalResult build();

private:
  LogicalResult findRuns();
  LogicalResult planSegments();
  void findCrossings();
  LogicalResult declareArguments();
  LogicalResult declareResults();
  FailureOr<stream::TensorOp> declareUpdate(Location loc, StringRef name, Type type);
  stream::TensorOp declare(Location loc, StringRef name, stream::Role role, RankedTensorType type);
  stream::TensorOp tensorFor(Value value, bool isReceived, StringRef hint);
  void writeSegments(const Run &run);
  void writeCall(graph::LayerOp layer);
  void writeCopies();
  void appendFunction(function_ref<func::FuncOp(OpBuilder &)> create);
  StringAttr uniqueName(StringRef wanted);
  ArrayAttr names(ArrayRef<stream::TensorOp> tensors);

  func::FuncOp function_;
  StringRef machine_;
  stream::ProgramOp program_;
  OpBuilder body_; ///< after the last segment or call, before the functions
  stream::TensorOp lastTensor_;
  bool hasFunctions_ = false;
  SmallVector<Run> runs_;
  llvm::StringMap<Location> named_;
  llvm::StringMap<stream::TensorOp> states_;
  HeldTensors held_;
  llvm::DenseSet<Value> crossing_;
  llvm::MapVector<Value, stream::TensorOp> outputs_;      ///< by the value that is returned there
  SmallVector<std::pair<Value, stream::TensorOp>> copies_; ///< further results of one value, results that are arguments
};

StringAttr ProgramBuilder::uniqueName(StringRef wanted) {
  std::string name = wanted.str();
  for (unsigned i = 1; !named_.try_emplace(name, function_.getLoc()).second; ++i)
    name = wanted.str() + "_" + std::to_string(i);
  return body_.getStringAttr(name);
}

stream::TensorOp ProgramBuilder::declare(Location loc, StringRef name, stream::Role role, RankedTensorType type) {
  OpBuilder builder = OpBuilder::atBlockBegin(&program_.getBody().front());
  if (lastTensor_)
    builder.setInsertionPointAfter(lastTensor_);
  lastTensor_ = stream::TensorOp::create(builder, loc, builder.getStringAttr(name), stream::RoleAttr::get(type.getContext(), role), TypeAttr::get(type));
  return lastTensor_;
}

LogicalResult ProgramBuilder::findRuns() {
  for (Operation &op : function_.getBody().front().without_terminator()) {
    auto layer = dyn_cast<graph::LayerOp>(op);
    if (!layer) {
      if (isFree(&op))
        continue;
      return op.emitError() << "found '" << op.getName() << "' outside of a layer; run graph-form-layers first";
    }
    if (layer.getBody().empty())
      return layer.emitOpError() << "found layer \"" << layer.getName() << "\" that shares its body, expected one of its own; run graph-expand-layers first";
    if (!layer.getPlacement())
      return layer.emitOpError() << "found layer \"" << layer.getName() << "\" without a placement; run graph-partition first";
    bool onWafer = layer.isOn(graph::Placement::Wafer);
    if (!onWafer || runs_.empty() || !runs_.back().onWafer)
      runs_.push_back({onWafer, {}, {}});
    runs_.back().layers.push_back(layer);
  }
  return success();
}

LogicalResult ProgramBuilder::planSegments() {
  WaferKernels kernels;
  for (Run &run : runs_) {
    if (!run.onWafer)
      continue;
    for (graph::LayerOp layer : run.layers)
      for (Operation &op : layer.getBlock().without_terminator()) {
        if (isFree(&op))
          continue;
        std::string reason;
        std::optional<WaferKernel> kernel = kernels.find(&op, reason);
        if (!kernel)
          return op.emitError() << "found no wafer kernel because " << reason << ", expected one in the layer \"" << layer.getName()
                                << "\" on <wafer>; let graph-partition place it";
        kernels.record(&op, *kernel);
        run.plan.add(&op, *kernel);
      }
  }
  return success();
}

/// A value crosses when another segment or a layer in MemoryX reads it, when it is streamed, or when the function returns it.
void ProgramBuilder::findCrossings() {
  llvm::DenseMap<Value, const PlannedSegment *> definedIn; ///< null: in MemoryX
  for (const Run &run : runs_) {
    for (const PlannedSegment &segment : run.plan.segments()) {
      for (const PlannedKernel &planned : segment.kernels) {
        auto cross = [&](ArrayRef<Value> values) {
          for (Value value : values)
            if (auto defined = definedIn.find(value); defined != definedIn.end() && defined->second != &segment)
              crossing_.insert(value);
        };
        cross(planned.activations());
        cross(planned.streamed());
        definedIn[planned.op->getResult(0)] = &segment;
      }
    }
    if (run.onWafer)
      continue;
    for (graph::LayerOp layer : run.layers) {
      for (Value input : layer.getInputs())
        if (Value value = originOf(input); definedIn.contains(value))
          crossing_.insert(value);
      for (Value value : cast<graph::YieldOp>(layer.getBlock().back()).getValues())
        definedIn[value] = nullptr;
    }
  }
}

/// Tensors of the outside have a static shape and a name of their own (argument_c4) that no symbol of the program needs (argument_c5).
static LogicalResult checkOutside(Location loc, StringRef name, Type type, StringRef program, llvm::StringMap<Location> &named) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || !tensor.hasStaticShape() || tensor.getEncoding())
    return emitError(loc) << "found '" << name << "' of type " << type << ", expected a tensor of static shape; export the model with fixed sizes";
  if (name == program || name.starts_with("wafer."))
    return emitError(loc) << "argument_c5: found an argument or result named '" << name
                          << "', expected a name other than the function's that does not begin with 'wafer.'; rename it";
  auto [other, isNew] = named.try_emplace(name, loc);
  if (isNew)
    return success();
  InFlightDiagnostic diag = emitError(loc) << "argument_c4: found two arguments or results named '" << name << "', expected unique names";
  diag.attachNote(other->second) << "the other is here";
  return diag;
}

LogicalResult ProgramBuilder::declareArguments() {
  for (BlockArgument argument : function_.getArguments()) {
    std::string name = graph::argumentName(argument);
    if (failed(checkOutside(argument.getLoc(), name, argument.getType(), function_.getSymName(), named_)))
      return failure();
    auto role = function_.getArgAttrOfType<StringAttr>(argument.getArgNumber(), graph::roleAttr);
    bool isState = role && role.getValue() == graph::stateRole;
    stream::TensorOp tensor = declare(argument.getLoc(), name,
                                      isState                          ? stream::Role::State
                                      : graph::isParameter(argument) ? stream::Role::Weight
                                                                      : stream::Role::Input,
                                      cast<RankedTensorType>(argument.getType()));
    if (isState)
      states_[name] = tensor;
    if (auto nonzeros = function_.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), graph::nonzerosAttr))
      tensor.setNonzerosAttr(nonzeros);
    if (Attribute encoding = function_.getArgAttr(argument.getArgNumber(), graph::encodingAttr))
      tensor.setEncodingAttr(encoding);
    held_[argument] = tensor;
  }
  return success();
}

/// Where the value that a state has after the run is made.
FailureOr<stream::TensorOp> ProgramBuilder::declareUpdate(Location loc, StringRef name, Type type) {
  auto known = states_.find(name);
  if (known == states_.end()) {
    // Written and never read here; another entry may read it.
    if (failed(checkOutside(loc, name, type, function_.getSymName(), named_)))
      return failure();
    known = states_.try_emplace(name, declare(loc, name, stream::Role::State, cast<RankedTensorType>(type))).first;
  }
  if (known->second.getType() != type) {
    InFlightDiagnostic diag = emitError(loc) << "found the state '" << name << "' to become a " << type << ", expected a " << known->second.getType();
    diag.attachNote(known->second.getLoc()) << "the state is here";
    return diag;
  }
  std::string updateName = ("wafer.next." + name).str();
  if (!named_.try_emplace(updateName, loc).second)
    return emitError(loc) << "argument_c4: found two results for the state '" << name << "', expected one";
  stream::TensorOp tensor = declare(loc, updateName, stream::Role::Intermediate, cast<RankedTensorType>(type));
  tensor.setUpdatesAttr(FlatSymbolRefAttr::get(known->second.getSymNameAttr()));
  return tensor;
}

LogicalResult ProgramBuilder::declareResults() {
  auto ret = cast<func::ReturnOp>(function_.getBody().front().getTerminator());
  for (OpOperand &operand : ret->getOpOperands()) {
    auto attr = function_.getResultAttrOfType<StringAttr>(operand.getOperandNumber(), graph::nameAttr);
    std::string name = attr ? attr.str() : "output" + (ret.getNumOperands() == 1 ? std::string() : std::to_string(operand.getOperandNumber()));
    FailureOr<stream::TensorOp> declared = failure();
    if (function_.getResultAttr(operand.getOperandNumber(), graph::roleAttr))
      declared = declareUpdate(ret.getLoc(), name, operand.get().getType());
    else if (succeeded(checkOutside(ret.getLoc(), name, operand.get().getType(), function_.getSymName(), named_)))
      declared = declare(ret.getLoc(), name, stream::Role::Output, cast<RankedTensorType>(operand.get().getType()));
    if (failed(declared))
      return failure();
    stream::TensorOp tensor = *declared;
    Value value = originOf(operand.get());
    bool computed = value.getDefiningOp() && value.getParentBlock() != &function_.getBody().front();
    if (!computed || !outputs_.insert({value, tensor}).second)
      copies_.push_back({value, tensor});
    if (computed)
      crossing_.insert(value);
  }
  return success();
}

/// How many elements of a value are not zero, where what makes it says so. Moving elements does not change their number.
static IntegerAttr nonzerosOf(Value value) {
  Operation *op = value.getDefiningOp();
  while (op && isa<linalg::TransposeOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op))
    op = op->getOperand(0).getDefiningOp();
  if (!op)
    return nullptr;
  DenseFPElementsAttr constant;
  if (matchPattern(op, m_Constant(&constant)) && !constant.isSplat())
    return IntegerAttr::get(IntegerType::get(op->getContext(), 64), llvm::count_if(constant.getValues<APFloat>(), [](const APFloat &number) { return !number.isZero(); }));
  return op->getAttrOfType<IntegerAttr>(graph::nonzerosAttr);
}

/// Where MemoryX holds a value that the program computes: an output or a new intermediate. What is received may have another shape there; a function's result
/// may not.
stream::TensorOp ProgramBuilder::tensorFor(Value value, bool isReceived, StringRef hint) {
  auto type = cast<RankedTensorType>(value.getType());
  auto *output = outputs_.find(value);
  if (output != outputs_.end()) {
    if (isReceived || output->second.getType() == type)
      return held_[value] = output->second;
    copies_.push_back({value, output->second});
  }
  stream::TensorOp tensor = declare(value.getLoc(), uniqueName((hint + ".value").str()).getValue(), stream::Role::Intermediate, type);
  if (IntegerAttr nonzeros = nonzerosOf(value))
    tensor.setNonzerosAttr(nonzeros);
  return held_[value] = tensor;
}

void ProgramBuilder::writeSegments(const Run &run) {
  for (const PlannedSegment &planned : run.plan.segments()) {
    auto segmentOp = stream::SegmentOp::create(body_, planned.kernels.front().op->getParentOp()->getLoc(), stream::GridAttr(), planned.entries());
    segmentOp.getBody().emplaceBlock();
    KernelBuilder segment(segmentOp, held_);
    for (const auto &[op, kernel] : planned.kernels) {
      if (kernel.kind == KernelKind::Sample) {
        segment.sample(op, kernel, tensorFor(op->getResult(0), /*isReceived=*/true, cast<graph::LayerOp>(op->getParentOp()).getName()));
        continue;
      }
      segment.emit(op, kernel);
      Value result = op->getResult(0);
      if (crossing_.contains(result))
        segment.receive(result, tensorFor(result, /*isReceived=*/true, cast<graph::LayerOp>(op->getParentOp()).getName()));
    }
    segment.foldBiases();
  }
}

ArrayAttr ProgramBuilder::names(ArrayRef<stream::TensorOp> tensors) {
  SmallVector<Attribute> symbols;
  for (stream::TensorOp tensor : tensors)
    symbols.push_back(FlatSymbolRefAttr::get(tensor.getSymNameAttr()));
  return body_.getArrayAttr(symbols);
}

void ProgramBuilder::writeCall(graph::LayerOp layer) {
  SmallVector<stream::TensorOp> inputs, outputs;
  SmallVector<Type> types;
  for (Value input : layer.getInputs()) {
    inputs.push_back(held_.lookup(originOf(input)));
    types.push_back(inputs.back().getType());
  }
  for (Value value : cast<graph::YieldOp>(layer.getBlock().back()).getValues())
    outputs.push_back(tensorFor(value, /*isReceived=*/false, layer.getName()));
  StringAttr name = uniqueName(layer.getName());
  stream::CallOp::create(body_, layer.getLoc(), FlatSymbolRefAttr::get(name), names(inputs), names(outputs), layer.getReasonAttr());
  appendFunction([&](OpBuilder &builder) { return outlineLayer(builder, name.getValue(), layer, types); });
}

void ProgramBuilder::writeCopies() {
  for (auto &copy : copies_) {
    stream::TensorOp source = held_.lookup(copy.first), output = copy.second;
    StringAttr name = uniqueName(("copy." + output.getSymName()).str());
    stream::CallOp::create(body_, output.getLoc(), FlatSymbolRefAttr::get(name), names(source), names(output),
                           body_.getStringAttr("the result repeats or reshapes a tensor that MemoryX holds"));
    appendFunction([&](OpBuilder &builder) {
      return outlineCopy(builder, output.getLoc(), name.getValue(), cast<RankedTensorType>(source.getType()), cast<RankedTensorType>(output.getType()));
    });
  }
}

void ProgramBuilder::appendFunction(function_ref<func::FuncOp(OpBuilder &)> create) {
  OpBuilder builder = OpBuilder::atBlockEnd(&program_.getBody().front());
  func::FuncOp function = create(builder);
  if (!hasFunctions_)
    body_.setInsertionPoint(function);
  hasFunctions_ = true;
}

LogicalResult ProgramBuilder::build() {
  if (failed(findRuns()) || failed(planSegments()))
    return failure();
  findCrossings();

  OpBuilder outside(function_);
  program_ = stream::ProgramOp::create(outside, function_.getLoc(), function_.getSymName(), machine_);
  body_.setInsertionPointToEnd(&program_.getBody().emplaceBlock());
  if (failed(declareArguments()) || failed(declareResults()))
    return failure();
  for (const Run &run : runs_) {
    if (run.onWafer)
      writeSegments(run);
    else
      writeCall(run.layers.front());
  }
  writeCopies();
  function_.erase();
  return success();
}

struct ConvertGraphToStream : impl::ConvertGraphToStreamBase<ConvertGraphToStream> {
  using ConvertGraphToStreamBase::ConvertGraphToStreamBase;

  void runOnOperation() override {
    for (auto function : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (!function.isExternal() && failed(ProgramBuilder(function, machine).build()))
        return signalPassFailure();
  }
};

} // namespace

} // namespace wafer
