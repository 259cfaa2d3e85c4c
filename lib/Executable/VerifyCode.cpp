//===- VerifyCode.cpp - which descriptors reach which instruction ---------===//
//
// Tasks are straight lines, but the order in which they run is the stream's. So for each register we keep the set of templates that it may
// hold when a task begins: what any task may leave in it. Where an instruction's register has one possibility only, its rules are checked
// here; where there are several, a rule is checked if all of them break it, and the engines trap otherwise.
//
//===----------------------------------------------------------------------===//

#include "Verify.h"

#include <algorithm>
#include <set>

namespace wafer {

namespace {

/// A set of templates of one image.
class TemplateSet {
public:
  TemplateSet() = default;
  explicit TemplateSet(size_t templates) : words_((templates + 63) / 64) {}

  void become(unsigned index) {
    std::fill(words_.begin(), words_.end(), 0);
    words_[index / 64] = uint64_t(1) << (index % 64);
  }
  /// Returns whether anything was new.
  bool add(const TemplateSet &other) {
    uint64_t fresh = 0;
    for (size_t i = 0; i < words_.size(); ++i) {
      fresh |= other.words_[i] & ~words_[i];
      words_[i] |= other.words_[i];
    }
    return fresh != 0;
  }
  template <typename Function> void forEach(Function function) const {
    for (size_t i = 0; i < words_.size(); ++i)
      for (uint64_t rest = words_[i]; rest != 0; rest &= rest - 1)
        function(unsigned(i * 64 + __builtin_ctzll(rest)));
  }
  bool empty() const {
    return std::all_of(words_.begin(), words_.end(), [](uint64_t word) { return word == 0; });
  }
  /// The only member, or unknownTemplate.
  int only() const {
    int found = unknownTemplate;
    unsigned count = 0;
    forEach([&](unsigned index) {
      found = int(index);
      ++count;
    });
    return count == 1 ? found : unknownTemplate;
  }

private:
  std::vector<uint64_t> words_;
};

using Registers = std::vector<TemplateSet>;

void applyControl(const Instruction &insn, Registers &registers) {
  if (insn.opcode == Opcode::Ldd)
    registers[insn.dst].become(insn.descriptorTemplate);
  else if (insn.opcode == Opcode::Swapd && insn.dst != insn.src0)
    std::swap(registers[insn.dst], registers[insn.src0]);
}

std::array<uint8_t, 3> sourcesOf(const Instruction &insn) { return {insn.src0, insn.src1, insn.src2}; }

bool fitsDestination(wexe::DescKind kind) { return isMemory(kind) || kind == wexe::DescKind::FabOut; }
bool fitsSource(wexe::DescKind kind) { return kind != wexe::DescKind::FabOut; }

/// Rules of one image, as far as no region changes the templates concerned.
class ImageCode {
public:
  ImageCode(VerifyContext &context, unsigned image, std::vector<bool> overridden)
      : context_(context), image_(image), source_(*context.program.images[image]), code_(context.code[image]),
        overridden_(std::move(overridden)) {}

  ImageFlow run();

private:
  void solve();
  void examine(const wexe::TaskT &task, unsigned pc, const Registers &registers, std::vector<ResolvedInstruction> &resolved);
  void expectLoaded(const std::string &task, unsigned pc, unsigned reg, const Registers &registers) const;
  /// Whether some template of the set may have a kind that fits; templates that a region overrides may.
  template <typename Fits> bool mayFit(const TemplateSet &set, Fits fits) const {
    bool may = false;
    set.forEach([&](unsigned index) { may |= overridden_[index] || fits(source_.descriptors[index]->kind); });
    return may;
  }
  void checkElements(const ResolvedInstruction &insn, unsigned sources, const std::string &what) const;

