//===- FunctionalBatchWeights.cpp - arriving weights of cores in step ---------===//
//
// A kernel empties its accumulator when it reads it, so the sums of the next commands' weights can be told in advance: they begin with 0 and multiply the same
// rows. They are made together, several output rows at a time against the rows in registers, and used when their command comes, if it is as was foreseen.
//
//===----------------------------------------------------------------------===//

#include "FunctionalBatch.h"

namespace wafer {

namespace {

/// Commands that are multiplied at once: enough for the rows to be worth fetching, few enough for the sums to stay near.
constexpr size_t mostAhead = 64;
constexpr size_t mostAheadBytes = size_t(1) << 18;
/// A kernel that moves on to another row with every weight, such as a scale, has no use for sums that are made before.
constexpr unsigned mostInVain = 8;
/// Sets of descriptors that a trigger meets in turn: two accumulators, rows and ones.
constexpr size_t mostTriggers = 8;

bool isZero(const Value &value, size_t n) {
  const uint32_t *words = reinterpret_cast<const uint32_t *>(value.data.get());
  uint32_t any = 0;
  for (size_t j = 0; j < n; ++j)
    any |= words[j];
  return any == 0;
}

bool carriesIndex(Opcode opcode) { return opcode == Opcode::Fmacw || opcode == Opcode::Fmacx; }

} // namespace

/// What the bound trigger does, or null when the cores have to ask one by one.
FunctionalBatch::BoundTrigger *FunctionalBatch::boundTrigger() {
  CoreModel &model = first();
  if (model.dataTask < 0)
    return nullptr;
  const Instruction &insn = model.at(static_cast<uint16_t>(model.dataTask));
  if (addsOnTheWay(insn.opcode) || isMaskedFmac(insn.opcode))
    return nullptr;
  const Descriptor *dst = model.descriptorIn(insn.dst), *rows = model.descriptorIn(insn.src0);
  if (!dst || !rows || !registers_.isUniform(insn.dst) || !registers_.isUniform(insn.src0))
    return nullptr;
  for (BoundTrigger &known : triggers_)
    if (known.task == model.dataTask && sameDescriptor(known.dst, *dst) && sameDescriptor(known.rows, *rows))
      return &known;
  BoundTrigger bound{model.dataTask, *dst, *rows, model.boundTrigger(), false};
  bound.isFast = FunctionalBlocks::fits(bound.dst) && isFloat(insn.type) && bound.dst.type == wexe::ElemType::F32 && isFloat(elementType(bound.rows.type)) &&
                 bound.dst.elements() != 0 && bound.dst.extent[0] == 1 && !bound.trigger.writes.overlaps(bound.trigger.reads);
  if (triggers_.size() < mostTriggers) {
    triggers_.push_back(bound);
    return &triggers_.back();
  }
  BoundTrigger &place = triggers_[oldestTrigger_];
  oldestTrigger_ = (oldestTrigger_ + 1) % mostTriggers;
  place = bound;
  return &place;
}

/// Multiplications that the weights take in all cores.
uint64_t FunctionalBatch::productsOf(const BoundTrigger &bound, const Weights &weights) {
  const size_t numbers = bound.dst.elements() * cores_.size(), count = weights.values.size();
  if (!bound.trigger.insn.skip0)
    return count * numbers;
  return panels_.productsOf(bound.rows, bound.trigger.reads, weights.rows.empty() ? nullptr : weights.rows.data(), count);
}

/// Adds the products of the next command, and makes the sums of later ones that may well be wanted.
void FunctionalBatch::contract(const BoundTrigger &bound, const PackedRows &rows, ValueRef sums, bool fromZero) {
  std::vector<PanelRun> runs;
  auto add = [&](const Weights &weights, const ValueRef &to, bool isFromZero) {
    runs.push_back({weights.values.data(), weights.rows.empty() ? nullptr : weights.rows.data(), weights.values.size(), to.data(), isFromZero});
  };
  bool skipsZeros = bound.trigger.insn.skip0 && !(fromZero && zerosAddNothing(bound.trigger, weights_[0].values.data(), weights_[0].values.size()));
  const bool isIndexed = carriesIndex(bound.trigger.insn.opcode);
  const size_t numbers = bound.dst.elements() * cores_.size(), most = std::clamp<size_t>(mostAheadBytes / (numbers * sizeof(float)), 1, mostAhead);
  const size_t wavelets = commands_[at_].command.data.count;
  weights_.resize(std::max(weights_.size(), mostAhead));
  add(weights_[0], sums, fromZero);
  const bool looksAhead = fromZero && madeInVain_ < mostInVain / 2;
  for (size_t i = at_ + 1; looksAhead && i < commands_.size() && runs.size() < most; ++i) {
    const Words &data = commands_[i].command.data;
    // Another number of weights in order is most likely something else, such as a bias.
    if (data.count == 0 || (!isIndexed && data.count != wavelets) || !commands_[i - 1].command.hasControl)
      continue;
    Weights &weights = weights_[runs.size()];
    if (!decodeWeights(bound.trigger, data.data.get(), data.count, 0, weights))
      continue;
    skipsZeros |= bound.trigger.insn.skip0 && !zerosAddNothing(bound.trigger, weights.values.data(), weights.values.size());
    commands_[i].ahead = {pool_.make(numbers), rows.number, bound.trigger.pc, productsOf(bound, weights)};
    add(weights, commands_[i].ahead.sums, true);
  }
  contractPanel(rows.panel, runs.data(), runs.size(), skipsZeros);
}

/// All data wavelets of the next command. False when the cores have to do it one by one.
bool FunctionalBatch::runWeights(EngineStats &stats) {
  BoundTrigger *bound = boundTrigger();
  if (!bound || !bound->isFast)
    return false;
  const Trigger &trigger = bound->trigger;
  if (!blocks_.settle(trigger.reads) || !blocks_.settle(trigger.writes, &bound->dst) || !blocks_.makeRoom(1))
    return false;
  const size_t each = bound->dst.elements(), numbers = each * cores_.size();
  ValueRef *known = blocks_.find(bound->dst), sums = known ? *known : blocks_.read(bound->dst);
  if (!sums.isReady(all()))
    return false;
  if (!known && isZero(*sums.operator->(), numbers))
    sums.reset();

  const PackedRows &rows = panels_.of(bound->rows, trigger.reads);
  const Words &data = commands_[at_].command.data;
  Ahead &ahead = commands_[at_].ahead;
  const bool isIndexed = carriesIndex(trigger.insn.opcode);
  uint64_t products = 0;
  const bool isForeseen = !sums && ahead.rows == rows.number && ahead.trigger == trigger.pc && (trigger.insn.opcode == Opcode::Fmacw || first().implicitIndex == 0);
  if (ahead.sums && isForeseen && madeInVain_ > 0)
    --madeInVain_;
  if (ahead.sums && !isForeseen && madeInVain_ < mostInVain)
    ++madeInVain_;
  if (ahead.sums && isForeseen) {
    sums = std::move(ahead.sums);
    products = ahead.products;
  } else {
    weights_.resize(std::max(weights_.size(), mostAhead));
    if (!decodeWeights(trigger, data.data.get(), data.count, first().implicitIndex, weights_[0]))
      return false;
    products = productsOf(*bound, weights_[0]);
    const bool fromZero = !sums;
    ValueRef target = pool_.make(numbers);
    if (!fromZero) {
      // The block's own use and this one: nobody else sees it change.
      if (known && sums->uses == 2)
        target = sums;
      else
        std::copy_n(sums.data(), numbers, target.data());
    }
    contract(*bound, rows, target, fromZero);
    sums = std::move(target);
  }
  sums->ready = all();
  panels_.forget(trigger.writes);
  blocks_.write(bound->dst, trigger.writes, std::move(sums));
  if (!isIndexed)
    first().implicitIndex = static_cast<uint32_t>(std::min<uint64_t>(first().implicitIndex + data.count * (trigger.insn.opcode == Opcode::Fmacp ? 2 : 1), trigger.rows.extent[0]));
  stats.instructions += 2 * data.count * cores_.size();
  first().count(products, stats);
  return true;
}

} // namespace wafer
