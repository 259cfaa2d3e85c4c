//===- Disassemble.cpp - a program as text --------------------------------===//
//
// Everything that is not a default is written, so that assembling gives the same bytes, also for programs that the verifier refuses: what
// has no name or word is written as a number, code that is no instruction as a word.
//
//===----------------------------------------------------------------------===//

#include "Text.h"

#include <cstdio>

using namespace wafer::text;

namespace wafer {

namespace {

constexpr char machineEnd[] = "MACHINE";
constexpr char functionEnd[] = "MLIR";

std::string hex(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

template <typename T> std::string listOf(const std::vector<T> &values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(values[i]);
  return text + "]";
}

std::string pairOf(unsigned a, unsigned b) { return "[" + std::to_string(a) + ", " + std::to_string(b) + "]"; }

class Disassembler {
public:
  explicit Disassembler(const wexe::ProgramT &program)
      : program_(program), colours_(colourNames(program)), images_(imageNames(program)), tensors_(tensorNames(program)),
        functions_(functionNames(program)), tasks_(controlTaskNames(program)) {}

  std::string run();

private:
  void line(unsigned depth, const std::string &text) {
    out_.append(2 * depth, ' ');
    out_ += text;
    out_ += '\n';
  }
  void header();
  void image(const wexe::ImageT &image, size_t index);
  void descriptor(const wexe::DescriptorT &source, size_t index);
  void code(const wexe::ImageT &image);
  std::string instruction(uint64_t word, const Names &descriptors, const Names &dataTasks) const;
  void region(const wexe::RegionT &region);
  void route(const wexe::RouteT &route);
  void tensor(const wexe::TensorT &tensor);
  void function(const wexe::FunctionT &function);
  void entry(const wexe::EntryT &entry);
  void phase(const wexe::PhaseT &phase);
  std::string step(const wexe::StepT &step) const;
  std::string rect(const wexe::Rect *rect) const;
  std::string tensorList(const std::vector<uint32_t> &list) const;

  const wexe::ProgramT &program_;
  Names colours_, images_, tensors_, functions_, tasks_;
  std::string out_;
};

/// The machine's hash, where the machine can be read.
std::optional<uint64_t> hashOf(const std::string &machine) {
  try {
    return Machine::fromJson(machine, "machine").hash();
  } catch (const MachineError &) {
    return std::nullopt;
  }
}

void Disassembler::header() {
  if (program_.format_version != executableFormatVersion)
    line(0, "format " + std::to_string(program_.format_version));
  if (program_.isa_hash != isaHash())
    line(0, "isa " + hex(program_.isa_hash));
  if (!program_.producer.empty())
    line(0, "producer " + quote(program_.producer));
  if (fitsHeredoc(program_.machine, machineEnd))
    out_ += std::string("machine <<") + machineEnd + "\n" + program_.machine + machineEnd + "\n";
  else
    line(0, "machine " + quote(program_.machine));
  if (hashOf(program_.machine) != program_.machine_hash)
    line(0, "machine_hash " + hex(program_.machine_hash));
}

void Disassembler::descriptor(const wexe::DescriptorT &source, size_t index) {
  std::string text = "descriptor " + nameOf(source.name) + " " + wordOf(kindWords(), unsigned(source.kind)) + " " +
                     wordOf(typeWords(), unsigned(source.type));
  bool fabric = source.kind == wexe::DescKind::FabIn || source.kind == wexe::DescKind::FabOut;
  if (fabric || source.colour != 0)
    text += " colour=" + colours_.refer(source.colour);
  if (source.base != 0 || source.kind == wexe::DescKind::Mem || source.kind == wexe::DescKind::Acc)
    text += " base=" + std::to_string(source.base);
  if (!source.extents.empty())
    text += " extents=" + listOf(source.extents);
  if (!source.strides.empty())
    text += " strides=" + listOf(source.strides);
  if (source.imm != 0 || source.kind == wexe::DescKind::Const)
    text += " imm=" + hex(source.imm);
  line(1, text + "  # %" + std::to_string(index));
}

std::string Disassembler::instruction(uint64_t word, const Names &descriptors, const Names &dataTasks) const {
  std::string text;
  try {
    Instruction insn = decode(word);
    text = print(insn);
    if (encode(parse(text)) != word)
      return "word " + hex(word);
    auto replace = [&](char mark, const std::string &by) {
      if (size_t at = text.find(mark); at != std::string::npos)
        text.replace(at + 1, text.find_first_not_of("0123456789", at + 1) - at - 1, by);
    };
    if (insn.opcode == Opcode::Ldd)
      replace('%', descriptors.referBare(insn.descriptorTemplate));
    if (insn.opcode == Opcode::Bind)
      replace('@', dataTasks.referBare(insn.pc));
  } catch (const IsaError &) {
    return "word " + hex(word);
  }
  return text;
}

void Disassembler::code(const wexe::ImageT &image) {
  // Tasks and locations stand where they apply if their order allows it, else by number.
  auto regular = [](const wexe::TaskT &task) {
    return task.kind == wexe::TaskKind::Control || (task.kind == wexe::TaskKind::Data && task.number == 0);
  };
  bool inlineTasks = true, inlineLocations = true;
  for (size_t i = 0; i < image.tasks.size(); ++i)
    inlineTasks &=
        regular(*image.tasks[i]) && image.tasks[i]->pc <= image.code.size() && (i == 0 || image.tasks[i]->pc >= image.tasks[i - 1]->pc);
  for (size_t i = 0; i < image.locations.size(); ++i)
    inlineLocations &= image.locations[i]->pc < image.code.size() && (i == 0 || image.locations[i]->pc > image.locations[i - 1]->pc);

  auto taskText = [&](const wexe::TaskT &task) {
    if (!regular(task))
      return "task " + nameOf(task.name) + " kind=" + std::to_string(unsigned(task.kind)) + " number=" + std::to_string(task.number);
    return (task.kind == wexe::TaskKind::Data ? "data " : "control " + std::to_string(task.number) + " ") + nameOf(task.name);
  };
  if (!inlineTasks)
    for (const auto &task : image.tasks)
      line(1, taskText(*task) + " pc=" + std::to_string(task->pc));
  if (!inlineLocations)
    for (const auto &location : image.locations)
      line(1, "location " + quote(location->text) + " pc=" + std::to_string(location->pc));

  Names descriptors = descriptorNames(image), dataTasks = dataTaskNames(image);
  size_t nextTask = 0, nextLocation = 0;
  for (size_t pc = 0; pc <= image.code.size(); ++pc) {
    for (; inlineTasks && nextTask < image.tasks.size() && image.tasks[nextTask]->pc == pc; ++nextTask)
      line(1, taskText(*image.tasks[nextTask]) + ":");
    if (inlineLocations && nextLocation < image.locations.size() && image.locations[nextLocation]->pc == pc)
      line(2, "location " + quote(image.locations[nextLocation++]->text));
    if (pc < image.code.size())
      line(2, instruction(image.code[pc], descriptors, dataTasks));
  }
}

static std::string load(unsigned number) { return number == 0 ? "" : " load=" + std::to_string(number); }

void Disassembler::image(const wexe::ImageT &image, size_t index) {
  line(0, "image " + nameOf(image.name) + " command=" + colours_.refer(image.command_colour) + load(image.load) +
              (image.start == -1 ? "" : " start=" + std::to_string(image.start)) + " {  # image " + std::to_string(index));
  for (size_t i = 0; i < image.descriptors.size(); ++i)
    descriptor(*image.descriptors[i], i);
  for (const auto &buffer : image.buffers)
    line(1, "buffer " + nameOf(buffer->name) + (buffer->acc ? " acc" : "") + " base=" + std::to_string(buffer->base) +
                " bytes=" + std::to_string(buffer->bytes));
  code(image);
  line(0, "}");
}

std::string Disassembler::rect(const wexe::Rect *rect) const {
  if (!rect)
    return "";
  std::string text = " at=" + pairOf(rect->x0(), rect->y0()) + " size=" + pairOf(rect->nx(), rect->ny());
  if (rect->sx() != 1 || rect->sy() != 1)
    text += " step=" + pairOf(rect->sx(), rect->sy());
  return text;
}

void Disassembler::region(const wexe::RegionT &region) {
  std::string head = "region " + nameOf(region.name) + " image=" + images_.refer(region.image) + rect(region.rect.get());
  if (region.overrides.empty()) {
    line(0, head);
    return;
  }
  line(0, head + " {");
  Names descriptors;
  if (region.image < program_.images.size())
    descriptors = descriptorNames(*program_.images[region.image]);
  for (const wexe::Override &o : region.overrides) {
    std::string value = std::to_string(o.base());
    if (o.field() == wexe::DescField::Kind)
      value = o.base() < kindWords().size() ? kindWords()[o.base()] : value;
    else if (o.field() == wexe::DescField::Colour)
      value = colours_.refer(o.base());
    else if (o.field() == wexe::DescField::Imm)
      value = hex(o.base());
    std::string text = "override " + descriptors.refer(o.descriptor()) + " " + wordOf(fieldWords(), unsigned(o.field())) + "=" + value;
    if (unsigned(o.field()) >= fieldWords().size())
      text = "override " + descriptors.refer(o.descriptor()) + " number=" + std::to_string(unsigned(o.field())) +
             " value=" + std::to_string(o.base());
    if (o.dx() != 0)
      text += " dx=" + std::to_string(o.dx());
    if (o.dy() != 0)
      text += " dy=" + std::to_string(o.dy());
    line(1, text);
  }
  line(0, "}");
}

void Disassembler::route(const wexe::RouteT &route) {
  std::string tx;
  for (unsigned direction = 0; direction < directionWords().size(); ++direction)
    if (route.tx >> direction & 1)
      tx += (tx.empty() ? "" : ", ") + directionWords()[direction];
  tx = route.tx >> directionWords().size() ? std::to_string(route.tx) : "[" + tx + "]";
  line(0, "route " + nameOf(route.channel) + " colour=" + colours_.refer(route.colour) + rect(route.rect.get()) +
              " rx=" + wordOf(directionWords(), unsigned(route.rx)) + " tx=" + tx + load(route.load));
}

void Disassembler::tensor(const wexe::TensorT &tensor) {
  line(0, "tensor " + nameOf(tensor.name) + " " + wordOf(roleWords(), unsigned(tensor.role)) + " " +
              wordOf(typeWords(), unsigned(tensor.type)) + " " + listOf(tensor.shape) +
              (tensor.dense_nonzeros ? " nonzeros=" + std::to_string(tensor.dense_nonzeros) : "") +
              (tensor.updates == -1 ? "" : " updates=" + (tensor.updates < 0 ? std::to_string(tensor.updates) : tensors_.refer(unsigned(tensor.updates)))));
}

void Disassembler::function(const wexe::FunctionT &function) {
  std::string text = "function " + nameOf(function.name);
  if (!function.reason.empty())
    text += " reason=" + quote(function.reason);
  if (!function.location.empty())
    text += " location=" + quote(function.location);
  if (fitsHeredoc(function.mlir, functionEnd)) {
    out_ += text + " mlir=<<" + functionEnd + "\n" + function.mlir + functionEnd + "\n";
    return;
  }
  line(0, text + (function.mlir.empty() ? "" : " mlir=" + quote(function.mlir)));
}

std::string Disassembler::tensorList(const std::vector<uint32_t> &list) const {
  std::string text = "[";
  for (size_t i = 0; i < list.size(); ++i)
    text += (i == 0 ? "" : ", ") + tensors_.refer(list[i]);
  return text + "]";
}

std::string Disassembler::step(const wexe::StepT &step) const {
  std::string text = wordOf(stepWords(), unsigned(step.kind));
  if (unsigned(step.kind) >= stepWords().size())
    text = "step kind=" + text;
  text += " " + nameOf(step.name);
  auto reference = [&](const char *key, int value) {
    if (value != -1)
      text += std::string(" ") + key + "=" + (value < 0 ? std::to_string(value) : tensors_.refer(unsigned(value)));
  };
  auto number = [&](const char *key, int64_t value) {
    if (value != 0)
      text += std::string(" ") + key + "=" + std::to_string(value);
  };
  auto task = [&](const char *key, unsigned value, bool always) {
    if (value != 0 || always)
      text += std::string(" ") + key + "=" + tasks_.refer(value);
  };
  bool contract = step.kind == wexe::StepKind::Contract, streams = contract || step.kind == wexe::StepKind::Scale, sample = step.kind == wexe::StepKind::Sample;
  reference("tensor", step.tensor);
  reference("bias", step.bias);
  reference("pattern", step.pattern);
  if (step.type != wexe::ElemType::None)
    text += " type=" + wordOf(typeWords(), unsigned(step.type));
  if (streams || unsigned(step.wire) != 0)
    text += " wire=" + wordOf(wireWords(), unsigned(step.wire));
  if (unsigned(step.link) != 0)
    text += " link=" + wordOf(linkWords(), unsigned(step.link));
  number("link_kept", step.link_kept);
  number("link_size", step.link_size);
  number("rows", step.rows);
  number("columns", step.columns);
  number("row_stride", step.row_stride);
  number("column_stride", step.column_stride);
  number("offset", step.offset);
  if (!step.batch_sizes.empty())
    text += " batch_sizes=" + listOf(step.batch_sizes);
  if (!step.batch_strides.empty())
    text += " batch_strides=" + listOf(step.batch_strides);
  number("feature_block", step.feature_block);
  number("out_block", step.out_block);
  text += step.groups_added ? " groups_added" : "";
  number("input_zeros", step.input_zeros);
  reference("guard", step.guard);
  number("output_zeros", step.output_zeros);
  if (step.colour != 0 || step.kind == wexe::StepKind::Send || step.kind == wexe::StepKind::Receive || sample)
    text += " colour=" + colours_.refer(step.colour);
  task("task", step.task, !streams);
  task("task_east", step.task_east, contract || sample);
  task("task_west", step.task_west, contract || sample);
  task("task_own", step.task_own, streams || sample);
  task("task_bias", step.task_bias, streams && step.bias != -1);
  const bool isMasked = contract && step.output_zeros != 0;
  task("mask_east", step.mask_east, isMasked);
  task("mask_west", step.mask_west, isMasked);
  task("mask_own", step.mask_own, isMasked);
  task("mask_last", step.mask_last, isMasked);
  if (step.times != 1)
    text += " times=" + std::to_string(step.times);
  number("macs", static_cast<int64_t>(step.macs));
  if (step.rows_together != 1)
    text += " rows_together=" + std::to_string(step.rows_together);
  number("beside", step.beside);
  return text + (step.location.empty() ? "" : " location=" + quote(step.location));
}

void Disassembler::phase(const wexe::PhaseT &phase) {
  std::string text = "phase " + wordOf(phaseWords(), unsigned(phase.kind));
  if (phase.kind == wexe::PhaseKind::Wafer || phase.command_colour != 0)
    text += " command=" + colours_.refer(phase.command_colour);
  if (phase.function != -1)
    text += " function=" + (phase.function < 0 ? std::to_string(phase.function) : functions_.refer(unsigned(phase.function)));
  if (!phase.inputs.empty())
    text += " inputs=" + tensorList(phase.inputs);
  if (!phase.outputs.empty())
    text += " outputs=" + tensorList(phase.outputs);
  text += load(phase.load);
  if (phase.continues)
    text += " continues";
  if (phase.prologue != 0)
    text += " prologue=" + std::to_string(phase.prologue);
  if (!phase.grid && phase.steps.empty()) {
    line(1, text);
    return;
  }
  line(1, text + " {");
  if (const wexe::GridT *grid = phase.grid.get())
    line(2, "grid at=" + pairOf(grid->x0, grid->y0) + " columns=" + std::to_string(grid->columns) + " rows=" + std::to_string(grid->rows) +
                " groups=" + std::to_string(grid->groups) + " token_block=" + std::to_string(grid->token_block) +
                " tokens=" + std::to_string(grid->tokens) + " micro_batches=" + std::to_string(grid->micro_batches) +
                (grid->batches == 1 ? "" : " batches=" + std::to_string(grid->batches)) +
                (grid->batches_at_once == 1 ? "" : " batches_at_once=" + std::to_string(grid->batches_at_once)) + (grid->bands == 1 ? "" : " bands=" + std::to_string(grid->bands)));
  for (const auto &s : phase.steps)
    line(2, step(*s));
  line(1, "}");
}

void Disassembler::entry(const wexe::EntryT &entry) {
  line(0, "entry " + nameOf(entry.name) + " inputs=" + tensorList(entry.inputs) + " outputs=" + tensorList(entry.outputs) + " {");
  for (const auto &p : entry.phases)
    phase(*p);
  line(0, "}");
}

std::string Disassembler::run() {
  line(0, "wexe");
  header();
  for (const auto &colour : program_.colours)
    line(0, "colour " + std::to_string(colour->number) + " " + nameOf(colour->name) + (colour->weight ? " weight" : ""));
  for (size_t i = 0; i < program_.images.size(); ++i)
    image(*program_.images[i], i);
  for (const auto &r : program_.regions)
    region(*r);
  for (const auto &r : program_.routes)
    route(*r);
  for (const auto &t : program_.tensors)
    tensor(*t);
  for (const auto &f : program_.functions)
    function(*f);
  for (const auto &e : program_.entries)
    entry(*e);
  for (const auto &op : program_.report) {
    std::string text = "report " + nameOf(op->name);
    for (auto [key, value] :
         {std::pair("placement", &op->placement), std::pair("location", &op->location), std::pair("reason", &op->reason)})
      if (!value->empty())
        text += std::string(" ") + key + "=" + quote(*value);
    line(0, text + (op->macs ? " macs=" + std::to_string(op->macs) : "") + (op->entry ? " entry=" + std::to_string(op->entry) : ""));
  }
  return std::move(out_);
}

} // namespace

std::string disassembleProgram(const wexe::ProgramT &program) { return Disassembler(program).run(); }

} // namespace wafer
