//===- FromExecutable.cpp - executable to wafer dialect -----------------------===//
//
// The inverse of ToExecutable.cpp, section by section. A buffer is recovered for each descriptor from the image's buffer map.
//
//===----------------------------------------------------------------------===//

#include "wafer/Target/Executable.h"

#include "Locations.h"
#include "UniqueNames.h"

#include "wafer/Dialect/PE/PE.h"
#include "wafer/Dialect/Wafer/Wafer.h"
#include "wafer/Isa/Isa.h"
#include "wafer/Machine/Machine.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"

using namespace mlir;

namespace wafer {

namespace {

class ProgramReader {
public:
  /// `source` has unique names; in `original` they are what they are outside.
  ProgramReader(MLIRContext *context, const wexe::ProgramT &source, const wexe::ProgramT &original)
      : source_(source), original_(original), builder_(context), unknown_(UnknownLoc::get(context)) {}
  OwningOpRef<ModuleOp> run();

private:
  LogicalResult readImage(const wexe::ImageT &image);
  LogicalResult readDescriptor(const wexe::DescriptorT &descriptor, const wexe::ImageT &image, OpBuilder &inside);
  LogicalResult readCode(const wexe::ImageT &image, OpBuilder &inside);
  LogicalResult readRegion(const wexe::RegionT &region);
  void readRoute(const wexe::RouteT &route);
  LogicalResult readFunction(const wexe::FunctionT &function);
  void readEntry(const wexe::EntryT &entry);
  void readPhase(const wexe::PhaseT &phase, OpBuilder &inside);
  void readStep(const wexe::StepT &step, OpBuilder &inside);

  MLIRContext *context() { return builder_.getContext(); }
  const wexe::BufferT *bufferOf(const wexe::DescriptorT &descriptor, const wexe::ImageT &image) const;
  void compareMachines(const Machine &machine);
  Location reportedLocation(StringRef text);

  FlatSymbolRefAttr symbol(StringRef name) { return FlatSymbolRefAttr::get(context(), name); }
  FlatSymbolRefAttr colour(unsigned number);
  FlatSymbolRefAttr tensor(int number) { return number < 0 ? FlatSymbolRefAttr() : symbol(source_.tensors[number]->name); }
  ArrayAttr tensors(const std::vector<uint32_t> &numbers);
  SymbolRefAttr task(unsigned number);
  Type type(wexe::ElemType element);
  IntegerAttr i64(int64_t value) { return builder_.getI64IntegerAttr(value); }
  template <typename Numbers> DenseI64ArrayAttr list(const Numbers &numbers) {
    return builder_.getDenseI64ArrayAttr(SmallVector<int64_t>(numbers.begin(), numbers.end()));
  }
  wfr::RectAttr rect(const wexe::Rect &rect) {
    return wfr::RectAttr::get(context(), rect.x0(), rect.y0(), rect.nx(), rect.ny(), rect.sx(), rect.sy());
  }

