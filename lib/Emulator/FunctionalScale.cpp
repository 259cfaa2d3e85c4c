//===- FunctionalScale.cpp - features that are scaled one command each --------===//

#include "FunctionalScale.h"

#include "FunctionalKernels.h"

namespace wafer {

/// What a command does once the weights before it are multiplied; registers are those that it names.
struct FunctionalScale::Task {
  enum Kind {
    Other,
    Exchange, ///< rows <-> ones, for the beta
    Own       ///< result = 0 + sum; sum = 0; result += step bytes; sum <-> otherSum; maybe rows <-> ones; rows += rowStep bytes
  } kind = Other;
  uint32_t number = 0;
  uint16_t pc = 0;
  uint8_t zero = 0, otherSum = 0, result = 0, ones = 0;
  bool exchangesRows = false;
  int16_t step = 0, rowStep = 0;
  unsigned instructions = 0; ///< with its end
};

struct FunctionalScale::Feature {
  float gamma = 0, beta = 0;
  bool hasBeta = false;
  uint32_t row = 0, result = 0; ///< byte addresses in all cores
};

struct FunctionalScale::Column : FunctionalColumn {
  Burst ports; ///< no more of it
  bool isReady = false;
  std::vector<Task> tasks;
  const Task *own = nullptr;
  const Task *beta = nullptr;
  Descriptor row, result, ones; ///< of the feature that comes next
  Footprint rows, results;      ///< that are used
  std::vector<Feature> taken;
  uint64_t weights = 0, instructions = 0; ///< instructions of one core
  bool hasBeta = false;
  uint32_t last = 0; ///< command
};

FunctionalScale::FunctionalScale(const LoadedProgram &program, FunctionalRouting &routing, const std::vector<std::unique_ptr<FunctionalBatch>> &batches, Crew &crew)
    : program_(program), routing_(routing), batches_(batches), crew_(crew) {}
FunctionalScale::~FunctionalScale() = default;

namespace {

bool isSimpleRow(const Descriptor &descriptor, size_t elements) {
  return isMemory(descriptor) && descriptor.kind != wexe::DescKind::Acc && (descriptor.type == wexe::ElemType::F32 || descriptor.type == wexe::ElemType::F16) &&
         isContiguous(descriptor) && descriptor.elements() == elements;
}

void include(Footprint &all, const Footprint &one, bool isFirst) {
  if (isFirst)
    all = one;
  all.low = std::min(all.low, one.low);
  all.high = std::max(all.high, one.high);
}

} // namespace

FunctionalScale::Column *FunctionalScale::columnOf(const Burst &burst) {
  std::unique_ptr<Column> &column = columns_[burst.firstPort];
  if (!column) {
    column = std::make_unique<Column>();
    column->ports = burst;
    // Ports of another column would have two that think they are theirs.
    auto hasPort = [&](const Burst &ports, unsigned port) {
      return port >= ports.firstPort && (port - ports.firstPort) % ports.portStep == 0 && (port - ports.firstPort) / ports.portStep < ports.portCount;
    };
    bool isApart = burst.portStep > 0;
    for (const auto &[first, other] : columns_)
      for (unsigned i = 0; other != column && isApart && i < burst.portCount; ++i)
        isApart = !other->isReady || !hasPort(other->ports, burst.firstPort + i * burst.portStep);
    column->isReady = isApart && prepare(*column, burst);
  }
  const Burst &ports = column->ports;
  return column->isReady && ports.colour == burst.colour && ports.portStep == burst.portStep && ports.portCount == burst.portCount ? column.get() : nullptr;
}

bool FunctionalScale::prepare(Column &column, const Burst &burst) {
  for (unsigned i = 0; i < burst.portCount; ++i) {
    const unsigned port = burst.firstPort + i * burst.portStep;
    if (port >= program_.machine().width || !column.addCores(routing_.targetOfPort(static_cast<uint16_t>(port), burst.colour), batches_))
      return false;
  }
  if (!column.bindProducts() || column.sums != 1 || column.trigger.insn.skip0)
    return false;
  column.row = column.trigger.rows;
  return column.row.extent[0] == 1 && isSimpleRow(column.row, column.each);
}

/// Null for a command that is none of a scale, or of another one than those before.
const FunctionalScale::Task *FunctionalScale::taskOf(Column &column, uint32_t number) {
  for (const Task &known : column.tasks)
    if (known.number == number)
      return known.kind == Task::Other ? nullptr : &known;
  column.tasks.reserve(4); // pointers to them are kept
  if (column.tasks.size() == column.tasks.capacity())
    return nullptr;
  Task &task = column.tasks.emplace_back();
  task.number = number;
  const CoreModel &core = column.first();
  const auto begin = core.image.controlTasks.find(number & 0xffff);
  if (begin == core.image.controlTasks.end())
    return nullptr;
  task.pc = begin->second;
  constexpr size_t most = 6;
  std::vector<Instruction> code;
  for (uint16_t at = task.pc; core.at(at).opcode != Opcode::End; ++at) {
    if (code.size() == most)
      return nullptr;
    code.push_back(core.at(at));
  }
  task.instructions = static_cast<unsigned>(code.size() + 1);
  const uint8_t sum = column.trigger.insn.dst, rows = column.trigger.insn.src0;
  auto isExchange = [](const Instruction &insn, uint8_t reg, uint8_t &other) {
    if (insn.opcode != Opcode::Swapd || (insn.dst != reg && insn.src0 != reg))
      return false;
    other = insn.dst == reg ? insn.src0 : insn.dst;
    return other != reg;
  };
  if (code.size() == 1 && isExchange(code[0], rows, task.ones)) {
    if (column.beta || !column.isUniform(task.ones) || !isSimpleRow(column.at(task.ones), column.each) || column.at(task.ones).type != column.row.type ||
        column.at(task.ones).extent[0] != 1)
      return nullptr;
    column.ones = column.at(task.ones);
    task.kind = Task::Exchange;
    return column.beta = &task;
  }
  if (column.own || code.size() < 4 || code[0].opcode != Opcode::Add || code[0].type != ElementType::F32 || !code[0].clear1 || code[0].src1 != sum ||
      code[1].opcode != Opcode::Addd || code[1].dst != code[0].dst || !isExchange(code[2], sum, task.otherSum))
    return nullptr;
  task.exchangesRows = code.size() == 5;
  const Instruction &advance = code.back();
  if (code.size() > 5 || (task.exchangesRows && !isExchange(code[3], rows, task.ones)) || advance.opcode != Opcode::Addd || advance.dst != rows)
    return nullptr;
  task.zero = code[0].src0;
  task.result = code[0].dst;
  task.step = code[1].offset;
  task.rowStep = advance.offset;
  if (!column.isUniform(task.zero) || !column.isUniform(task.otherSum) || !column.isUniform(task.result) || !isZeroConstant(column.at(task.zero)) ||
      !isRowOfFloats(column.at(task.otherSum), column.each) || !column.isZero(column.at(task.otherSum)) || !isSimpleRow(column.at(task.result), column.each) ||
      footprintOf(column.at(task.otherSum)).overlaps(column.trigger.writes))
    return nullptr;
  column.result = column.at(task.result);
  task.kind = Task::Own;
  return column.own = &task;
}

bool FunctionalScale::weightOf(const Column &column, const FunctionalStream::Part &part, float &weight) {
  if (part.count == 0 || !decodeWeights(column.trigger, part.data, part.count, 0, weights_) || weights_.values.size() != 1 || (!weights_.rows.empty() && weights_.rows[0] != 0))
    return false;
  weight = weights_.values[0];
  return true;
}

/// Whether a row may be where this one is: nothing else that a feature uses is there, and the core does not trap.
bool FunctionalScale::isFree(const Column &column, const Descriptor &row) const {
  const Footprint place = footprintOf(row);
  return row.base <= UINT16_MAX && place.low >= column.first().image.dataStart && place.high <= program_.machine().sramBytes &&
         row.base % byteSize(elementType(row.type)) == 0 && !place.overlaps(column.trigger.writes) && !place.overlaps(footprintOf(column.at(column.own->otherSum))) &&
         (!column.beta || !place.overlaps(footprintOf(column.ones)));
}

/// All features that were taken, core by core: each works on its own memory, from the first to the last.
void FunctionalScale::compute(const Column &column) {
  const size_t n = column.each;
  std::vector<float> sums(n);
  for (FunctionalCore *core : column.cores) {
    const CoreModel &model = core->model;
    uint8_t *rows = model.memory(column.row.kind), *results = model.memory(column.result.kind);
    const uint8_t *ones = column.hasBeta ? model.memory(column.ones.kind) + column.ones.base : nullptr;
    for (const Feature &feature : column.taken) {
      const RowWeight weights[2] = {{rows + feature.row, feature.gamma}, {ones, feature.beta}};
      std::fill(sums.begin(), sums.end(), 0.0f);
      fmacRun(sums.data(), n, weights, feature.hasBeta ? 2 : 1, elementType(column.row.type), false);
      arithmeticWithScalar(Arithmetic::Add, 0, sums.data(), sums.data(), n);
      if (column.result.type == wexe::ElemType::F16)
        narrowF16(sums.data(), results + feature.result, n);
      else
        std::memcpy(results + feature.result, sums.data(), n * sizeof(float));
    }
  }
}

/// Takes the next feature if it is one that can be. False: there is none.
bool FunctionalScale::takeFeature(FunctionalStream &stream) {
  const FunctionalStream::Part *part = stream.peek(0);
  if (!part || !part->burst.control || part->count == 0)
    return false;
  Column *column = columnOf(part->burst);
  const Task *task = column ? taskOf(*column, *part->burst.control) : nullptr;
  float gamma = 0, beta = 0;
  if (!task || !weightOf(*column, *part, gamma))
    return false;
  const bool hasBeta = task->kind == Task::Exchange;
  size_t wavelets = part->count;
  if (hasBeta) {
    const FunctionalStream::Part *next = stream.peek(1);
    const Burst &ports = column->ports;
    if (!next || !next->burst.control || next->burst.colour != ports.colour || next->burst.firstPort != ports.firstPort || next->burst.portStep != ports.portStep ||
        next->burst.portCount != ports.portCount || !weightOf(*column, *next, beta))
      return false;
    const Task *own = taskOf(*column, *next->burst.control);
    if (!own || own->kind != Task::Own || own->ones != task->ones)
      return false;
    wavelets += next->count;
    task = own;
  }
  if (task->exchangesRows != hasBeta || !isFree(*column, column->row) || !isFree(*column, column->result))
    return false;
  include(column->rows, footprintOf(column->row), column->taken.empty());
  include(column->results, footprintOf(column->result), column->taken.empty());
  column->taken.push_back({gamma, beta, hasBeta, column->row.base, column->result.base});
  column->row.base = static_cast<uint32_t>(static_cast<int64_t>(column->row.base) + task->rowStep) & 0xffff;
  column->result.base = static_cast<uint32_t>(static_cast<int64_t>(column->result.base) + task->step) & 0xffff;
  column->hasBeta |= hasBeta;
  column->weights += hasBeta ? 2 : 1;
  column->instructions += 2 * wavelets + task->instructions + (hasBeta ? 2 : 0); // the exchange and its end
  column->last = task->number;
  wavelets_ += wavelets + 1 + hasBeta;
  for (int i = 0; i <= hasBeta; ++i)
    stream.skip();
  return true;
}

/// Leaves the cores as their own work would have.
void FunctionalScale::finish(Column &column, EngineStats &stats) {
  const Task &own = *column.own;
  const uint64_t taken = column.taken.size();
  for (FunctionalCore *core : column.cores) {
    CoreModel &model = core->model;
    model.noteUse(column.trigger.writes);
    if (taken > 1)
      model.noteUse(footprintOf(column.at(own.otherSum)));
    model.noteUse(column.rows);
    model.noteUse(column.results);
    if (column.hasBeta)
      model.noteUse(footprintOf(column.ones));
  }
  for (FunctionalCore *core : column.cores) {
    CoreModel &model = core->model;
    model.advance(own.result, static_cast<int64_t>(taken) * own.step, own.pc);
    model.advance(column.trigger.insn.src0, static_cast<int64_t>(taken) * own.rowStep, own.pc);
    if (taken % 2 == 1)
      model.control(exchange(column.trigger.insn.dst, own.otherSum), own.pc);
    model.startControlTask(column.last);
  }
  stats.featuresTogether += taken;
  stats.instructions += column.instructions * column.cores.size();
  stats.elementOps += taken * column.numbers();
  column.first().count(column.weights * column.numbers(), stats);
}

bool FunctionalScale::run(FunctionalStream &stream, EngineStats &stats) {
  if (stream.peekRow())
    return false;
  columns_.clear();
  wavelets_ = 0;
  bool any = false;
  while (!stream.peekRow() && takeFeature(stream))
    any = true;
  std::vector<Column *> taken;
  for (const auto &[first, column] : columns_)
    if (!column->taken.empty())
      taken.push_back(column.get());
  crew_.forEach(taken.size(), [&](size_t i) { compute(*taken[i]); });
  for (Column *column : taken)
    finish(*column, stats);
  columns_.clear();
  stats.waveletsIn += wavelets_;
  return any;
}

} // namespace wafer
