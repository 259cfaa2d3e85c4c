//===- CoreBatchRun.cpp - cores that run in step: work on elements ------------===//

#include "CoreBatch.h"

#include "FunctionalVector.h"

#include "wafer/Emulator/NumberFormats.h"

#include <algorithm>
#include <cstring>

namespace wafer {

namespace {

/// Floats that are worked on at a time.
constexpr size_t chunkFloats = 4096;

bool isWordOfFloat(const Descriptor &descriptor) { return descriptor.type == wexe::ElemType::F32; }

} // namespace

float *CoreBatch::accumulator(const Descriptor &descriptor, uint64_t element) const {
  return reinterpret_cast<float *>(memory_->accumulators()) + (descriptor.base / 4 + element) * lanes();
}

/// Whether all lanes can work on the same elements at once, lanes side by side: f32 sums and the like of accumulators, wavelets, constants and memory.
bool CoreBatch::runsTogether(const Operation &op) const {
  if (!isCombination(op.insn) || !ownsAccumulators_ || !mayReadAhead(op))
    return false;
  auto fits = [](const Descriptor &descriptor) {
    if (descriptor.kind == wexe::DescKind::Mem)
      return isFloat(elementType(descriptor.type)) && isContiguous(descriptor);
    return isWordOfFloat(descriptor) && (descriptor.kind != wexe::DescKind::Acc || isContiguous(descriptor));
  };
  bool together = fits(op.dst), sideBySide = op.dst.kind != wexe::DescKind::Mem;
  for (unsigned i = 0; i < op.sources; ++i) {
    together = together && fits(op.src[i]);
    sideBySide = sideBySide || op.src[i].kind == wexe::DescKind::Acc || isFabric(op.src[i]);
  }
  return together && sideBySide;
}

void CoreBatch::noteWrites(const Operation &op) {
  for (const Footprint &written : op.writes)
    if (!written.acc && written.low != written.high)
      panel_.forget(written);
}

/// Works on `n` elements of all lanes whose fabric input, if any, begins at `words`.
void CoreBatch::runTogether(Work &work, size_t n, const uint32_t *words) {
  Operation &op = work.common;
  const size_t width = lanes(), step = std::max<size_t>(1, chunkFloats / width);
  noteWrites(op);
  for (size_t begin = 0; begin < n; begin += step) {
    const size_t count = std::min(step, n - begin), floats = count * width;
    const uint64_t first = op.done + begin;
    const float *operands[2] = {nullptr, nullptr};
    for (unsigned i = 0; i < op.sources; ++i) {
      const Descriptor &source = op.src[i];
      std::vector<float> &gathered = gathered_[i];
      if (i == 1 && !work.source1.empty()) {
        operands[i] = work.source1.data() + first * width;
      } else if (source.kind == wexe::DescKind::FabIn) {
        operands[i] = reinterpret_cast<const float *>(words + begin * width);
      } else if (source.kind == wexe::DescKind::Acc) {
        operands[i] = accumulator(source, first);
      } else if (source.kind == wexe::DescKind::Const) {
        gathered.assign(floats, floatOf(source.imm));
        operands[i] = gathered.data();
      } else {
        gathered.resize(floats + count);
        float *lane = gathered.data() + floats;
        const unsigned bytes = byteSize(elementType(source.type));
        for (size_t l = 0; l < width; ++l) {
          uint8_t *at = models_[l].memory.sram + source.base + first * bytes;
          loadFloats(elementType(source.type), at, lane, count);
          for (size_t j = 0; j < count; ++j)
            gathered[j * width + l] = lane[j];
          if (i == 1 && op.insn.clear1)
            std::memset(at, 0, count * bytes);
        }
        operands[i] = gathered.data();
      }
    }
    float *result;
    if (op.dst.kind == wexe::DescKind::FabOut) {
      outgoing_.resize((begin + count) * width);
      result = reinterpret_cast<float *>(outgoing_.data() + begin * width);
    } else if (op.dst.kind == wexe::DescKind::Acc) {
      result = accumulator(op.dst, first);
    } else {
      result_.resize(floats + count);
      result = result_.data();
    }
    combine(op.insn.opcode, operands[0], operands[1], result, floats);
    if (op.insn.clear1 && op.src[1].kind == wexe::DescKind::Acc && work.source1.empty() && operands[1] != result)
      std::fill_n(accumulator(op.src[1], first), floats, 0.0f);
    if (op.dst.kind == wexe::DescKind::Mem) {
      float *lane = result + floats;
      const unsigned bytes = byteSize(elementType(op.dst.type));
      for (size_t l = 0; l < width; ++l) {
        for (size_t j = 0; j < count; ++j)
          lane[j] = result[j * width + l];
        storeFloats(elementType(op.dst.type), lane, models_[l].memory.sram + op.dst.base + first * bytes, count);
      }
    }
  }
  op.done += n;
}

/// Works on `n` elements of one lane one by one; wavelets are taken from `queue`.
void CoreBatch::runElements(Operation &op, size_t lane, size_t n, WordQueue *queue) {
  int source = op.fabricSource();
  bool pairsIn = source >= 0 && elementsPerWavelet(op.src[source].type) == 2;
  bool pairsOut = op.dst.kind == wexe::DescKind::FabOut && elementsPerWavelet(op.dst.type) == 2;
  size_t taken = 0;
  for (size_t i = 0; i < n; ++i) {
    uint32_t bits = 0;
    if (source >= 0) {
      if (op.hasPendingIn) {
        bits = op.pendingIn;
        op.hasPendingIn = false;
      } else {
        bits = queue->data()[taken++];
        if (pairsIn) {
          op.pendingIn = bits >> 16;
          op.hasPendingIn = op.done + 1 < op.elements;
          bits &= 0xffff;
        }
      }
    }
    uint32_t result = models_[lane].element(op, bits);
    if (op.dst.kind != wexe::DescKind::FabOut)
      continue;
    if (pairsOut && !op.hasPendingOut && !op.finished()) {
      op.pendingOut = result & 0xffff;
      op.hasPendingOut = true;
      continue;
    }
    outgoing_.push_back(!pairsOut ? result : op.hasPendingOut ? (op.pendingOut | result << 16) : (result & 0xffff));
    op.hasPendingOut = false;
  }
  if (queue)
    queue->pop(taken);
}

/// Works on as many elements of one lane as there is input for. Returns whether any were.
bool CoreBatch::progressLane(Work &work, size_t lane, WordSink &sink, EngineStats &stats) {
  Operation &op = work.lanes[lane];
  size_t n = op.elements - op.done;
  int source = op.fabricSource();
  if (source >= 0) {
    size_t words = in[op.src[source].colour].available(lane);
    n = std::min<size_t>(n, op.hasPendingIn + words * elementsPerWavelet(op.src[source].type));
  }
  if (n == 0)
    return false;
  stats.elementOps += n;
  noteWrites(op);
  outgoing_.clear();
  WordQueue *queue = source >= 0 ? &in[op.src[source].colour].ofLane(lane) : nullptr;
  if (movesWords(op)) {
    size_t taken = moveWords(models_[lane], op, n, queue ? queue->data() : nullptr, outgoing_);
    if (queue)
      queue->pop(taken);
  } else if (!runInMemory(models_[lane], op)) {
    runElements(op, lane, n, queue);
  }
  if (!outgoing_.empty())
    sink.sendLane(number_, lane, op.dst.colour, outgoing_.data(), outgoing_.size());
  return true;
}

/// Works on as many elements as there is input for, unless one of the `older` pending operations is in the way.
bool CoreBatch::progress(Work &work, size_t older, WordSink &sink, EngineStats &stats) {
  if (!work.lanes.empty()) {
    bool did = false;
    for (size_t lane = 0; lane < lanes(); ++lane) {
      if (work.lanes[lane].finished())
        continue;
      bool blocked = false;
      for (size_t i = 0; i < older && !blocked; ++i)
        blocked = blocks(*pending_[i], work, lane);
      if (!blocked)
        did |= progressLane(work, lane, sink, stats);
    }
    return did;
  }
  Operation &op = work.common;
  if (isBlocked(work, older))
    return false;
  size_t n = op.elements - op.done;
  Inbox *inbox = op.inputColour >= 0 ? &in[op.inputColour] : nullptr;
  if (inbox)
    n = std::min(n, inbox->availableToAll());
  if (n == 0)
    return false;
  stats.elementOps += n * lanes();
  outgoing_.clear();
  runTogether(work, n, inbox ? inbox->front(n) : nullptr);
  if (inbox)
    inbox->popAll(n);
  if (!outgoing_.empty())
    sink.sendAll(number_, op.dst.colour, outgoing_.data(), n);
  return true;
}

/// All data wavelets of a burst, as one multiplication where the descriptors allow it. False when an earlier operation is in the way.
bool CoreBatch::runWeights(const CommandBurst &burst, EngineStats &stats) {
  if (dataTask_ < 0)
    models_[0].trapNoDataTask();
  const uint16_t pc = static_cast<uint16_t>(dataTask_);
  const Instruction &insn = models_[0].at(pc);
  const Register &dst = use(insn.dst, pc), &rows = use(insn.src0, pc);
  if (!dst.lanes.empty() || !rows.lanes.empty())
    return runTriggersApart(burst, stats);
  Trigger trigger = models_[0].trigger(insn, pc, dst.common, rows.common);
  for (const auto &work : pending_) {
    const size_t different = !work->touchesMemory ? 0 : work->lanes.empty() ? 1 : lanes();
    for (size_t lane = 0; lane < different; ++lane)
      if (!work->of(lane).finished() && conflict(work->of(lane), trigger))
        return false;
  }
  const size_t elements = trigger.elementsPerRow(), width = elements * lanes();
  const bool inAccumulator = ownsAccumulators_ && dst.common.kind == wexe::DescKind::Acc && isWordOfFloat(dst.common) && isContiguous(dst.common);
  if (!inAccumulator || elements == 0 || !WeightPanel::fits(trigger, lanes()))
    return runTriggersApart(burst, stats);

  panel_.select(trigger, models_);
  float *sums = accumulator(dst.common, 0);
  const uint32_t firstIndex = implicitIndex_;
  uint64_t values = 0;
  auto isZero = [&] { return std::all_of(sums, sums + width, [](float sum) { return bitsOf(sum) == 0; }); };
  const float *ready = burstAt_ == 0 && firstIndex == 0 && isZero() ? panel_.sumsOf(commands, trigger) : nullptr;
  if (ready) {
    std::copy_n(ready, width, sums);
    values = trigger.rows.extent[0];
    implicitIndex_ += static_cast<uint32_t>(insn.opcode == Opcode::Fmacp ? 2 * burst.data.size() : burst.data.size());
  } else {
    weights_.clear();
    for (size_t i = burstAt_; i < burst.data.size(); ++i) {
      models_[0].addValues(trigger, burst.data[i], implicitIndex_);
      for (unsigned v = 0; v < trigger.values; ++v)
        weights_.push_back({trigger.index[v], trigger.value[v]});
    }
    values = weights_.size();
    panel_.add(weights_.data(), weights_.size(), sums);
  }
  stats.instructions += 2 * (burst.data.size() - burstAt_) * lanes();
  stats.macs += values * width;
  burstAt_ = burst.data.size();
  return true;
}

/// The same where lanes differ, or memory is laid out in a way that bulk work does not know.
bool CoreBatch::runTriggersApart(const CommandBurst &burst, EngineStats &stats) {
  const uint16_t pc = static_cast<uint16_t>(dataTask_);
  const Instruction &insn = models_[0].at(pc);
  const Register &dst = use(insn.dst, pc), &rows = use(insn.src0, pc);
  std::vector<Trigger> triggers;
  for (size_t lane = 0; lane < lanes(); ++lane) {
    triggers.push_back(models_[lane].trigger(insn, pc, dst.of(lane), rows.of(lane)));
    for (const auto &work : pending_)
      if (!work->of(lane).finished() && conflict(work->of(lane), triggers.back()))
        return false;
  }
  const uint32_t firstIndex = implicitIndex_;
  for (size_t lane = 0; lane < lanes(); ++lane) {
    Trigger &trigger = triggers[lane];
    const uint64_t elements = trigger.elementsPerRow();
    if (!trigger.writes.acc)
      panel_.forget(trigger.writes);
    implicitIndex_ = firstIndex;
    for (size_t i = burstAt_; i < burst.data.size(); ++i) {
      models_[lane].addValues(trigger, burst.data[i], implicitIndex_);
      stats.instructions += 2;
      stats.macs += trigger.values * elements;
      for (unsigned v = 0; v < trigger.values; ++v)
        models_[lane].fmac(trigger, v, 0, elements);
    }
  }
  burstAt_ = burst.data.size();
  return true;
}

} // namespace wafer