  const wexe::ProgramT &source_, &original_;
  OpBuilder builder_;
  Location unknown_;
  uint16_t load_ = 0;   ///< of the phase that is being read
  uint8_t command_ = 0; ///< its command colour
  size_t reported_ = 0; ///< entries of the report that have been given to operations
};

FlatSymbolRefAttr ProgramReader::colour(unsigned number) {
  for (const auto &colour : source_.colours)
    if (colour->number == number)
      return symbol(colour->name);
  return symbol("color_" + std::to_string(number));
}

ArrayAttr ProgramReader::tensors(const std::vector<uint32_t> &numbers) {
  SmallVector<Attribute> names;
  for (uint32_t number : numbers)
    names.push_back(tensor(static_cast<int>(number)));
  return builder_.getArrayAttr(names);
}

/// Steps name tasks by number; the images of a load that they command agree on them.
SymbolRefAttr ProgramReader::task(unsigned number) {
  for (const auto &image : source_.images)
    for (const auto &task : image->tasks)
      if (image->load == load_ && image->command_colour == command_ && task->kind == wexe::TaskKind::Control && task->number == number)
        return SymbolRefAttr::get(context(), image->name, {symbol(task->name)});
  return SymbolRefAttr::get(context(), "unknown");
}

Type ProgramReader::type(wexe::ElemType element) {
  switch (element) {
  case wexe::ElemType::F16:
    return builder_.getF16Type();
  case wexe::ElemType::BF16:
    return builder_.getBF16Type();
  case wexe::ElemType::I32:
    return builder_.getI32Type();
  case wexe::ElemType::I16:
    return builder_.getI16Type();
  case wexe::ElemType::I8:
    return builder_.getI8Type();
  default:
    return builder_.getF32Type();
  }
}

/// Buffers that live at different times share addresses: of those that hold all elements, one that begins where the descriptor does is the likeliest.
const wexe::BufferT *ProgramReader::bufferOf(const wexe::DescriptorT &descriptor, const wexe::ImageT &image) const {
  int64_t bytes = byteSize(static_cast<ElementType>(descriptor.type)), low = descriptor.base, high = low + bytes;
  bool isEmpty = false;
  for (auto [extent, stride] : llvm::zip(descriptor.extents, descriptor.strides)) {
    isEmpty |= extent == 0;
    (stride < 0 ? low : high) += (int64_t(extent) - 1) * stride * bytes;
  }
  const wexe::BufferT *found = nullptr;
  for (const auto &buffer : image.buffers) {
    bool holdsBase = buffer->base <= descriptor.base && descriptor.base < buffer->base + buffer->bytes;
    bool holdsAll = isEmpty || (buffer->base <= low && high <= buffer->base + buffer->bytes);
    if (buffer->acc != (descriptor.kind == wexe::DescKind::Acc) || !holdsBase || !holdsAll)
      continue;
    if (buffer->base == descriptor.base)
      return buffer.get();
    if (!found)
      found = buffer.get();
  }
  return found;
}

LogicalResult ProgramReader::readDescriptor(const wexe::DescriptorT &descriptor, const wexe::ImageT &image, OpBuilder &inside) {
  auto kind = static_cast<wfr::DescriptorKind>(descriptor.kind);
  FlatSymbolRefAttr on;
  IntegerAttr offset, value;
  DenseI64ArrayAttr extents, strides;
  bool isMemory = kind == wfr::DescriptorKind::Mem || kind == wfr::DescriptorKind::Acc;
  if (isMemory) {
    const wexe::BufferT *buffer = bufferOf(descriptor, image);
    if (!buffer)
      return emitError(unknown_) << "descriptor '" << descriptor.name << "' lies in no buffer of image '" << image.name << "'";
    on = symbol(buffer->name);
    offset = i64(descriptor.base - buffer->base);
    strides = list(descriptor.strides);
  } else if (kind == wfr::DescriptorKind::Const) {
    value = i64(descriptor.imm);
  } else {
    on = colour(descriptor.colour);
  }
  if (kind != wfr::DescriptorKind::Const)
    extents = list(descriptor.extents);
  wfr::DescriptorOp::create(inside, unknown_, builder_.getStringAttr(descriptor.name), wfr::DescriptorKindAttr::get(context(), kind),
                            TypeAttr::get(type(descriptor.type)), on, offset, extents, strides, value, wfr::PerCoreAttr());
  return success();
}

LogicalResult ProgramReader::readCode(const wexe::ImageT &image, OpBuilder &inside) {
  auto nameOfTask = [&](unsigned pc) {
    for (const auto &task : image.tasks)
      if (task->pc == pc)
        return symbol(task->name);
    return symbol("pc_" + std::to_string(pc));
  };
  for (const auto &task : image.tasks) {
    auto op = wfr::TaskOp::create(inside, unknown_, task->name, static_cast<wfr::TaskKind>(task->kind), task->number);
    OpBuilder body = OpBuilder::atBlockBegin(&op.getBody().emplaceBlock());
    for (size_t pc = task->pc; pc < image.code.size(); ++pc) {
      Instruction insn;
      try {
        insn = decode(image.code[pc]);
      } catch (const IsaError &error) {
        return emitError(unknown_) << "instruction " << pc << " of image '" << image.name << "': " << error.what();
      }
      FlatSymbolRefAttr name;
      if (insn.opcode == Opcode::Ldd)
        name = symbol(insn.descriptorTemplate < image.descriptors.size() ? image.descriptors[insn.descriptorTemplate]->name : "unknown");
      else if (insn.opcode == Opcode::Bind)
        name = nameOfTask(insn.pc);
      StringRef location;
      for (const auto &entry : image.locations)
        if (entry->pc <= pc)
          location = entry->text;
      pe::createInstruction(body, locationFromText(context(), location), insn, name);
      if (insn.opcode == Opcode::End)
        break;
    }
  }
  return success();
}

LogicalResult ProgramReader::readImage(const wexe::ImageT &image) {
  auto op = wfr::ImageOp::create(builder_, unknown_, image.name, colour(image.command_colour).getValue(), image.load);
  for (const auto &task : image.tasks)
    if (task->kind == wexe::TaskKind::Control && task->number == image.start)
      op.setStartAttr(symbol(task->name));
  OpBuilder inside = OpBuilder::atBlockBegin(&op.getBody().emplaceBlock());
  for (const auto &buffer : image.buffers)
    wfr::BufferOp::create(inside, unknown_, buffer->name, buffer->bytes, 0, 0, buffer->acc, /*kept=*/false, i64(buffer->base));
  for (const auto &descriptor : image.descriptors)
    if (failed(readDescriptor(*descriptor, image, inside)))
      return failure();
  return readCode(image, inside);
}

LogicalResult ProgramReader::readRegion(const wexe::RegionT &region) {
  const wexe::ImageT &image = *source_.images[region.image];
  auto op = wfr::RegionOp::create(builder_, unknown_, builder_.getStringAttr(region.name), rect(*region.rect), symbol(image.name));
  OpBuilder inside = OpBuilder::atBlockBegin(&op.getBody().emplaceBlock());
  for (const wexe::Override &entry : region.overrides) {
    StringAttr field;
    FlatSymbolRefAttr color;
    IntegerAttr base = i64(entry.base()), dx = entry.dx() ? i64(entry.dx()) : IntegerAttr(), dy = entry.dy() ? i64(entry.dy()) : IntegerAttr();
    switch (entry.field()) {
    case wexe::DescField::Kind:
      if (entry.base() != static_cast<uint32_t>(wexe::DescKind::Const))
        return emitError(unknown_) << "region '" << region.name << "' overrides the kind of descriptor '" << image.descriptors[entry.descriptor()]->name
                                   << "', for which the wafer dialect has no form but a constant";
      continue; // the constant that follows says it
    case wexe::DescField::Base:
      return emitError(unknown_) << "region '" << region.name << "' overrides the base of descriptor '" << image.descriptors[entry.descriptor()]->name
                                 << "', for which the wafer dialect has no form";
    case wexe::DescField::Colour:
      field = builder_.getStringAttr("color");
      color = colour(entry.base());
      base = dx = dy = IntegerAttr();
      break;
    case wexe::DescField::Imm:
      field = builder_.getStringAttr("const");
      break;
    default:
      field = builder_.getStringAttr("extent" + Twine(static_cast<int>(entry.field()) - static_cast<int>(wexe::DescField::Extent0)));
      break;
    }
    wfr::OverrideOp::create(inside, unknown_, symbol(image.descriptors[entry.descriptor()]->name), field, color, base, dx, dy);
  }
  return success();
}

void ProgramReader::readRoute(const wexe::RouteT &route) {
  SmallVector<Attribute> to;
  for (unsigned direction = 0; direction < 5; ++direction)
    if (route.tx & 1u << direction)
      to.push_back(wfr::DirectionAttr::get(context(), static_cast<wfr::Direction>(direction)));
  wfr::RouteOp::create(builder_, unknown_, colour(route.colour), i64(route.load), rect(*route.rect),
                       wfr::DirectionAttr::get(context(), static_cast<wfr::Direction>(route.rx)), builder_.getArrayAttr(to));
}

LogicalResult ProgramReader::readFunction(const wexe::FunctionT &function) {
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(function.mlir, ParserConfig(context()));
  if (!module)
    return emitError(unknown_) << "function '" << function.name << "' does not parse";
  for (auto func : module->getOps<func::FuncOp>())
    builder_.clone(*func)->setLoc(locationFromText(context(), function.location));
  return success();
}

/// The location of the next operation that the report has an entry for; the report keeps the name that a frontend gave it. Without a report, `text`.
Location ProgramReader::reportedLocation(StringRef text) {
  if (reported_ == source_.report.size())
    return locationFromText(context(), text);
  const wexe::OpReportT &entry = *source_.report[reported_++];
  Location loc = locationFromText(context(), entry.location);
  return entry.name.empty() ? loc : NameLoc::get(builder_.getStringAttr(entry.name), loc);
}

void ProgramReader::readStep(const wexe::StepT &step, OpBuilder &inside) {
  bool isReported = step.kind == wexe::StepKind::Contract || step.kind == wexe::StepKind::Scale || step.kind == wexe::StepKind::Sample;
  Location loc = isReported ? reportedLocation(step.location) : locationFromText(context(), step.location);
  auto wire = stream::WireFormatAttr::get(context(), static_cast<stream::WireFormat>(step.wire));
  auto link = step.link == wexe::LinkFormat::Wavelets ? stream::LinkAttr() : stream::LinkAttr::get(context(), static_cast<stream::LinkKind>(step.link), step.link_kept, step.link_size);
  auto element = TypeAttr::get(type(step.type));
  switch (step.kind) {
  case wexe::StepKind::Send:
    wfr::SendOp::create(inside, loc, tensor(step.tensor), i64(step.columns), element, i64(step.feature_block), i64(step.offset), task(step.task), colour(step.colour), i64(step.beside));
    break;
  case wexe::StepKind::Receive:
    wfr::ReceiveOp::create(inside, loc, tensor(step.tensor), i64(step.columns), element, i64(step.feature_block), task(step.task), colour(step.colour));
    break;
  case wexe::StepKind::Command:
    wfr::CommandOp::create(inside, loc, task(step.task), i64(step.times), i64(step.macs));
    break;
  case wexe::StepKind::Contract: {
    auto maskTask = [&](uint16_t number) { return step.output_zeros == 0 ? SymbolRefAttr() : task(number); };
    wfr::ContractOp::create(inside, loc, tensor(step.tensor), tensor(step.bias), element, wire, link, i64(step.rows), i64(step.columns), i64(step.row_stride),
                            i64(step.column_stride), i64(step.offset), list(step.batch_sizes), list(step.batch_strides), i64(step.feature_block), i64(step.out_block), task(step.task_east), task(step.task_west),
                            task(step.task_own), step.bias < 0 ? SymbolRefAttr() : task(step.task_bias), step.input_zeros == 0 ? IntegerAttr() : i64(step.input_zeros), tensor(step.guard),
                            step.output_zeros == 0 ? IntegerAttr() : i64(step.output_zeros), maskTask(step.mask_east), maskTask(step.mask_west), maskTask(step.mask_own),
                            maskTask(step.mask_last), i64(step.rows_together));
    break;
  }
  case wexe::StepKind::Sample:
    wfr::SampleOp::create(inside, loc, tensor(step.tensor), tensor(step.pattern), element, i64(step.rows), i64(step.columns), i64(step.row_stride),
                          i64(step.column_stride), i64(step.offset), list(step.batch_sizes), list(step.batch_strides), i64(step.feature_block), i64(step.out_block), task(step.task_east),
                          task(step.task_west), task(step.task_own), task(step.task), colour(step.colour), step.groups_added ? builder_.getUnitAttr() : UnitAttr());
    break;
  case wexe::StepKind::Scale:
    wfr::ScaleOp::create(inside, loc, tensor(step.tensor), tensor(step.bias), element, wire, i64(step.rows), i64(step.out_block), task(step.task_own),
                         step.bias < 0 ? SymbolRefAttr() : task(step.task_bias));
    break;
  }
}

void ProgramReader::readPhase(const wexe::PhaseT &phase, OpBuilder &inside) {
  if (phase.kind == wexe::PhaseKind::Function) {
    const wexe::FunctionT &function = *source_.functions[phase.function];
    wfr::CallOp::create(inside, reportedLocation(function.location), symbol(function.name), tensors(phase.inputs), tensors(phase.outputs),
                        builder_.getStringAttr(function.reason));
    return;
  }
  load_ = phase.load;
  command_ = phase.command_colour;
  const wexe::GridT &grid = *phase.grid;
  auto attr = wfr::GridAttr::get(context(), grid.x0, grid.y0, grid.columns, grid.rows, grid.groups, grid.token_block, static_cast<int64_t>(grid.tokens),
                                 grid.micro_batches, grid.batches, grid.batches_at_once, grid.bands);
  auto op = wfr::PhaseOp::create(inside, unknown_, attr, colour(phase.command_colour), i64(phase.load), i64(phase.prologue), phase.continues ? inside.getUnitAttr() : UnitAttr());
  OpBuilder steps = OpBuilder::atBlockBegin(&op.getBody().emplaceBlock());
  for (const auto &step : phase.steps)
    readStep(*step, steps);
}

void ProgramReader::readEntry(const wexe::EntryT &entry) {
  auto op = wfr::EntryOp::create(builder_, unknown_, builder_.getStringAttr(entry.name), tensors(entry.inputs), tensors(entry.outputs));
  OpBuilder inside = OpBuilder::atBlockBegin(&op.getBody().emplaceBlock());
  for (const auto &phase : entry.phases)
    readPhase(*phase, inside);
}

/// The text names the machine only, so another one of that name would be taken for it.
void ProgramReader::compareMachines(const Machine &machine) {
  try {
    if (Machine::load(machine.name).hash() == source_.machine_hash)
      return;
  } catch (const MachineError &) {
  }
  emitWarning(unknown_) << "the executable carries a machine '" << machine.name
                        << "' that is no preset; put the path of its description into the program before translating it back";
}

OwningOpRef<ModuleOp> ProgramReader::run() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(unknown_);
  Machine machine;
  try {
    machine = Machine::fromJson(source_.machine, "machine of the executable");
  } catch (const MachineError &error) {
    emitError(unknown_) << error.what();
    return nullptr;
  }
  compareMachines(machine);
  builder_.setInsertionPointToStart(module->getBody());
  std::string name = source_.entries.empty() ? "program" : source_.entries.front()->name;
  auto program = wfr::ProgramOp::create(builder_, unknown_, name, machine.name);
  builder_.setInsertionPointToStart(&program.getBody().emplaceBlock());

