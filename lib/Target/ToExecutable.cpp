//===- ToExecutable.cpp - wafer dialect to executable -------------------------===//
//
// One function per section; symbols become the numbers of their operations in order.
//
//===----------------------------------------------------------------------===//

#include "wafer/Target/Executable.h"

#include "CheckRanges.h"
#include "Locations.h"

#include "wafer/Dialect/PE/PE.h"
#include "wafer/Dialect/Wafer/Wafer.h"
#include "wafer/Executable/Executable.h"
#include "wafer/Machine/Machine.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace wafer {

namespace {

/// Names of a section in order.
class Numbering {
public:
  unsigned add(StringRef name) { return numbers_.try_emplace(name, numbers_.size()).first->second; }
  std::optional<unsigned> find(StringRef name) const {
    auto found = numbers_.find(name);
    return found == numbers_.end() ? std::nullopt : std::optional<unsigned>(found->second);
  }

private:
  llvm::StringMap<unsigned> numbers_;
};

std::optional<wexe::ElemType> elemTypeOf(Type type) {
  if (type.isF32())
    return wexe::ElemType::F32;
  if (type.isF16())
    return wexe::ElemType::F16;
  if (type.isBF16())
    return wexe::ElemType::BF16;
  if (type.isInteger(32))
    return wexe::ElemType::I32;
  if (type.isInteger(16))
    return wexe::ElemType::I16;
  if (type.isInteger(8))
    return wexe::ElemType::I8;
  return std::nullopt;
}

class ProgramWriter {
public:
  /// `functionNames`: those that programs before this one have taken.
  ProgramWriter(wfr::ProgramOp source, wexe::ProgramT &target, llvm::StringSet<> &functionNames) : source_(source), target_(target), functionNames_(functionNames) {}
  LogicalResult run();

private:
  LogicalResult writeHeader();
  LogicalResult writeColors();
  LogicalResult writeTensors();
  LogicalResult writeFunctions();
  LogicalResult writeImage(wfr::ImageOp image);
  LogicalResult writeDescriptor(wfr::DescriptorOp op, wfr::ImageOp image, wexe::ImageT &target);
  LogicalResult writeRegion(wfr::RegionOp region);
  LogicalResult writeRoute(wfr::RouteOp route);
  LogicalResult writeEntry(wfr::EntryOp entry);
  LogicalResult writePhase(wfr::PhaseOp phase, wexe::EntryT &entry);
  LogicalResult writeCall(wfr::CallOp call, wexe::EntryT &entry);
  LogicalResult writeStep(Operation *op, wfr::PhaseOp phase, wexe::PhaseT &target);

  FailureOr<uint8_t> color(Operation *op, StringRef name);
  FailureOr<int> tensor(Operation *op, std::optional<StringRef> name);
  FailureOr<std::vector<uint32_t>> tensors(Operation *op, ArrayAttr names);
  FailureOr<wexe::ElemType> elemType(Operation *op, Type type);
  FailureOr<uint16_t> task(Operation *op, std::optional<SymbolRefAttr> name);
  void report(Operation *op, StringRef placement, StringRef reason, uint64_t macs);

