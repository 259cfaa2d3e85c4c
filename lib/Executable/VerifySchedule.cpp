//===- VerifySchedule.cpp - tensors, functions, entries, steps ------------===//

#include "Verify.h"

#include "ScheduledTasks.h"
#include "wafer/Executable/Grids.h"

#include <algorithm>
#include <map>
#include <set>

namespace wafer {

namespace {

/// 128 bits hold offset + rows * stride of any 64-bit stride.
using Wide = __int128;

class Schedule {
public:
  explicit Schedule(VerifyContext &context)
      : context_(context), program_(context.program), machine_(context.machine), code_(context), commanded_(context.machine.colours) {}

  void checkTensors();
  void checkStarts();
  void checkEntries();

private:
  void checkUpdate(const wexe::TensorT &made, const std::string &where) const;
  void checkUpdatesOnce(const wexe::EntryT &entry, const std::string &where) const;
  void checkTensorList(const std::vector<uint32_t> &list, const char *what, const std::string &where) const;
  void checkFunctionPhase(const wexe::PhaseT &phase, const std::string &where) const;
  void checkGrid(const wexe::PhaseT &phase, const std::string &where);
  void checkStep(const wexe::PhaseT &phase, const wexe::StepT &step, const std::string &where);
  void checkTasks(const wexe::PhaseT &phase, const wexe::StepT &step, const std::string &where);
  void checkBlocks(const wexe::GridT &grid, const wexe::StepT &step, const std::string &where);
  void checkPorts(const wexe::GridT &grid, unsigned colour, bool leaves, const std::string &where);
  void checkPrologue(const wexe::PhaseT &phase, const std::string &where) const;
  void checkBeside(const wexe::PhaseT &phase, size_t number, const std::string &where) const;
  void checkContract(const wexe::GridT &grid, const wexe::StepT &step, const std::string &where) const;
  void checkSample(const wexe::GridT &grid, const wexe::StepT &step, const std::string &where);
  void checkGroupsAdded(const wexe::PhaseT &phase, const wexe::StepT &step, const std::string &where);
  std::pair<Wide, Wide> reach(const wexe::GridT &grid, const wexe::StepT &step, const std::string &where, const char *rule) const;
  void checkScale(const wexe::GridT &grid, const wexe::StepT &step, const std::string &where) const;
  void checkLink(const wexe::StepT &step, const std::string &where) const;
  void checkWire(const wexe::StepT &step, uint32_t block, const std::string &where) const;
  void checkCovers(const wexe::GridT &grid, uint64_t features, uint32_t block, const char *what, const std::string &where) const;
  const wexe::TensorT &tensor(int index, const char *what, const std::string &where) const;
  uint64_t commandedCores(unsigned colour, const CoreRange &range);