  VerifyContext &context_;
  unsigned image_;
  const wexe::ImageT &source_;
  const std::vector<Instruction> &code_;
  std::vector<bool> overridden_;
  Registers atEntry_;
  ImageFlow flow_;
};

void ImageCode::solve() {
  atEntry_.assign(numDescriptorRegisters, TemplateSet(source_.descriptors.size()));
  for (bool changed = true; changed;) {
    changed = false;
    for (const auto &task : source_.tasks) {
      Registers registers = atEntry_;
      for (size_t pc = task->pc; code_[pc].opcode != Opcode::End; ++pc)
        applyControl(code_[pc], registers);
      for (unsigned reg = 0; reg < numDescriptorRegisters; ++reg)
        changed |= atEntry_[reg].add(registers[reg]);
    }
  }
}

void ImageCode::expectLoaded(const std::string &task, unsigned pc, unsigned reg, const Registers &registers) const {
  if (registers[reg].empty())
    refuse(describeInstruction(context_, image_, task, pc),
           "uses d" + std::to_string(reg) + ", which no task of the image loads; add a 'ldd d" + std::to_string(reg) + ", ...' before it",
           "desc_c2");
}

void ImageCode::checkElements(const ResolvedInstruction &insn, unsigned sources, const std::string &what) const {
  auto known = [&](int index) { return index != unknownTemplate && !overridden_[index]; };
  if (!known(insn.dst))
    return;
  Descriptor dst = plainDescriptor(*source_.descriptors[insn.dst]).at(0, 0);
  for (unsigned s = 0; s < sources; ++s) {
    if (!known(insn.src[s]))
      continue;
    Descriptor src = plainDescriptor(*source_.descriptors[insn.src[s]]).at(0, 0);
    if (src.kind == wexe::DescKind::Const)
      continue;
    if (src.elements() != dst.elements())
      refuse(what,
             "writes " + std::to_string(dst.elements()) + " elements from a source of " + std::to_string(src.elements()) +
                 ", expected as many",
             "vec_c1");
    if (isMemory(src.kind) && isMemory(dst.kind) && !std::equal(src.extent, src.extent + 4, dst.extent))
      refuse(what, "has memory operands of different extents", "vec_c1");
  }
}

void ImageCode::examine(const wexe::TaskT &task, unsigned pc, const Registers &registers, std::vector<ResolvedInstruction> &resolved) {
  const Instruction &insn = code_[pc];
  if (insn.opcode == Opcode::Swapd || insn.opcode == Opcode::Addd) {
    expectLoaded(task.name, pc, insn.dst, registers);
    if (insn.opcode == Opcode::Swapd)
      expectLoaded(task.name, pc, insn.src0, registers);
  }
  InsnClass kind = insnClass(insn.opcode);
  if (kind == InsnClass::Control)
    return;

  std::string what = describeInstruction(context_, image_, task.name, pc);
  unsigned sources = numSources(insn.opcode);
  ResolvedInstruction result;
  result.pc = uint16_t(pc);
  expectLoaded(task.name, pc, insn.dst, registers);
  registers[insn.dst].forEach([&](unsigned index) { flow_.written[index] = true; });
  result.dst = registers[insn.dst].only();
  // What adds on the way takes from the fabric and gives to it, as vector instructions may.
  bool trigger = kind == InsnClass::Trigger && insn.opcode != Opcode::Dotw && insn.opcode != Opcode::Addw;
  if (!(trigger ? mayFit(registers[insn.dst], isMemory) : mayFit(registers[insn.dst], fitsDestination)))
    refuse(what,
           std::string("has a destination that is not ") + (trigger ? "memory or accumulator" : "memory, accumulator or fabric output"),
           "desc_c3");

  unsigned surelyFabric = 0;
  for (unsigned s = 0; s < sources; ++s) {
    unsigned reg = sourcesOf(insn)[s];
    expectLoaded(task.name, pc, reg, registers);
    registers[reg].forEach([&](unsigned index) { flow_.read[index] = true; });
    result.src[s] = registers[reg].only();
    if (!(trigger ? mayFit(registers[reg], isMemory) : mayFit(registers[reg], fitsSource)))
      refuse(what, std::string("has a source that is not ") + (trigger ? "memory" : "memory, accumulator, fabric input or constant"),
             "desc_c3");
    surelyFabric += !mayFit(registers[reg], [](wexe::DescKind k) { return k != wexe::DescKind::FabIn; });
  }
  if (surelyFabric > 1)
    refuse(what, "receives from the fabric with " + std::to_string(surelyFabric) + " of its sources, expected at most one", "desc_c3");
  if (kind == InsnClass::Trigger)
    return;
  checkElements(result, sources, what);
  resolved.push_back(result);
}

ImageFlow ImageCode::run() {
  solve();
  flow_.written.assign(source_.descriptors.size(), false);
  flow_.read.assign(source_.descriptors.size(), false);
  for (const auto &task : source_.tasks) {
    Registers registers = atEntry_;
    std::vector<ResolvedInstruction> resolved;
    for (size_t pc = task->pc; code_[pc].opcode != Opcode::End; ++pc) {
      examine(*task, pc, registers, resolved);
      applyControl(code_[pc], registers);
    }
    flow_.tasks.push_back(std::move(resolved));
  }
  return std::move(flow_);
}

} // namespace

void verifyCode(VerifyContext &context) {
  const auto &images = context.program.images;
  std::vector<std::vector<bool>> overridden(images.size());
  for (size_t i = 0; i < images.size(); ++i)
    overridden[i].assign(images[i]->descriptors.size(), false);
  for (size_t r = 0; r < context.program.regions.size(); ++r)
    for (const wexe::Override &o : context.expanded.overrides[r])
      overridden[context.program.regions[r]->image][o.descriptor()] = true;
  for (size_t i = 0; i < images.size(); ++i)
    context.flow.push_back(ImageCode(context, i, std::move(overridden[i])).run());
}

void ScheduledCode::check(unsigned region, unsigned task, const CoreRange &range, const std::string &where) {
  const wexe::RegionT &source = *context_.program.regions[region];
  CoreRange places = placesIn(*source.rect, range);
  if (places.empty())
    return;
  const std::string &taskName = context_.program.images[source.image]->tasks[task]->name;
  for (const ResolvedInstruction &insn : context_.flow[source.image].tasks[task]) {
    std::string what = where + " in region " + quoted(source.name) + ": " + describeInstruction(context_, source.image, taskName, insn.pc);
    checkKinds(region, insn, what);
    checkElements(region, insn, places, what);
    if (insn.dst != unknownTemplate)
      checkRoute(region, insn.dst, true, places, what);
    for (int index : insn.src)
      if (index != unknownTemplate)
        checkRoute(region, index, false, places, what);
  }
}

void ScheduledCode::checkKinds(unsigned region, const ResolvedInstruction &insn, const std::string &what) const {
  auto kindOf = [&](int index) { return context_.expanded.descriptor(context_.program, region, index).kind; };
  if (insn.dst != unknownTemplate && !fitsDestination(kindOf(insn.dst)))
    refuse(what, "has a destination that is not memory, accumulator or fabric output", "desc_c3");
  unsigned fabric = 0;
  for (int index : insn.src) {
    if (index == unknownTemplate)
      continue;
    if (!fitsSource(kindOf(index)))
      refuse(what, "has a source that is not memory, accumulator, fabric input or constant", "desc_c3");
    fabric += kindOf(index) == wexe::DescKind::FabIn;
  }
  if (fabric > 1)
    refuse(what, "receives from the fabric with " + std::to_string(fabric) + " of its sources, expected at most one", "desc_c3");
}

// Extents are affine, so operands that agree at the corners agree everywhere unless two extents of one operand vary; the engines trap then.
void ScheduledCode::checkElements(unsigned region, const ResolvedInstruction &insn, const CoreRange &places,
                                  const std::string &what) const {
  if (insn.dst == unknownTemplate)
    return;
  RegionDescriptor dst = context_.expanded.descriptor(context_.program, region, insn.dst);
  const wexe::Rect &rect = *context_.program.regions[region]->rect;
  for (int index : insn.src) {
    if (index == unknownTemplate)
      continue;
    RegionDescriptor src = context_.expanded.descriptor(context_.program, region, index);
    if (src.kind == wexe::DescKind::Const || (!src.overridden && !dst.overridden))
      continue;
    for (uint32_t i : {places.x0, places.x1 - 1})
      for (uint32_t j : {places.y0, places.y1 - 1}) {
        Descriptor d = dst.at(i, j), s = src.at(i, j);
        std::string core = " at core " + describeCore(rect.x0() + i * rect.sx(), rect.y0() + j * rect.sy());
        if (s.elements() != d.elements())
          refuse(what,
                 "writes " + std::to_string(d.elements()) + " elements from a source of " + std::to_string(s.elements()) + core +
                     ", expected as many",
                 "vec_c1");
        if (isMemory(s.kind) && isMemory(d.kind) && d.elements() != 0 && !std::equal(s.extent, s.extent + 4, d.extent))
          refuse(what, "has memory operands of different extents" + core, "vec_c1");
      }
  }
}

void ScheduledCode::checkRoute(unsigned region, int index, bool sends, const CoreRange &places, const std::string &what) {
  RegionDescriptor d = context_.expanded.descriptor(context_.program, region, index);
  if (d.kind != (sends ? wexe::DescKind::FabOut : wexe::DescKind::FabIn) || d.neverHasElements())
    return;
  // Descriptors that move elements at the same cores on the same colour ask the same question.
  std::vector<int64_t> key = {region, d.colour, sends, places.x0, places.y0, places.x1, places.y1};
  for (const AffineField &extent : d.extent)
    if (!extent.constant())
      key.insert(key.end(), {extent.base, extent.dx, extent.dy});
  auto seen = std::lower_bound(seenRoutes_.begin(), seenRoutes_.end(), key);
  if (seen != seenRoutes_.end() && *seen == key)
    return;
  seenRoutes_.insert(seen, key);

  const RouteGrid &routes = context_.expanded.routes[d.colour];
  const wexe::Rect &rect = *context_.program.regions[region]->rect;
  for (uint32_t j = places.y0; j < places.y1; ++j)
    for (uint32_t i = places.x0; i < places.x1; ++i) {
      uint32_t x = rect.x0() + i * rect.sx(), y = rect.y0() + j * rect.sy();
      RouteEntry entry = routes.at(x, y);
      bool connected = entry.tx != 0 && (sends ? entry.rx == wexe::Dir::Ramp : (entry.tx & bitOf(wexe::Dir::Ramp)) != 0);
      if (connected || d.at(i, j).elements() == 0)
        continue;
      std::string channel = describeColour(context_.expanded, d.colour);
      if (sends)
        refuse(what,
               "sends on " + channel + " at core " + describeCore(x, y) +
                   ", whose router does not take it from RAMP; add a route with rx RAMP there",
               "route_c7");
      refuse(what,
             "receives on " + channel + " at core " + describeCore(x, y) +
                 ", whose router does not deliver it; add a route with RAMP in tx there",
             "route_c7");
    }
}

} // namespace wafer