  wfr::ProgramOp source_;
  wexe::ProgramT &target_;
  llvm::StringSet<> &functionNames_;
  Numbering tensors_, functions_, images_;
  llvm::StringMap<Numbering> descriptors_;                  ///< by image
  llvm::StringMap<llvm::StringMap<wfr::TaskOp>> tasks_;     ///< by image, then name
};

std::unique_ptr<wexe::Rect> rectOf(wfr::RectAttr rect) {
  return std::make_unique<wexe::Rect>(rect.getX0(), rect.getY0(), rect.getNx(), rect.getNy(), rect.getSx(), rect.getSy());
}

LogicalResult ProgramWriter::writeHeader() {
  try {
    Machine machine = Machine::load(source_.getMachine().str());
    target_.machine = machine.toJson();
    target_.machine_hash = machine.hash();
  } catch (const MachineError &error) {
    return source_.emitOpError() << "cannot load its machine: " << error.what();
  }
  target_.format_version = executableFormatVersion;
  target_.isa_hash = isaHash();
  target_.producer = "wafer";
  return success();
}

LogicalResult ProgramWriter::writeColors() {
  for (auto op : source_.getOps<wfr::ColorOp>()) {
    if (!op.getNumber())
      return op.emitOpError("has no number; run wafer-assign-colors first");
    auto target = std::make_unique<wexe::ColourT>();
    target->name = op.getSymName().str();
    target->number = *op.getNumber();
    target->weight = op.getWeight();
    target_.colours.push_back(std::move(target));
  }
  for (auto op : source_.getOps<wfr::ChannelOp>())
    return op.emitOpError("is not routed; run wafer-route first");
  return success();
}

LogicalResult ProgramWriter::writeTensors() {
  for (auto op : source_.getOps<wfr::TensorOp>()) {
    auto type = cast<RankedTensorType>(op.getType());
    FailureOr<wexe::ElemType> element = elemType(op, type.getElementType());
    if (failed(element))
      return failure();
    auto target = std::make_unique<wexe::TensorT>();
    target->name = op.getOutside().value_or(op.getSymName()).str();
    target->role = static_cast<wexe::Role>(op.getRole());
    target->type = *element;
    target->shape.assign(type.getShape().begin(), type.getShape().end());
    target->dense_nonzeros = op.getNonzeros().value_or(0);
    tensors_.add(op.getSymName());
    target_.tensors.push_back(std::move(target));
  }
  for (auto [op, target] : llvm::zip_equal(source_.getOps<wfr::TensorOp>(), target_.tensors)) {
    FailureOr<int> updated = tensor(op, op.getUpdates());
    if (failed(updated))
      return failure();
    target->updates = *updated;
  }
  return success();
}

LogicalResult ProgramWriter::writeFunctions() {
  for (auto op : source_.getOps<func::FuncOp>()) {
    // A module of its own, so that the text stands for itself.
    OwningOpRef<ModuleOp> module = ModuleOp::create(op.getLoc());
    auto copy = cast<func::FuncOp>(OpBuilder::atBlockBegin(module->getBody()).clone(*op));
    auto target = std::make_unique<wexe::FunctionT>();
    target->name = op.getSymName().str();
    for (unsigned i = 1; !functionNames_.insert(target->name).second; ++i)
      target->name = op.getSymName().str() + "_" + std::to_string(i);
    copy.setSymName(target->name);
    llvm::raw_string_ostream os(target->mlir);
    module->print(os);
    target->location = locationText(op.getLoc());
    functions_.add(op.getSymName());
    target_.functions.push_back(std::move(target));
  }
  return success();
}

LogicalResult ProgramWriter::writeDescriptor(wfr::DescriptorOp op, wfr::ImageOp image, wexe::ImageT &target) {
  FailureOr<wexe::ElemType> element = elemType(op, op.getType());
  if (failed(element))
    return failure();
  auto descriptor = std::make_unique<wexe::DescriptorT>();
  descriptor->name = op.getSymName().str();
  descriptor->kind = static_cast<wexe::DescKind>(op.getKind());
  descriptor->type = *element;
  if (op.getExtents())
    descriptor->extents.assign(op.getExtents()->begin(), op.getExtents()->end());
  if (op.getStrides())
    descriptor->strides.assign(op.getStrides()->begin(), op.getStrides()->end());
  switch (op.getKind()) {
  case wfr::DescriptorKind::Mem:
  case wfr::DescriptorKind::Acc: {
    auto buffer = image.lookupSymbol<wfr::BufferOp>(*op.getOn());
    if (!buffer.getAddress())
      return op.emitOpError() << "is on buffer '@" << *op.getOn() << "', which has no address; run wafer-allocate-sram first";
    descriptor->base = *buffer.getAddress() + op.getOffset().value_or(0);
    break;
  }
  case wfr::DescriptorKind::Receive:
  case wfr::DescriptorKind::Send: {
    FailureOr<uint8_t> number = color(op, *op.getOn());
    if (failed(number))
      return failure();
    descriptor->colour = *number;
    break;
  }
  case wfr::DescriptorKind::Const:
    descriptor->imm = static_cast<uint32_t>(*op.getValue());
    break;
  }
  target.descriptors.push_back(std::move(descriptor));
  return success();
}

LogicalResult ProgramWriter::writeImage(wfr::ImageOp image) {
  auto target = std::make_unique<wexe::ImageT>();
  target->name = image.getSymName().str();
  FailureOr<uint8_t> command = color(image, image.getCommand());
  if (failed(command))
    return failure();
  target->command_colour = *command;
  target->load = image.getLoad();

  for (auto buffer : image.getOps<wfr::BufferOp>()) {
    if (!buffer.getAddress())
      return buffer.emitOpError("has no address; run wafer-allocate-sram first");
    auto entry = std::make_unique<wexe::BufferT>();
    entry->name = buffer.getSymName().str();
    entry->base = *buffer.getAddress();
    entry->bytes = buffer.getBytes();
    entry->acc = buffer.getAcc();
    target->buffers.push_back(std::move(entry));
  }
  Numbering &descriptors = descriptors_[image.getSymName()];
  for (auto descriptor : image.getOps<wfr::DescriptorOp>()) {
    descriptors.add(descriptor.getSymName());
    if (failed(writeDescriptor(descriptor, image, *target)))
      return failure();
  }

  auto &tasks = tasks_[image.getSymName()];
  llvm::StringMap<uint16_t> entryOf;
  size_t pc = 0;
  for (auto task : image.getOps<wfr::TaskOp>()) {
    tasks[task.getSymName()] = task;
    entryOf[task.getSymName()] = pc;
    auto entry = std::make_unique<wexe::TaskT>();
    entry->name = task.getSymName().str();
    entry->kind = static_cast<wexe::TaskKind>(task.getKind());
    entry->number = task.getNumber();
    entry->pc = pc;
    target->tasks.push_back(std::move(entry));
    pc += task.getBody().front().getOperations().size();
    if (image.getStart() == task.getSymName())
      target->start = static_cast<int32_t>(task.getNumber());
  }
  if (pc > UINT16_MAX)
    return image.emitOpError() << "has " << pc << " instructions, expected at most " << UINT16_MAX;
  std::string lastLocation;
  for (auto task : image.getOps<wfr::TaskOp>())
    for (Operation &op : task.getBody().front()) {
      auto insnOp = cast<pe::InstructionOpInterface>(op);
      Instruction insn = insnOp.toInstruction();
      if (FlatSymbolRefAttr symbol = insnOp.getSymbol()) {
        if (isa<pe::BindOp>(op)) {
          if (!entryOf.count(symbol.getValue()))
            return op.emitOpError() << "names '" << symbol << "', expected a task of the image";
          insn.pc = entryOf[symbol.getValue()];
        } else {
          std::optional<unsigned> number = descriptors.find(symbol.getValue());
          if (!number)
            return op.emitOpError() << "names '" << symbol << "', expected a descriptor of the image";
          insn.descriptorTemplate = *number;
        }
      }
      std::string location = locationText(op.getLoc());
      if (location != lastLocation) {
        auto entry = std::make_unique<wexe::CodeLocationT>();
        entry->pc = target->code.size();
        entry->text = lastLocation = location;
        target->locations.push_back(std::move(entry));
      }
      target->code.push_back(encode(insn));
    }
  images_.add(image.getSymName());
  target_.images.push_back(std::move(target));
  return success();
}

LogicalResult ProgramWriter::writeRegion(wfr::RegionOp region) {
  auto target = std::make_unique<wexe::RegionT>();
  target->name = region.getSymName().str();
  target->rect = rectOf(region.getRect());
  std::optional<unsigned> image = images_.find(region.getImage());
  if (!image)
    return region.emitOpError() << "names '@" << region.getImage() << "', expected a wafer.image of the program";
  target->image = *image;
  auto add = [&](uint16_t descriptor, wexe::DescField field, int64_t base, int64_t dx, int64_t dy) {
    target->overrides.emplace_back(descriptor, field, static_cast<uint32_t>(base), dx, dy);
  };
  for (auto op : region.getOps<wfr::OverrideOp>()) {
    std::optional<unsigned> descriptor = descriptors_[region.getImage()].find(op.getDescriptor());
    if (!descriptor)
      return op.emitOpError() << "names '@" << op.getDescriptor() << "', expected a descriptor of image '@" << region.getImage() << "'";
    int64_t base = op.getBase().value_or(0), dx = op.getDx().value_or(0), dy = op.getDy().value_or(0);
    if (op.getField() == "color") {
      FailureOr<uint8_t> number = color(op, *op.getColor());
      if (failed(number))
        return failure();
      add(*descriptor, wexe::DescField::Colour, *number, 0, 0);
    } else if (op.getField() == "const") {
      add(*descriptor, wexe::DescField::Kind, static_cast<int64_t>(wexe::DescKind::Const), 0, 0);
      add(*descriptor, wexe::DescField::Imm, base, dx, dy);
    } else {
      auto field = static_cast<wexe::DescField>(static_cast<int>(wexe::DescField::Extent0) + (op.getField().back() - '0'));
      add(*descriptor, field, base, dx, dy);
    }
  }
  target_.regions.push_back(std::move(target));
  return success();
}

LogicalResult ProgramWriter::writeRoute(wfr::RouteOp route) {
  FailureOr<uint8_t> number = color(route, route.getColor());
  if (failed(number))
    return failure();
  auto target = std::make_unique<wexe::RouteT>();
  target->channel = route.getColor().str();
  target->load = route.getLoad();
  target->rect = rectOf(route.getRect());
  target->colour = *number;
  target->rx = static_cast<wexe::Dir>(route.getFrom());
  for (Attribute to : route.getTo())
    target->tx |= 1u << static_cast<unsigned>(cast<wfr::DirectionAttr>(to).getValue());
  target_.routes.push_back(std::move(target));
  return success();
}

LogicalResult ProgramWriter::writeStep(Operation *op, wfr::PhaseOp phase, wexe::PhaseT &phaseTarget) {
  auto step = std::make_unique<wexe::StepT>();
  step->location = locationText(op->getLoc());
  uint64_t tokens = phase.getGrid().getTokens();
  FailureOr<int> first = -1, second = -1;
  FailureOr<uint16_t> task = 0, east = 0, west = 0, bias = 0;
  FailureOr<uint8_t> colour = 0;
  FailureOr<wexe::ElemType> element = wexe::ElemType::None;

  auto transfer = [&](auto transferOp, wexe::StepKind kind) {
    step->kind = kind;
    step->name = transferOp.getTensor().str();
    first = tensor(op, transferOp.getTensor());
    element = elemType(op, transferOp.getType());
    task = this->task(op, transferOp.getTask());
    colour = color(op, transferOp.getChannel());
    step->columns = transferOp.getFeatures();
    step->feature_block = transferOp.getFeatureBlock();
  };
  if (auto send = dyn_cast<wfr::SendOp>(op)) {
    transfer(send, wexe::StepKind::Send);
    step->offset = send.getOffset();
    step->beside = static_cast<uint32_t>(send.getBeside());
  } else if (auto receive = dyn_cast<wfr::ReceiveOp>(op)) {
    transfer(receive, wexe::StepKind::Receive);
  } else if (auto command = dyn_cast<wfr::CommandOp>(op)) {
    step->kind = wexe::StepKind::Command;
    step->name = command.getTask().getLeafReference().str();
    step->times = static_cast<uint32_t>(command.getTimes());
    step->macs = command.getMacs();
    if (step->macs > 0)
      report(op, "wafer", "", step->macs * phase.getGrid().getMicroBatches());
    task = this->task(op, command.getTask());
  } else if (auto contract = dyn_cast<wfr::ContractOp>(op)) {
    step->kind = wexe::StepKind::Contract;
    step->name = contract.getWeight().str();
    first = tensor(op, contract.getWeight());
    second = tensor(op, contract.getBias());
    element = elemType(op, contract.getType());
    step->wire = static_cast<wexe::WireFormat>(contract.getWire());
    if (stream::LinkAttr link = contract.getLinkAttr()) {
      step->link = static_cast<wexe::LinkFormat>(link.getKind());
      step->link_kept = link.getKept();
      step->link_size = link.getSize();
    }
    step->rows = contract.getRows();
    step->columns = contract.getColumns();
    step->row_stride = contract.getRowStride();
    step->column_stride = contract.getColumnStride();
    step->offset = contract.getOffset();
    step->batch_sizes.assign(contract.getBatchSizes().begin(), contract.getBatchSizes().end());
    step->batch_strides.assign(contract.getBatchStrides().begin(), contract.getBatchStrides().end());
    step->feature_block = contract.getFeatureBlock();
    step->out_block = contract.getOutBlock();
    step->input_zeros = contract.getInputZeros();
    FailureOr<int> guard = tensor(op, contract.getGuard());
    if (failed(guard))
      return failure();
    step->guard = *guard;
    step->output_zeros = contract.getOutputZeros();
    step->rows_together = contract.getRowsTogether();
    for (auto [name, field] : {std::pair(contract.getMaskEast(), &step->mask_east), std::pair(contract.getMaskWest(), &step->mask_west),
                               std::pair(contract.getMaskOwn(), &step->mask_own), std::pair(contract.getMaskLast(), &step->mask_last)}) {
      FailureOr<uint16_t> number = this->task(op, name);
      if (failed(number))
        return failure();
      *field = *number;
    }
    east = this->task(op, contract.getTaskEast());
    west = this->task(op, contract.getTaskWest());
    task = this->task(op, contract.getTaskOwn());
    bias = this->task(op, contract.getTaskBias());
    if (succeeded(task))
      step->task_own = *task;
    task = 0;
    report(op, "wafer", "", step->rows * uint64_t(step->columns) * tokens);
  } else if (auto sample = dyn_cast<wfr::SampleOp>(op)) {
    step->kind = wexe::StepKind::Sample;
    step->name = sample.getTensor().str();
    first = tensor(op, sample.getTensor());
    FailureOr<int> pattern = tensor(op, sample.getPattern());
    if (failed(pattern))
      return failure();
    step->pattern = *pattern;
    element = elemType(op, sample.getType());
    step->rows = sample.getRows();
    step->columns = sample.getColumns();
    step->row_stride = sample.getRowStride();
    step->column_stride = sample.getColumnStride();
    step->offset = sample.getOffset();
    step->batch_sizes.assign(sample.getBatchSizes().begin(), sample.getBatchSizes().end());
    step->batch_strides.assign(sample.getBatchStrides().begin(), sample.getBatchStrides().end());
    step->feature_block = sample.getFeatureBlock();
    step->out_block = sample.getOutBlock();
    east = this->task(op, sample.getTaskEast());
    west = this->task(op, sample.getTaskWest());
    task = this->task(op, sample.getTaskOwn());
    if (succeeded(task))
      step->task_own = *task;
    task = this->task(op, sample.getTaskLast());
    colour = color(op, sample.getChannel());
    step->groups_added = sample.getGroupsAdded();
    report(op, "wafer", "", step->rows * uint64_t(step->columns) * tokens);
  } else if (auto scale = dyn_cast<wfr::ScaleOp>(op)) {
    step->kind = wexe::StepKind::Scale;
    step->name = scale.getGamma() ? scale.getGamma()->str() : scale.getBeta()->str();
    first = tensor(op, scale.getGamma());
    second = tensor(op, scale.getBeta());
    element = elemType(op, scale.getType());
    step->wire = static_cast<wexe::WireFormat>(scale.getWire());
    step->rows = scale.getRows();
    step->out_block = scale.getOutBlock();
    task = this->task(op, scale.getTaskOwn());
    bias = this->task(op, scale.getTaskBias());
    if (succeeded(task))
      step->task_own = *task;
    task = 0;
    report(op, "wafer", "", step->rows * tokens);
  } else {
    return op->emitOpError("is not a step of a phase");
  }
  if (failed(first) || failed(second) || failed(task) || failed(east) || failed(west) || failed(bias) || failed(colour) || failed(element))
    return failure();
  step->tensor = *first;
  step->bias = *second;
  step->type = *element;
  step->colour = *colour;
  step->task = *task;
  step->task_east = *east;
  step->task_west = *west;
  step->task_bias = *bias;
  phaseTarget.steps.push_back(std::move(step));
  return success();
}

LogicalResult ProgramWriter::writePhase(wfr::PhaseOp phase, wexe::EntryT &entry) {
  auto target = std::make_unique<wexe::PhaseT>();
  target->kind = wexe::PhaseKind::Wafer;
  wfr::GridAttr grid = phase.getGrid();
  target->grid = std::make_unique<wexe::GridT>();
  target->grid->x0 = grid.getX0();
  target->grid->y0 = grid.getY0();
  target->grid->columns = grid.getColumns();
  target->grid->rows = grid.getRows();
  target->grid->groups = grid.getGroups();
  target->grid->token_block = grid.getTokenBlock();
  target->grid->tokens = grid.getTokens();
  target->grid->micro_batches = grid.getMicroBatches();
  target->grid->batches = grid.getBatches();
  target->grid->batches_at_once = grid.getBatchesAtOnce();
  target->grid->bands = grid.getBands();
  FailureOr<uint8_t> command = color(phase, phase.getCommand());
  if (failed(command))
    return failure();
  target->command_colour = *command;
  target->load = phase.getLoad();
  target->prologue = phase.getPrologue();
  target->continues = phase.getContinues();
  for (Operation &op : phase.getBody().front())
    if (failed(writeStep(&op, phase, *target)))
      return failure();
  entry.phases.push_back(std::move(target));
  return success();
}

LogicalResult ProgramWriter::writeCall(wfr::CallOp call, wexe::EntryT &entry) {
  auto target = std::make_unique<wexe::PhaseT>();
  target->kind = wexe::PhaseKind::Function;
  std::optional<unsigned> function = functions_.find(call.getCallee());
  if (!function)
    return call.emitOpError() << "names '@" << call.getCallee() << "', expected a func.func of the program";
  target->function = *function;
  target_.functions[*function]->reason = call.getReason().str();
  FailureOr<std::vector<uint32_t>> inputs = tensors(call, call.getInputs()), outputs = tensors(call, call.getOutputs());
  if (failed(inputs) || failed(outputs))
    return failure();
  target->inputs = *inputs;
  target->outputs = *outputs;
  entry.phases.push_back(std::move(target));
  report(call, "memoryx", call.getReason(), 0);
  return success();
}

LogicalResult ProgramWriter::writeEntry(wfr::EntryOp entry) {
  auto target = std::make_unique<wexe::EntryT>();
  target->name = entry.getSymName().str();
  FailureOr<std::vector<uint32_t>> inputs = tensors(entry, entry.getInputs()), outputs = tensors(entry, entry.getOutputs());
  if (failed(inputs) || failed(outputs))
    return failure();
  target->inputs = *inputs;
  target->outputs = *outputs;
  for (Operation &op : entry.getBody().front()) {
    LogicalResult written = llvm::TypeSwitch<Operation *, LogicalResult>(&op)
                                .Case([&](wfr::PhaseOp phase) { return writePhase(phase, *target); })
                                .Case([&](wfr::CallOp call) { return writeCall(call, *target); })
                                .Default([](Operation *other) { return LogicalResult(other->emitOpError("is not a phase or call of an entry")); });
    if (failed(written))
      return failure();
  }
  target_.entries.push_back(std::move(target));
  return success();
}

FailureOr<uint8_t> ProgramWriter::color(Operation *op, StringRef name) {
  for (const auto &known : target_.colours)
    if (known->name == name)
      return known->number;
  return op->emitOpError() << "names '@" << name << "', expected a wafer.color of the program";
}

FailureOr<int> ProgramWriter::tensor(Operation *op, std::optional<StringRef> name) {
  if (!name)
    return -1;
  if (std::optional<unsigned> number = tensors_.find(*name))
    return static_cast<int>(*number);
  return op->emitOpError() << "names '@" << *name << "', expected a wafer.tensor of the program";
}

FailureOr<std::vector<uint32_t>> ProgramWriter::tensors(Operation *op, ArrayAttr names) {
  std::vector<uint32_t> numbers;
  for (Attribute name : names) {
    FailureOr<int> number = tensor(op, cast<FlatSymbolRefAttr>(name).getValue());
    if (failed(number))
      return failure();
    numbers.push_back(*number);
  }
  return numbers;
}

FailureOr<wexe::ElemType> ProgramWriter::elemType(Operation *op, Type type) {
  if (std::optional<wexe::ElemType> element = elemTypeOf(type))
    return *element;
  return op->emitOpError() << "has elements of type " << type << ", expected f32, f16, bf16, i32, i16 or i8";
}

FailureOr<uint16_t> ProgramWriter::task(Operation *op, std::optional<SymbolRefAttr> name) {
  if (!name)
    return 0;
  auto image = tasks_.find(name->getRootReference().getValue());
  if (image != tasks_.end()) {
    auto task = image->second.find(name->getLeafReference().getValue());
    if (task != image->second.end())
      return static_cast<uint16_t>(task->second.getNumber());
  }
  return op->emitOpError() << "names task '" << *name << "', which the program does not have";
}

void ProgramWriter::report(Operation *op, StringRef placement, StringRef reason, uint64_t macs) {
  auto entry = std::make_unique<wexe::OpReportT>();
  entry->name = locationName(op->getLoc());
  if (entry->name.empty())
    entry->name = op->getName().stripDialect().str();
  entry->location = locationText(op->getLoc());
  entry->placement = placement.str();
  entry->reason = reason.str();
  entry->macs = macs;
  entry->entry = target_.entries.size(); // the one that is being written
  target_.report.push_back(std::move(entry));
}

LogicalResult ProgramWriter::run() {
  if (failed(writeHeader()) || failed(writeColors()) || failed(writeTensors()) || failed(writeFunctions()))
    return failure();
  for (auto image : source_.getOps<wfr::ImageOp>())
    if (failed(writeImage(image)))
      return failure();
  for (auto region : source_.getOps<wfr::RegionOp>())
    if (failed(writeRegion(region)))
      return failure();
  for (auto route : source_.getOps<wfr::RouteOp>())
    if (failed(writeRoute(route)))
      return failure();
  for (auto entry : source_.getOps<wfr::EntryOp>())
    if (failed(writeEntry(entry)))
      return failure();
  return success();
}

} // namespace

LogicalResult translateToExecutable(ModuleOp module, wexe::ProgramT &program) {
  std::vector<wexe::ProgramT> parts;
  llvm::StringSet<> functionNames;
  for (auto source : module.getOps<wfr::ProgramOp>())
    if (failed(checkRanges(source)) || failed(ProgramWriter(source, parts.emplace_back(), functionNames).run()))
      return failure();
  if (parts.empty())
    return module.emitError() << "found no wafer.program, expected one for each entry; run --wafer-pipeline first";
  try {
    program = linkPrograms(std::move(parts));
  } catch (const ExecutableError &error) {
    return module.emitError() << error.what();
  }
  return success();
}

} // namespace wafer