  VerifyContext &context_;
  const wexe::ProgramT &program_;
  const Machine &machine_;
  ScheduledCode code_;
  std::vector<uint64_t> elements_;               ///< by tensor
  std::vector<std::vector<uint32_t>> commanded_; ///< by colour: number of commanded cores above and left of a core, made when needed
  std::set<std::array<uint32_t, 6>> seenTasks_, seenPorts_; ///< questions that were answered already
};

void Schedule::checkUpdate(const wexe::TensorT &made, const std::string &where) const {
  const wexe::TensorT &state = tensor(made.updates, "state", where);
  bool isMade = made.role == wexe::Role::Output || made.role == wexe::Role::Intermediate;
  if (!isMade || state.role != wexe::Role::State || state.type != made.type || state.shape != made.shape)
    refuse(where, "updates " + quoted(state.name) + ", expected an output or intermediate that updates a state of its type and shape", "exe_c16");
}

/// Of a verified entry.
void Schedule::checkUpdatesOnce(const wexe::EntryT &entry, const std::string &where) const {
  std::set<uint32_t> made;
  for (const auto &phase : entry.phases) {
    made.insert(phase->outputs.begin(), phase->outputs.end());
    for (const auto &step : phase->steps)
      if (step->kind == wexe::StepKind::Receive)
        made.insert(static_cast<uint32_t>(step->tensor));
  }
  std::set<int> updated;
  for (uint32_t index : made)
    if (int state = program_.tensors[index]->updates; state >= 0 && !updated.insert(state).second)
      refuse(where, "makes two tensors that update " + quoted(program_.tensors[state]->name) + ", expected one", "exe_c16");
}

void Schedule::checkTensors() {
  for (size_t i = 0; i < program_.tensors.size(); ++i) {
    const wexe::TensorT &tensor = *program_.tensors[i];
    std::string where = entryName("tensors", i, tensor.name);
    if (unsigned(tensor.role) > unsigned(wexe::Role::State))
      refuse(where, "has unknown role " + std::to_string(unsigned(tensor.role)), "exe_c4");
    if (tensor.type == wexe::ElemType::None || unsigned(tensor.type) > unsigned(wexe::ElemType::I8))
      refuse(where, "has unknown type " + std::to_string(unsigned(tensor.type)), "exe_c4");
    uint64_t capacity = (machine_.memoryxDramBytes + machine_.memoryxFlashBytes) / elementBytes(tensor.type);
    uint64_t elements = 1;
    // A zero anywhere makes the tensor empty, whatever the other dimensions are.
    bool isEmpty = std::count(tensor.shape.begin(), tensor.shape.end(), 0u) != 0;
    for (uint64_t size : tensor.shape) {
      if (__builtin_mul_overflow(elements, isEmpty ? std::min<uint64_t>(size, 1) : size, &elements) || elements > capacity)
        refuse(where,
               "is larger than MemoryX of machine " + quoted(machine_.name) + ", which holds " + std::to_string(capacity) +
                   " such elements",
               "exe_c11");
    }
    if (tensor.dense_nonzeros > elements)
      refuse(where, "has " + std::to_string(tensor.dense_nonzeros) + " nonzeros among " + std::to_string(elements) + " elements",
             "exe_c11");
    elements_.push_back(elements);
    if (tensor.updates != -1)
      checkUpdate(tensor, where);
  }
}

const wexe::TensorT &Schedule::tensor(int index, const char *what, const std::string &where) const {
  if (index < 0 || size_t(index) >= program_.tensors.size())
    refuse(where,
           std::string("names ") + what + " " + std::to_string(index) + ", but there are " + std::to_string(program_.tensors.size()) +
               " tensors",
           "exe_c4");
  return *program_.tensors[index];
}

void Schedule::checkTensorList(const std::vector<uint32_t> &list, const char *what, const std::string &where) const {
  for (uint32_t index : list)
    if (index >= program_.tensors.size())
      refuse(where,
             std::string("names ") + what + " tensor " + std::to_string(index) + ", but there are " +
                 std::to_string(program_.tensors.size()),
             "exe_c4");
}

void Schedule::checkFunctionPhase(const wexe::PhaseT &phase, const std::string &where) const {
  if (phase.function < 0 || size_t(phase.function) >= program_.functions.size())
    refuse(where, "calls function " + std::to_string(phase.function) + ", but there are " + std::to_string(program_.functions.size()),
           "exe_c4");
  checkTensorList(phase.inputs, "input", where);
  checkTensorList(phase.outputs, "output", where);
  for (uint32_t index : phase.outputs)
    if (wexe::Role role = program_.tensors[index]->role; role == wexe::Role::Input || role == wexe::Role::State)
      refuse(where, "writes tensor " + quoted(program_.tensors[index]->name) + ", an input or state of the program", "exe_c12");
}

/// How many cores of the range are told what to do by `colour`: their router delivers it and it is their image's command colour.
uint64_t Schedule::commandedCores(unsigned colour, const CoreRange &range) {
  const ExpandedProgram &expanded = context_.expanded;
  std::vector<uint32_t> &sums = commanded_[colour];
  size_t pitch = machine_.width + 1;
  if (sums.empty()) {
    sums.assign(pitch * (machine_.height + 1), 0);
    for (uint32_t y = 0; y < machine_.height; ++y) {
      uint32_t row = 0;
      for (uint32_t x = 0; x < machine_.width; ++x) {
        uint16_t region = expanded.region(x, y);
        row += region != noRegion && program_.images[program_.regions[region]->image]->command_colour == colour &&
               (expanded.routes[colour].at(x, y).tx & bitOf(wexe::Dir::Ramp)) != 0;
        sums[(y + 1) * pitch + x + 1] = sums[y * pitch + x + 1] + row;
      }
    }
  }
  auto sum = [&](uint32_t x, uint32_t y) { return uint64_t(sums[y * pitch + x]); };
  return sum(range.x1, range.y1) + sum(range.x0, range.y0) - sum(range.x1, range.y0) - sum(range.x0, range.y1);
}

void Schedule::checkGrid(const wexe::PhaseT &phase, const std::string &where) {
  if (!phase.grid)
    refuse(where, "has no grid", "layout_c1");
  const wexe::GridT &grid = *phase.grid;
  if (grid.columns == 0 || grid.rows == 0 || grid.groups == 0 || grid.token_block == 0 || grid.tokens == 0 || grid.micro_batches == 0)
    refuse(where,
           "has a grid of " + std::to_string(grid.groups) + " groups of " + std::to_string(grid.columns) + "x" + std::to_string(grid.rows) +
               " cores, " + std::to_string(grid.token_block) + " tokens per core, " + std::to_string(grid.tokens) + " tokens and " +
               std::to_string(grid.micro_batches) + " micro-batches, expected each to be at least 1",
           "layout_c1");
  CoreRange cores = coresOf(grid);
  uint64_t x1 = uint64_t(grid.x0) + uint64_t(grid.columns) * grid.groups;
  if (x1 > machine_.width || cores.y1 > machine_.height)
    refuse(where,
           "has a grid that reaches core " + describeCore(uint32_t(x1 - 1), cores.y1 - 1) + ", but machine " + quoted(machine_.name) +
               " has " + std::to_string(machine_.width) + "x" + std::to_string(machine_.height) + " cores",
           "layout_c1");
  if (grid.batches == 0 || grid.tokens % grid.batches != 0)
    refuse(where, "divides " + std::to_string(grid.tokens) + " tokens into " + std::to_string(grid.batches) + " batch entries, expected a number that divides them",
           "layout_c3");
  if (grid.bands == 0 || grid.rows % grid.bands != 0)
    refuse(where, "divides " + std::to_string(grid.rows) + " rows into " + std::to_string(grid.bands) + " bands, expected a number that divides them", "layout_c5");
  if (grid.batches_at_once == 0 || grid.batches % grid.batches_at_once != 0 || placesOf(grid) % grid.batches_at_once != 0)
    refuse(where,
           "has " + std::to_string(grid.batches_at_once) + " of " + std::to_string(grid.batches) + " batch entries at a time on " + std::to_string(grid.groups) +
               " groups" + (grid.bands == 1 ? "" : " of " + std::to_string(grid.bands) + " bands") + ", expected a number that divides both",
           "layout_c4");
  if (grid.micro_batches % (grid.batches / grid.batches_at_once) != 0)
    refuse(where,
           "divides " + std::to_string(grid.micro_batches) + " micro-batches among " + std::to_string(grid.batches) + " batch entries, " +
               std::to_string(grid.batches_at_once) + " at a time, expected as many for each",
           "layout_c3");
  Wide room = Wide(grid.groups) * grid.rows * grid.token_block * grid.micro_batches;
  if (room < Wide(grid.tokens))
    refuse(where,
           "has room for " + std::to_string(uint64_t(room)) + " tokens in its micro-batches, expected at least " +
               std::to_string(grid.tokens),
           "exe_c13");

  uint64_t commanded = commandedCores(phase.command_colour, cores);
  uint64_t expected = uint64_t(cores.x1 - cores.x0) * (cores.y1 - cores.y0);
  if (commanded != expected)
    refuse(where,
           describeColour(context_.expanded, phase.command_colour) + " commands " + std::to_string(commanded) + " of the grid's " +
               std::to_string(expected) + " cores; each needs a region whose image has this command colour, and a route that delivers it",
           "exe_c14");
  checkPorts(grid, phase.command_colour, false, where);
}

void Schedule::checkPorts(const wexe::GridT &grid, unsigned colour, bool leaves, const std::string &where) {
  if (colour >= machine_.colours)
    refuse(where, "names colour " + std::to_string(colour) + ", expected less than the machine's " + std::to_string(machine_.colours),
           "route_c4");
  CoreRange cores = coresOf(grid);
  if (!seenPorts_.insert({cores.x0, cores.x1, colour, leaves, 0, 0}).second)
    return;
  for (uint32_t x = cores.x0; x < cores.x1; ++x) {
    RouteEntry entry = context_.expanded.routes[colour].at(x, leaves ? machine_.height - 1 : 0);
    bool connected = leaves ? (entry.tx & bitOf(wexe::Dir::S)) != 0 : entry.tx != 0 && entry.rx == wexe::Dir::N;
    if (!connected)
      refuse(where,
             describeColour(context_.expanded, colour) + " is not connected with the " + (leaves ? "output" : "input") +
                 " port of column " + std::to_string(x) + "; add a route at router " + describeCore(x, leaves ? machine_.height - 1 : 0) +
                 (leaves ? " with S in tx" : " with rx N"),
             "exe_c14");
  }
}

void Schedule::checkTasks(const wexe::PhaseT &phase, const wexe::StepT &step, const std::string &where) {
  for (const ScheduledTask &scheduled : scheduledTasks(*phase.grid, step)) {
    const CoreRange &range = scheduled.range;
    if (!seenTasks_.insert({range.x0, range.y0, range.x1, range.y1, scheduled.number, phase.command_colour}).second)
      continue;
    for (size_t r = 0; r < program_.regions.size(); ++r) {
      if (placesIn(*program_.regions[r]->rect, range).empty())
        continue;
      const wexe::ImageT &image = *program_.images[program_.regions[r]->image];
      auto task = std::find_if(image.tasks.begin(), image.tasks.end(), [&](const auto &candidate) {
        return candidate->kind == wexe::TaskKind::Control && candidate->number == scheduled.number;
      });
      if (task == image.tasks.end())
        refuse(where,
               "starts control task " + std::to_string(scheduled.number) + " as its " + scheduled.role + ", but image " +
                   quoted(image.name) + " of region " + quoted(program_.regions[r]->name) + " has none of that number",
               "task_c1");
      code_.check(unsigned(r), unsigned(task - image.tasks.begin()), range, where);
    }
  }
}

/// Tasks that cores run when they are loaded, at all cores that do.
void Schedule::checkStarts() {
  for (size_t r = 0; r < program_.regions.size(); ++r) {
    const wexe::RegionT &region = *program_.regions[r];
    const wexe::ImageT &image = *program_.images[region.image];
    for (size_t task = 0; image.start >= 0 && task < image.tasks.size(); ++task)
      if (image.tasks[task]->kind == wexe::TaskKind::Control && image.tasks[task]->number == image.start)
        code_.check(unsigned(r), unsigned(task), boundsOf(*region.rect), "start of " + entryName("images", region.image, image.name));
  }
}

void Schedule::checkCovers(const wexe::GridT &grid, uint64_t features, uint32_t block, const char *what, const std::string &where) const {
  if (uint64_t(grid.columns) * block < features)
    refuse(where,
           "lays " + std::to_string(features) + " " + what + " out in blocks of " + std::to_string(block) + " over " +
               std::to_string(grid.columns) + " columns, which hold " + std::to_string(uint64_t(grid.columns) * block),
           "layout_c1");
}

void Schedule::checkBlocks(const wexe::GridT &grid, const wexe::StepT &step, const std::string &where) {
  const wexe::TensorT &moved = tensor(step.tensor, "tensor", where);
  bool leaves = step.kind == wexe::StepKind::Receive;
  if (step.type == wexe::ElemType::None || unsigned(step.type) > unsigned(wexe::ElemType::I8) || elementBytes(step.type) == 1)
    refuse(where, "moves elements of type " + std::to_string(unsigned(step.type)) + ", expected one of 16 or 32 bits", "exe_c15");
  if (leaves && moved.role != wexe::Role::Output && moved.role != wexe::Role::Intermediate)
    refuse(where, "receives tensor " + quoted(moved.name) + ", which is neither an output nor an intermediate", "exe_c12");
  uint64_t features = step.columns != 0 ? step.columns : moved.shape.empty() ? 1 : moved.shape.back();
  if (leaves) // what comes may come in parts: verifyAcrossLoads
    checkCovers(grid, features, step.feature_block, "features", where);
  uint64_t elements = elements_[step.tensor];
  bool whole = features != 0 && elements % features == 0;
  uint64_t tokens = whole ? elements / features : 0;
  if (tokens == 0 || (leaves ? tokens != grid.tokens : grid.tokens % tokens != 0))
    refuse(where,
           "moves tensor " + quoted(moved.name) + " of " + std::to_string(elements) + " elements and " + std::to_string(features) +
               " features, but the grid has " + std::to_string(grid.tokens) + " tokens",
           "exe_c15");
  checkPorts(grid, step.colour, leaves, where);
}

void Schedule::checkWire(const wexe::StepT &step, uint32_t block, const std::string &where) const {
  if (unsigned(step.wire) > unsigned(wexe::WireFormat::Indexed32))
    refuse(where, "has unknown wire format " + std::to_string(unsigned(step.wire)), "exe_c4");
  bool wide = step.wire == wexe::WireFormat::Dense32 || step.wire == wexe::WireFormat::Indexed32, bytes = step.wire == wexe::WireFormat::Packed8 || (step.wire == wexe::WireFormat::Indexed16 && step.type == wexe::ElemType::I8);
  bool halves = step.type == wexe::ElemType::F16 || step.type == wexe::ElemType::BF16;
  if (wide ? step.type != wexe::ElemType::F32 : bytes ? step.type != wexe::ElemType::I8 : !halves)
    refuse(where,
           std::string("sends weights of type ") + std::to_string(unsigned(step.type)) + ", expected " +
               (wide ? "f32" : bytes ? "i8" : "f16 or bf16") + " in wire format " + wexe::EnumNameWireFormat(step.wire),
           "wire_c1");
  if (bytes && (step.kind != wexe::StepKind::Contract || step.bias != -1))
    refuse(where, "sends 8-bit weights to a scale or with a bias, expected a contract without: both are wider than the weights", "wire_c1");
  if (step.wire == wexe::WireFormat::Indexed16 && block > 65536)
    refuse(where, "has feature block " + std::to_string(block) + ", expected at most 65536 where a wavelet carries a 16-bit index",
           "wire_c1");
}

void Schedule::checkLink(const wexe::StepT &step, const std::string &where) const {
  if (unsigned(step.link) > unsigned(wexe::LinkFormat::Blocks))
    refuse(where, "has unknown link format " + std::to_string(unsigned(step.link)), "exe_c4");
  const bool structured = step.link == wexe::LinkFormat::Structured, sized = structured || step.link == wexe::LinkFormat::Blocks;
  if (sized ? step.link_size < 2 : step.link_size != 0)
    refuse(where, "has link_size " + std::to_string(step.link_size) + ", expected " + (sized ? "at least 2" : "none") + " in link format " + wexe::EnumNameLinkFormat(step.link), "link_c1");
  if (structured ? step.link_kept < 1 || step.link_kept >= step.link_size : step.link_kept != 0)
    refuse(where, "has link_kept " + std::to_string(step.link_kept) + ", expected " + (structured ? "1 to link_size - 1" : "none") + " in link format " + wexe::EnumNameLinkFormat(step.link), "link_c1");
}

/// First and last element that rows, columns and batch entries of a step reach in its tensor.
std::pair<Wide, Wide> Schedule::reach(const wexe::GridT &grid, const wexe::StepT &step, const std::string &where, const char *rule) const {
  if (step.batch_sizes.size() != step.batch_strides.size())
    refuse(where,
           "has " + std::to_string(step.batch_sizes.size()) + " batch sizes and " + std::to_string(step.batch_strides.size()) +
               " batch strides, expected as many",
           rule);
  Wide entries = 1, batchLow = 0, batchHigh = 0;
  for (size_t d = 0; d < step.batch_sizes.size(); ++d) {
    entries *= step.batch_sizes[d];
    if (entries == 0 || entries > Wide(grid.batches))
      break;
    Wide reach = Wide(step.batch_sizes[d] - 1) * step.batch_strides[d];
    batchLow += std::min<Wide>(reach, 0);
    batchHigh += std::max<Wide>(reach, 0);
  }
  if (!step.batch_sizes.empty() && grid.bands > 1)
    refuse(where, "has batch sizes on a grid of " + std::to_string(grid.bands) + " bands, expected none: all rows of a column are streamed the same", "layout_c5");
  if (!step.batch_sizes.empty() && entries != Wide(grid.batches))
    refuse(where, "has batch sizes that do not make the grid's " + std::to_string(grid.batches) + " batch entries", rule);
  Wide rowReach = Wide(step.rows - 1) * step.row_stride, columnReach = Wide(step.columns - 1) * step.column_stride;
  return {batchLow + Wide(step.offset) + std::min<Wide>(rowReach, 0) + std::min<Wide>(columnReach, 0),
          batchHigh + Wide(step.offset) + std::max<Wide>(rowReach, 0) + std::max<Wide>(columnReach, 0)};
}

void Schedule::checkContract(const wexe::GridT &grid, const wexe::StepT &step, const std::string &where) const {
  const wexe::TensorT &weight = tensor(step.tensor, "weight", where);
  checkWire(step, step.feature_block, where);
  checkLink(step, where);
  if (step.rows == 0 || step.columns == 0 || step.feature_block == 0 || step.out_block == 0)
    refuse(where,
           "contracts " + std::to_string(step.columns) + " features to " + std::to_string(step.rows) + " in blocks of " +
               std::to_string(step.feature_block) + " and " + std::to_string(step.out_block) + ", expected each to be at least 1",
           "exe_c15");
  if (step.input_zeros > 1000)
    refuse(where, "expects " + std::to_string(step.input_zeros) + " thousandths of its input to be zero, expected at most 1000", "exe_c15");
  if (step.output_zeros > 1000)
    refuse(where, "expects its mask to hide " + std::to_string(step.output_zeros) + " thousandths of its results, expected at most 1000", "exe_c15");
  if (step.rows_together == 0 || (step.rows_together > 1 && (step.output_zeros > 0 || !step.batch_sizes.empty())))
    refuse(where, "has " + std::to_string(step.rows_together) + " rows together, expected at least one, and no more with a mask or batch sizes", "exe_c21");
  if (step.wire == wexe::WireFormat::Indexed16 && uint64_t(step.feature_block) * step.rows_together > 65536)
    refuse(where, "sends an index of 16 bits for " + std::to_string(step.rows_together) + " rows of " + std::to_string(step.feature_block) + " features, expected at most 65536 in all", "exe_c21");
  if (step.guard != -1 && tensor(step.guard, "guard", where).role == wexe::Role::Weight)
    refuse(where, "is guarded by weight " + quoted(program_.tensors[step.guard]->name) + ", expected a tensor that an earlier phase or the caller gives", "exe_c15");
  checkCovers(grid, step.columns, step.feature_block, "input features", where);
  checkCovers(grid, step.rows, step.out_block, "output features", where);
  const auto [first, last] = reach(grid, step, where, "exe_c15");
  if (first < 0 || last >= Wide(elements_[step.tensor]))
    refuse(where,
           "reads outside weight " + quoted(weight.name) + " of " + std::to_string(elements_[step.tensor]) + " elements: offset " +
               std::to_string(step.offset) + ", " + std::to_string(step.rows) + " rows of stride " + std::to_string(step.row_stride) +
               ", " + std::to_string(step.columns) + " columns of stride " + std::to_string(step.column_stride) +
               (step.batch_sizes.empty() ? "" : ", for " + std::to_string(grid.batches) + " batch entries"),
           "exe_c15");
  if (step.bias != -1 && (tensor(step.bias, "bias", where), elements_[step.bias] < step.rows))
    refuse(where,
           "needs " + std::to_string(step.rows) + " elements of bias " + quoted(program_.tensors[step.bias]->name) + ", which has " +
               std::to_string(elements_[step.bias]),
           "exe_c15");
}

/// (exe_c17) What it makes, and the pattern, are as large and lie in blocks that fit.
void Schedule::checkSample(const wexe::GridT &grid, const wexe::StepT &step, const std::string &where) {
  const wexe::TensorT &made = tensor(step.tensor, "tensor", where);
  if ((made.role != wexe::Role::Output && made.role != wexe::Role::Intermediate) || made.type != wexe::ElemType::F32)
    refuse(where, "makes tensor " + quoted(made.name) + ", expected an output or an intermediate of f32", "exe_c17");
  if (step.pattern != -1 && (tensor(step.pattern, "pattern", where).type != wexe::ElemType::I8 || elements_[step.pattern] != elements_[step.tensor]))
    refuse(where,
           "has the pattern " + quoted(program_.tensors[step.pattern]->name) + " of " + std::to_string(elements_[step.pattern]) + " elements, expected " +
               std::to_string(elements_[step.tensor]) + " of i8, as many as it makes",
           "exe_c17");
  if (step.rows == 0 || step.columns == 0 || step.feature_block == 0 || step.out_block == 0 || step.feature_block > 65536)
    refuse(where,
           "makes " + std::to_string(step.rows) + " rows of " + std::to_string(step.columns) + " in blocks of " + std::to_string(step.out_block) + " and " +
               std::to_string(step.feature_block) + ", expected each to be at least 1, and a block that a 16-bit index reaches",
           "exe_c17");
  checkCovers(grid, step.columns, step.feature_block, "input features", where);
  checkCovers(grid, step.rows, step.out_block, "output features", where);
  if (!step.batch_sizes.empty() && step.pattern != -1)
    refuse(where, "has a pattern and sums for each batch entry, expected one of the two", "exe_c17");
  const auto [first, last] = reach(grid, step, where, "exe_c17");
  if (first < 0 || last >= Wide(elements_[step.tensor]))
    refuse(where, "writes outside tensor " + quoted(made.name) + " of " + std::to_string(elements_[step.tensor]) + " elements", "exe_c17");
}

/// (exe_c19) Which groups' sums leave, and where.
void Schedule::checkGroupsAdded(const wexe::PhaseT &phase, const wexe::StepT &step, const std::string &where) {
  const wexe::GridT &grid = *phase.grid;
  if (step.groups_added && (grid.groups < 2 || (!step.batch_sizes.empty() && grid.batches_at_once > 1)))
    refuse(where, "adds sums of " + std::to_string(grid.groups) + " groups on the wafer, expected several, and none that hold batch entries with sums of their own at a time", "exe_c19");
  for (const auto &other : phase.steps)
    if (other->kind == wexe::StepKind::Sample && other->colour == step.colour && other->groups_added != step.groups_added)
      refuse(where, "and step " + quoted(other->name) + " make sums on " + describeColour(context_.expanded, step.colour) + ", but groups are added for one of them only", "exe_c19");
  wexe::GridT ports = grid;
  if (step.groups_added) {
    ports.x0 += (grid.groups - 1) * grid.columns;
    ports.groups = 1;
  }
  checkPorts(ports, step.colour, true, where);
}

void Schedule::checkScale(const wexe::GridT &grid, const wexe::StepT &step, const std::string &where) const {
  checkWire(step, step.out_block, where);
  if (step.rows == 0 || step.out_block == 0)
    refuse(where,
           "scales " + std::to_string(step.rows) + " features in blocks of " + std::to_string(step.out_block) +
               ", expected each to be at least 1",
           "exe_c15");
  checkCovers(grid, step.rows, step.out_block, "features", where);
  for (int index : {step.tensor, step.bias})
    if (index != -1 && (tensor(index, "tensor", where), elements_[index] < step.rows))
      refuse(where,
             "needs " + std::to_string(step.rows) + " elements of " + quoted(program_.tensors[index]->name) + ", which has " +
                 std::to_string(elements_[index]),
             "exe_c15");
}

void Schedule::checkStep(const wexe::PhaseT &phase, const wexe::StepT &step, const std::string &where) {
  switch (step.kind) {
  case wexe::StepKind::Send:
  case wexe::StepKind::Receive:
    checkBlocks(*phase.grid, step, where);
    break;
  case wexe::StepKind::Contract:
    checkContract(*phase.grid, step, where);
    break;
  case wexe::StepKind::Scale:
    checkScale(*phase.grid, step, where);
    break;
  case wexe::StepKind::Sample:
    checkSample(*phase.grid, step, where);
    checkGroupsAdded(phase, step, where);
    break;
  case wexe::StepKind::Command:
    break;
  default:
    refuse(where, "has unknown kind " + std::to_string(unsigned(step.kind)), "exe_c4");
  }
  checkTasks(phase, step, where);
}

/// (exe_c18) Only what is sent can be left out later on: it stays in SRAM.
void Schedule::checkPrologue(const wexe::PhaseT &phase, const std::string &where) const {
  size_t sends = 0;
  while (sends < phase.steps.size() && phase.steps[sends]->kind == wexe::StepKind::Send)
    ++sends;
  if (phase.prologue > sends || (phase.prologue > 0 && phase.prologue == phase.steps.size()))
    refuse(where, "has a prologue of " + std::to_string(phase.prologue) + " steps, expected at most the " + std::to_string(sends) + " sends it begins with, and other steps behind them", "exe_c18");
}

/// (exe_c22) One send at a time, and all of it before its cores have other work or another load.
void Schedule::checkBeside(const wexe::PhaseT &phase, size_t number, const std::string &where) const {
  const uint32_t beside = phase.steps[number]->beside;
  if (beside == 0)
    return;
  size_t others = 0;
  while (number + 1 + others < phase.steps.size() && phase.steps[number + 1 + others]->kind != wexe::StepKind::Send)
    ++others;
  if (phase.steps[number]->kind != wexe::StepKind::Send || number < phase.prologue || beside > others)
    refuse(where, "goes beside " + std::to_string(beside) + " steps, expected a send behind the prologue and at most the " + std::to_string(others) + " steps that follow without a send", "exe_c22");
}

void Schedule::checkEntries() {
  for (size_t e = 0; e < program_.entries.size(); ++e) {
    const wexe::EntryT &entry = *program_.entries[e];
    std::string where = entryName("entries", e, entry.name);
    checkTensorList(entry.inputs, "input", where);
    checkTensorList(entry.outputs, "output", where);
    for (uint32_t index : entry.inputs)
      if (program_.tensors[index]->role != wexe::Role::Input)
        refuse(where, "takes tensor " + quoted(program_.tensors[index]->name) + ", whose role is not input", "exe_c12");
    for (uint32_t index : entry.outputs)
      if (program_.tensors[index]->role != wexe::Role::Output)
        refuse(where, "gives tensor " + quoted(program_.tensors[index]->name) + ", whose role is not output", "exe_c12");
    for (size_t p = 0; p < entry.phases.size(); ++p) {
      const wexe::PhaseT &phase = *entry.phases[p];
      std::string place = where + " phase " + std::to_string(p);
      if (phase.kind == wexe::PhaseKind::Function) {
        checkFunctionPhase(phase, place);
        continue;
      }
      if (phase.kind != wexe::PhaseKind::Wafer)
        refuse(place, "has unknown kind " + std::to_string(unsigned(phase.kind)), "exe_c4");
      checkGrid(phase, place);
      checkPrologue(phase, place);
      for (size_t s = 0; s < phase.steps.size(); ++s) {
        const std::string step = place + " step " + std::to_string(s) + " (" + quoted(phase.steps[s]->name) + ")";
        checkStep(phase, *phase.steps[s], step);
        checkBeside(phase, s, step);
      }
    }
    checkUpdatesOnce(entry, where);
  }
}

} // namespace

void verifySchedule(VerifyContext &context) {
  Schedule schedule(context);
  schedule.checkTensors();
  schedule.checkStarts();
  schedule.checkEntries();
}

} // namespace wafer