  for (const auto &color : source_.colours)
    wfr::ColorOp::create(builder_, unknown_, color->name, i64(color->number), color->weight);
  for (const auto &[tensor, original] : llvm::zip_equal(source_.tensors, original_.tensors)) {
    SmallVector<int64_t> shape(tensor->shape.begin(), tensor->shape.end());
    wfr::TensorOp::create(builder_, unknown_, builder_.getStringAttr(tensor->name), stream::RoleAttr::get(context(), static_cast<stream::Role>(tensor->role)),
                          TypeAttr::get(RankedTensorType::get(shape, type(tensor->type))),
                          tensor->dense_nonzeros ? i64(static_cast<int64_t>(tensor->dense_nonzeros)) : IntegerAttr(), this->tensor(tensor->updates),
                          tensor->name == original->name ? StringAttr() : builder_.getStringAttr(original->name));
  }
  for (const auto &function : source_.functions)
    if (failed(readFunction(*function)))
      return nullptr;
  for (const auto &image : source_.images)
    if (failed(readImage(*image)))
      return nullptr;
  for (const auto &region : source_.regions)
    if (failed(readRegion(*region)))
      return nullptr;
  for (const auto &route : source_.routes)
    readRoute(*route);
  for (const auto &entry : source_.entries)
    readEntry(*entry);
  if (failed(verify(*module)))
    return nullptr;
  return module;
}

} // namespace

OwningOpRef<ModuleOp> translateFromExecutable(MLIRContext *context, const wexe::ProgramT &program) {
  wexe::ProgramT named = program;
  makeNamesUnique(named);
  return ProgramReader(context, named, program).run();
}

} // namespace wafer
