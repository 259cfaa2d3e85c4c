//===- CoreModel.cpp - the state of a core and its operations ----------------===//

#include "CoreModel.h"

#include "wafer/Emulator/NumberFormats.h"

#include <cmath>
#include <utility>

namespace wafer {

namespace {

constexpr uint32_t instructionBytes = 8, templateBytes = 32;

uint32_t loadBits(const uint8_t *at, unsigned bytes) {
  uint32_t bits = 0;
  std::memcpy(&bits, at, bytes);
  return bits;
}

bool anyOverlap(const Footprint *a, unsigned na, const Footprint *b, unsigned nb) {
  for (unsigned i = 0; i < na; ++i)
    for (unsigned j = 0; j < nb; ++j)
      if (a[i].overlaps(b[j]))
        return true;
  return false;
}

std::string text(const Footprint &footprint) {
  return "bytes " + std::to_string(footprint.low) + ".." + std::to_string(footprint.high - 1) + " of the " +
         (footprint.acc ? "accumulator cache" : "SRAM");
}

} // namespace

std::vector<ImageModel> imageModels(const LoadedProgram &program) {
  std::vector<ImageModel> models;
  for (const auto &image : program.program().images) {
    ImageModel model;
    model.index = static_cast<unsigned>(models.size());
    model.code = &program.code(model.index);
    model.commandColour = image->command_colour;
    for (const auto &task : image->tasks)
      if (task->kind == wexe::TaskKind::Control)
        model.controlTasks[task->number] = task->pc;
    if (image->start >= 0)
      model.start = static_cast<uint32_t>(image->start);
    model.dataStart = static_cast<uint32_t>(image->code.size() * instructionBytes + image->descriptors.size() * templateBytes);
    models.push_back(std::move(model));
  }
  return models;
}

bool conflict(const Operation &earlier, const Operation &later) {
  if ((earlier.inputColour >= 0 && earlier.inputColour == later.inputColour) ||
      (earlier.outputColour >= 0 && earlier.outputColour == later.outputColour))
    return true;
  return anyOverlap(earlier.writes, 2, later.writes, 2) || anyOverlap(earlier.writes, 2, later.reads, 3) ||
         anyOverlap(earlier.reads, 3, later.writes, 2);
}

bool conflict(const Operation &earlier, const Trigger &later) {
  if ((later.inputColour >= 0 && later.inputColour == earlier.inputColour) || (later.outputColour >= 0 && later.outputColour == earlier.outputColour))
    return true;
  return anyOverlap(earlier.writes, 2, &later.writes, 1) || anyOverlap(earlier.writes, 2, &later.reads, 1) || anyOverlap(earlier.writes, 2, &later.readsRow, 1) ||
         anyOverlap(earlier.reads, 3, &later.writes, 1);
}

CoreModel::CoreModel(const LoadedProgram &program, const ImageModel &image, uint16_t x, uint16_t y, std::shared_ptr<uint8_t> memory)
    : x(x), y(y), image(image), program_(program), sram_(std::move(memory)), accumulator_(sram_ ? sram_.get() + cacheOffset(program.machine()) : nullptr) {}

std::string CoreModel::name() const { return "core (" + std::to_string(x) + ", " + std::to_string(y) + ")"; }

std::string CoreModel::where(uint16_t pc) const {
  std::string text = name() + ", pc " + std::to_string(pc) + " '" + print(at(pc)) + "'";
  std::string location = program_.locationOf(image.index, pc);
  return location.empty() ? text : text + " (" + location + ")";
}

void CoreModel::trapAt(const char *label, const std::string &place, const std::string &message) const {
  throw Trap(label, (clock ? "at cycle " + std::to_string(*clock) + ", " : std::string()) + place + ": " + message);
}

void CoreModel::trap(const char *label, uint16_t pc, const std::string &message) const { trapAt(label, where(pc), message); }

uint16_t CoreModel::startControlTask(uint32_t payload) {
  implicitIndex = 0;
  unsigned number = payload & 0xffff;
  auto task = image.controlTasks.find(number);
  if (task == image.controlTasks.end())
    trapAt("task_c1", name(),
           "a command for control task " + std::to_string(number) + " arrived, but image '" + program_.program().images[image.index]->name +
               "' has no such task");
  return controlTask_ = task->second;
}

const Descriptor &CoreModel::use(unsigned reg, uint16_t pc) const {
  if (!loaded_[reg])
    trap("desc_c2", pc, "d" + std::to_string(reg) + " is used before a ldd into it");
  return registers_[reg];
}

void CoreModel::control(const Instruction &insn, uint16_t pc) {
  switch (insn.opcode) {
  case Opcode::Ldd:
    registers_[insn.dst] = program_.descriptorAt(x, y, insn.descriptorTemplate);
    loaded_[insn.dst] = true;
    break;
  case Opcode::Swapd:
    use(insn.dst, pc);
    use(insn.src0, pc);
    std::swap(registers_[insn.dst], registers_[insn.src0]);
    break;
  case Opcode::Addd:
    advance(insn.dst, insn.offset, pc);
    break;
  case Opcode::Bind:
    dataTask = insn.pc;
    bindingTask = controlTask_;
    break;
  default:
    break;
  }
}

void CoreModel::advance(unsigned reg, int64_t bytes, uint16_t pc) {
  use(reg, pc);
  // Checked when it is used: one step past the end is how a loop leaves it.
  registers_[reg].base = static_cast<uint32_t>(static_cast<int64_t>(registers_[reg].base) + bytes) & 0xffff;
}

void CoreModel::checkMemory(const Descriptor &descriptor, const Footprint &footprint, unsigned reg, uint16_t pc) const {
  if (!isMemory(descriptor) || footprint.low == footprint.high)
    return;
  int64_t low = footprint.acc ? 0 : image.dataStart, high = footprint.acc ? program_.machine().accumulatorBytes : program_.machine().sramBytes;
  if (footprint.low < low || footprint.high > high)
    trap("desc_c1", pc,
         "d" + std::to_string(reg) + " reaches " + text(footprint) + ", but data lies in " + std::to_string(low) + ".." +
             std::to_string(high - 1));
  if (descriptor.base % byteSize(elementType(descriptor.type)) != 0)
    trap("desc_c1", pc,
         "d" + std::to_string(reg) + " has base " + std::to_string(descriptor.base) + ", which is not aligned to " +
             std::string(typeName(elementType(descriptor.type))));
}

void CoreModel::checkSource(const Operation &op, unsigned which, unsigned reg) const {
  const Descriptor &source = op.src[which];
  auto name = [&] { return "d" + std::to_string(reg); };
  if (source.kind == wexe::DescKind::FabOut)
    trap("desc_c3", op.pc, "the source " + name() + " is a fabric output, which cannot be read");
  if (source.kind == wexe::DescKind::FabIn && op.fabricSource != static_cast<int>(which))
    trap("desc_c3", op.pc, "the source " + name() + " is a second fabric input, expected at most one");
  if (source.elements() != op.elements)
    trap("vec_c1", op.pc,
         "the source " + name() + " has " + std::to_string(source.elements()) + " elements, but the destination has " +
             std::to_string(op.elements));
  if (op.elements == 0 || !isMemory(source) || !isMemory(op.dst))
    return;
  for (int d = 0; d < 4; ++d)
    if (source.extent[d] != op.dst.extent[d])
      trap("vec_c1", op.pc,
           "extent[" + std::to_string(d) + "] of the source " + name() + " is " + std::to_string(source.extent[d]) +
               ", but the destination's is " + std::to_string(op.dst.extent[d]));
}

bool CoreModel::receives(unsigned colour) const { return program_.routeAt(x, y, colour).tx & (1u << static_cast<unsigned>(wexe::Dir::Ramp)); }

bool CoreModel::sends(unsigned colour) const {
  RouteEntry entry = program_.routeAt(x, y, colour);
  return entry.tx != 0 && entry.rx == wexe::Dir::Ramp;
}

/// The loader proves this for operands that it can tell; a register may hold one of several templates.
void CoreModel::checkRoutes(int inputColour, int outputColour, uint16_t pc) const {
  if (inputColour >= 0 && !receives(inputColour))
    trap("route_c7", pc,
         "receives on " + program_.colourName(inputColour) +
             ", which the router does not deliver to RAMP; add a route with RAMP in tx there");
  if (outputColour >= 0 && !sends(outputColour))
    trap("route_c7", pc,
         "sends on " + program_.colourName(outputColour) + ", which the router does not take from RAMP; add a route with rx RAMP there");
}

Operation CoreModel::issue(const Instruction &insn, uint16_t pc) {
  Operation op;
  op.insn = insn;
  op.pc = pc;
  op.dst = use(insn.dst, pc);
  op.sources = numSources(insn.opcode);
  const uint8_t sourceRegisters[3] = {insn.src0, insn.src1, insn.src2};
  op.elements = op.dst.elements();
  if (op.dst.kind == wexe::DescKind::FabIn || op.dst.kind == wexe::DescKind::Const)
    trap("desc_c3", pc,
         "the destination d" + std::to_string(insn.dst) + " is a " + (op.dst.kind == wexe::DescKind::Const ? "constant" : "fabric input") +
             ", which cannot be written");

  op.writes[0] = footprintOf(op.dst);
  checkMemory(op.dst, op.writes[0], insn.dst, pc);
  noteUse(op.writes[0]);
  op.dstWalk = Walk(op.dst);
  if (op.dst.kind == wexe::DescKind::FabOut && op.elements != 0)
    op.outputColour = op.dst.colour;
  for (unsigned i = 0; i < op.sources; ++i) {
    op.src[i] = use(sourceRegisters[i], pc);
    if (op.src[i].kind == wexe::DescKind::FabIn && op.fabricSource < 0)
      op.fabricSource = static_cast<int>(i);
  }
  for (unsigned i = 0; i < op.sources; ++i) {
    const Descriptor &source = op.src[i];
    if (source.kind == wexe::DescKind::Const)
      continue;
    checkSource(op, i, sourceRegisters[i]);
    if (source.kind == wexe::DescKind::FabIn && op.elements != 0)
      op.inputColour = source.colour;
    op.reads[i] = footprintOf(source);
    checkMemory(source, op.reads[i], sourceRegisters[i], pc);
    noteUse(op.reads[i]);
    op.srcWalk[i] = Walk(source);
  }
  checkRoutes(op.inputColour, op.outputColour, pc);
  if (insn.clear1 && isMemory(op.src[1]))
    op.writes[1] = op.reads[1];
  return op;
}

uint32_t CoreModel::element(Operation &op, uint32_t fabricBits) {
  if (!sram_) {
    ++op.done;
    return 0;
  }
  Number operands[3];
  ElementType type = op.insn.type;
  for (unsigned i = 0; i < op.sources; ++i) {
    const Descriptor &source = op.src[i];
    ElementType stored = elementType(source.type);
    uint32_t bits;
    if (source.kind == wexe::DescKind::Const) {
      // A scalar of 32 bits, an integer only for integer descriptors.
      stored = isFloat(stored) ? ElementType::F32 : ElementType::I32;
      bits = source.imm;
    } else if (source.kind == wexe::DescKind::FabIn) {
      bits = fabricBits;
    } else {
      uint8_t *at = memory(source.kind) + op.srcWalk[i].address();
      bits = loadBits(at, byteSize(stored));
      op.srcWalk[i].next();
      if (i == 1 && op.insn.clear1)
        std::memset(at, 0, byteSize(stored));
    }
    operands[i] = convert(numberFromBits(stored, bits), stored, type);
  }
  ElementType target = elementType(op.dst.type);
  uint32_t bits = bitsFromNumber(target, convert(compute(op.insn.opcode, type, operands[0], operands[1], operands[2]), type, target));
  if (isMemory(op.dst)) {
    std::memcpy(memory(op.dst.kind) + op.dstWalk.address(), &bits, byteSize(target));
    op.dstWalk.next();
  }
  ++op.done;
  return bits;
}

Trigger CoreModel::boundTrigger() {
  if (dataTask < 0)
    trapAt("task_c2", name(), "a data wavelet arrived on " + program_.colourName(image.commandColour) + ", but no data task is bound");
  uint16_t pc = static_cast<uint16_t>(dataTask);
  Trigger trigger;
  trigger.insn = at(pc);
  trigger.pc = pc;
  trigger.dst = use(trigger.insn.dst, pc);
  if (trigger.addsOnTheWay()) {
    const bool isDot = trigger.insn.opcode == Opcode::Dotw;
    trigger.addend = use(isDot ? trigger.insn.src2 : trigger.insn.src0, pc);
    bindWay(trigger);
    if (isDot)
      bindDot(trigger);
    noteUse(trigger.reads);
    noteUse(trigger.readsRow);
    return trigger;
  }
  trigger.rows = use(trigger.insn.src0, pc);
  if (!isMemory(trigger.dst) || !isMemory(trigger.rows))
    trap("desc_c3", pc,
         "d" + std::to_string(isMemory(trigger.dst) ? trigger.insn.src0 : trigger.insn.dst) + " is not memory, which a trigger works on");
  for (int d = 1; d < 4; ++d)
    if (trigger.dst.extent[d] != trigger.rows.extent[d])
      trap("vec_c1", pc,
           "the rows' extent[" + std::to_string(d) + "] is " + std::to_string(trigger.rows.extent[d]) + ", but the destination's is " +
               std::to_string(trigger.dst.extent[d]));
  trigger.writes = footprintOf(trigger.dst);
  trigger.reads = footprintOf(trigger.rows);
  checkMemory(trigger.dst, trigger.writes, trigger.insn.dst, pc);
  checkMemory(trigger.rows, trigger.reads, trigger.insn.src0, pc);
  noteUse(trigger.writes);
  noteUse(trigger.reads);
  if (trigger.insn.skip0 && trigger.reads.overlaps(trigger.writes))
    trap("skip_c1", pc, "the rows in d" + std::to_string(trigger.insn.src0) + " reach " + text(trigger.reads) + ", which products change");
  if (trigger.isMasked()) {
    bindMask(trigger);
    noteUse(trigger.readsRow);
  }
  return trigger;
}

void CoreModel::bindMask(Trigger &trigger) const {
  const uint16_t pc = trigger.pc;
  trigger.row = use(trigger.insn.src1, pc);
  if (!isMemory(trigger.row))
    trap("desc_c3", pc, "d" + std::to_string(trigger.insn.src1) + " is not memory, which holds the mask of a trigger");
  for (int d = 0; d < 4; ++d)
    if (trigger.row.extent[d] != trigger.dst.extent[d])
      trap("vec_c1", pc,
           "the mask's extent[" + std::to_string(d) + "] is " + std::to_string(trigger.row.extent[d]) + ", but the destination's is " + std::to_string(trigger.dst.extent[d]));
  if (trigger.dst.extent[0] != 1)
    trap("vec_c1", pc, "the destination's extent[0] is " + std::to_string(trigger.dst.extent[0]) + ", expected 1 with a mask");
  trigger.readsRow = footprintOf(trigger.row);
  checkMemory(trigger.row, trigger.readsRow, trigger.insn.src1, pc);
  if (trigger.readsRow.overlaps(trigger.writes))
    trap("skip_c1", pc, "the mask in d" + std::to_string(trigger.insn.src1) + " reaches " + text(trigger.readsRow) + ", which products change");
}

/// What comes from the fabric, or is a constant, and what goes to it.
void CoreModel::bindWay(Trigger &trigger) const {
  const uint16_t pc = trigger.pc;
  const std::string what = trigger.insn.opcode == Opcode::Dotw ? "a dot product" : "a sum of what arrives";
  if (trigger.dst.kind != wexe::DescKind::FabOut || isMemory(trigger.addend) || trigger.addend.kind == wexe::DescKind::FabOut)
    trap("desc_c3", pc, what + " goes to the fabric, and what is added to it is a constant or comes from the fabric");
  const bool receives = trigger.addend.kind == wexe::DescKind::FabIn;
  if (trigger.dst.elements() != 1 || (receives && trigger.addend.elements() != 1))
    trap("vec_c1", pc, what + " is one element, and at most one comes from the fabric for it");
  trigger.outputColour = trigger.dst.colour;
  if (receives)
    trigger.inputColour = trigger.addend.colour;
  checkRoutes(trigger.inputColour, trigger.outputColour, pc);
}

void CoreModel::bindDot(Trigger &trigger) const {
  const uint16_t pc = trigger.pc;
  trigger.rows = use(trigger.insn.src0, pc);
  trigger.row = use(trigger.insn.src1, pc);
  if (!isMemory(trigger.rows) || !isMemory(trigger.row))
    trap("desc_c3", pc, "d" + std::to_string(isMemory(trigger.rows) ? trigger.insn.src1 : trigger.insn.src0) + " is not memory, which holds the rows of a dot product");
  for (int d = 1; d < 4; ++d)
    if (trigger.row.extent[d] != trigger.rows.extent[d])
      trap("vec_c1", pc,
           "the rows' extent[" + std::to_string(d) + "] is " + std::to_string(trigger.rows.extent[d]) + ", but the other row's is " + std::to_string(trigger.row.extent[d]));
  if (trigger.row.extent[0] != 1)
    trap("vec_c1", pc, "a dot product takes one row, but there are " + std::to_string(trigger.row.extent[0]));
  trigger.reads = footprintOf(trigger.rows);
  trigger.readsRow = footprintOf(trigger.row);
  checkMemory(trigger.rows, trigger.reads, trigger.insn.src0, pc);
  checkMemory(trigger.row, trigger.readsRow, trigger.insn.src1, pc);
}

void CoreModel::take(Trigger &trigger, uint32_t payload) {
  trigger.values = 0;
  const uint32_t rows = trigger.rows.extent[0], indices = trigger.indices();
  ElementType type = trigger.insn.type;
  auto add = [&](uint32_t index, float value) {
    if (index >= indices)
      trap("index_c1", trigger.pc,
           "index " + std::to_string(index) + ", but the source has " + std::to_string(rows) + " rows" + (indices == rows ? "" : " for each of " + std::to_string(trigger.dst.extent[0]) + " sums"));
    trigger.index[trigger.values] = index % rows;
    trigger.sum[trigger.values] = index / rows;
    trigger.value[trigger.values++] = value;
  };
  // What is left of a wavelet behind the weights for a sum is padding.
  auto isOfSameSum = [&](unsigned number) { return implicitIndex % rows + number < rows; };
  auto half = [&](uint32_t bits) { return numberFromBits(type, bits & 0xffff).f; };
  switch (trigger.insn.opcode) {
  case Opcode::Fmacw:
  case Opcode::Fmacwm:
    add(payload >> 16, type == ElementType::I8 ? static_cast<int8_t>(payload) : half(payload));
    break;
  case Opcode::Dotw: {
    const uint32_t further = payload & 0xffff;
    add(payload >> 16, 0);
    if (trigger.index[0] + further >= indices)
      trap("index_c1", trigger.pc, "indices " + std::to_string(trigger.index[0]) + " to " + std::to_string(trigger.index[0] + further) + ", but the source has " + std::to_string(rows) + " rows");
    trigger.values += further;
    break;
  }
  case Opcode::Addw:
    add(0, floatOf(payload));
    break;
  case Opcode::Fmacp:
  case Opcode::Fmacpm:
    add(implicitIndex, half(payload));
    if (isOfSameSum(1))
      add(implicitIndex + 1, half(payload >> 16));
    implicitIndex += trigger.values;
    break;
  case Opcode::Fmacq:
  case Opcode::Fmacqm:
    add(implicitIndex, static_cast<int8_t>(payload));
    for (unsigned i = 1; i < 4 && isOfSameSum(i); ++i)
      add(implicitIndex + i, static_cast<int8_t>(payload >> 8 * i));
    implicitIndex += trigger.values;
    break;
  case Opcode::Fmacx:
  case Opcode::Fmacxm:
    // The index waits, plus one, for its value.
    if (implicitIndex == 0) {
      implicitIndex = payload == UINT32_MAX ? payload : payload + 1;
    } else {
      add(implicitIndex - 1, floatOf(payload));
      implicitIndex = 0;
    }
    break;
  default:
    add(implicitIndex++, floatOf(payload));
    break;
  }
}

/// One of the rows, which dimension 0 tells apart.
static Descriptor rowOf(const Descriptor &rows, uint32_t index) {
  Descriptor row = rows;
  row.base += static_cast<uint32_t>(int64_t(index) * row.stride[0] * byteSize(elementType(row.type)));
  row.extent[0] = 1;
  return row;
}

static bool isZero(Number x) { return x.f == 0 && x.i == 0; }

Number CoreModel::elementAt(const Descriptor &descriptor, const Walk &at) const {
  const ElementType type = elementType(descriptor.type);
  return numberFromBits(type, loadBits(memory(descriptor.kind) + at.address(), byteSize(type)));
}

/// The dot product of the row that the trigger's index, and as many behind it, picks and its other row.
float CoreModel::dot(const Trigger &trigger, unsigned which) const {
  Walk a(rowOf(trigger.rows, trigger.index[0] + which)), b(trigger.row);
  // As many sums as the lanes of a 16-bit FMAC, whatever the machine has.
  float sums[8] = {};
  for (uint64_t j = 0, n = trigger.elementsPerRow(); j < n; ++j, a.next(), b.next()) {
    const Number x = elementAt(trigger.rows, a);
    const Number y = elementAt(trigger.row, b);
    sums[j % 8] = std::fma(x.f, y.f, sums[j % 8]);
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

uint32_t CoreModel::sumOnTheWay(const Trigger &trigger, unsigned which, uint32_t fabricBits) {
  if (!sram_)
    return 0;
  const uint32_t addend = trigger.addend.kind == wexe::DescKind::FabIn ? fabricBits : trigger.addend.imm;
  return bitsOf(canonicalNaN(floatOf(addend) + (trigger.insn.opcode == Opcode::Dotw ? dot(trigger, which) : trigger.value[0])));
}

std::vector<char> CoreModel::wanted(const Trigger &trigger) const {
  std::vector<char> wanted(trigger.elementsPerRow(), 1);
  if (!trigger.isMasked())
    return wanted;
  Walk mask(trigger.row);
  for (char &isWanted : wanted) {
    isWanted = !isZero(elementAt(trigger.row, mask));
    mask.next();
  }
  return wanted;
}

template <typename Function> void CoreModel::forEachProduct(const Trigger &trigger, unsigned which, Function function) const {
  Walk source(rowOf(trigger.rows, trigger.index[which])), target(rowOf(trigger.dst, trigger.sum[which]));
  for (char isWanted : wanted(trigger)) {
    const Number x = elementAt(trigger.rows, source);
    if (isWanted && !(trigger.insn.skip0 && isZero(x)))
      function(x, target);
    source.next();
    target.next();
  }
}

uint64_t CoreModel::products(const Trigger &trigger, unsigned which, double nonzeros) const {
  const uint64_t elements = trigger.elementsPerRow();
  if (!trigger.insn.skip0 && !trigger.isMasked())
    return elements;
  if (!sram_)
    return static_cast<uint64_t>(std::llround(nonzeros * static_cast<double>(elements)));
  uint64_t count = 0;
  forEachProduct(trigger, which, [&](Number, const Walk &) { ++count; });
  return count;
}

void CoreModel::fmac(const Trigger &trigger, unsigned which, uint64_t from, uint64_t to) {
  if (!sram_)
    return;
  const ElementType rowType = elementType(trigger.rows.type), dstType = elementType(trigger.dst.type);
  uint64_t number = 0;
  forEachProduct(trigger, which, [&](Number x, const Walk &target) {
    if (const uint64_t at = number++; at < from || at >= to)
      return;
    uint8_t *at = memory(trigger.dst.kind) + target.address();
    Number sum = numberFromBits(dstType, loadBits(at, byteSize(dstType)));
    uint32_t bits;
    if (isFloat(trigger.insn.type)) {
      bits = bitsFromNumber(dstType, {canonicalNaN(std::fma(trigger.value[which], x.f, sum.f)), 0});
    } else {
      // Modulo 2^32, so that additions may be made in any order.
      int32_t product = static_cast<int32_t>(trigger.value[which]) * convert(x, rowType, ElementType::I8).i;
      uint32_t total = static_cast<uint32_t>(convert(sum, dstType, ElementType::I32).i) + static_cast<uint32_t>(product);
      bits = bitsFromNumber(dstType, convert({0, static_cast<int32_t>(total)}, ElementType::I32, dstType));
    }
    std::memcpy(at, &bits, byteSize(dstType));
  });
}

} // namespace wafer
