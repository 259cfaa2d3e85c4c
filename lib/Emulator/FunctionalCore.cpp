//===- FunctionalCore.cpp - a core as a sequential process on bursts ---------===//

#include "FunctionalCore.h"

#include "FunctionalElements.h"
#include "wafer/Emulator/NumberFormats.h"

#include <algorithm>
#include <cmath>

namespace wafer {

namespace {

bool isHalfOrFloat(const Descriptor &descriptor) { return descriptor.type == wexe::ElemType::F32 || descriptor.type == wexe::ElemType::F16; }

bool samePlace(const Descriptor &a, const Descriptor &b) { return a.kind == b.kind && a.type == b.type && a.base == b.base; }

/// Operations that arithmeticRun knows: f32 arithmetic on contiguous f32 or f16 memory, f32 fabric and constants.
bool isFastArithmetic(const Operation &op) {
  if (op.insn.type != ElementType::F32)
    return false;
  switch (op.insn.opcode) {
  case Opcode::Mov:
  case Opcode::Add:
  case Opcode::Sub:
  case Opcode::Mul:
  case Opcode::Max:
    break;
  default:
    return false;
  }
  auto fits = [](const Descriptor &descriptor) {
    if (descriptor.kind == wexe::DescKind::Const || isFabric(descriptor))
      return descriptor.type == wexe::ElemType::F32;
    return isHalfOrFloat(descriptor) && isContiguous(descriptor);
  };
  bool fast = fits(op.dst);
  for (unsigned i = 0; i < op.sources; ++i)
    fast = fast && fits(op.src[i]);
  return fast && mayReadAhead(op);
}

constexpr size_t chunk = 256;

float maximumOf(float a, float b) { return compute(Opcode::Max, ElementType::F32, {a, 0}, {b, 0}, {}).f; }

} // namespace

bool isPlainMove(const Operation &op) {
  auto fits = [&](const Descriptor &descriptor) {
    return elementType(descriptor.type) == op.insn.type && (isFabric(descriptor) || (isMemory(descriptor) && isContiguous(descriptor)));
  };
  return op.insn.opcode == Opcode::Mov && fits(op.dst) && fits(op.src[0]) && (isFabric(op.dst) || isFabric(op.src[0]));
}

bool isRelay(const Operation &op) { return isPlainMove(op) && isFabric(op.dst) && isFabric(op.src[0]) && byteSize(op.insn.type) == 4; }

void quiet16(ElementType type, uint8_t *data, size_t n) {
  if (type != ElementType::F16 && type != ElementType::BF16)
    return;
  const uint16_t infinity = type == ElementType::F16 ? 0x7c00 : 0x7f80, quietBit = type == ElementType::F16 ? 0x200 : 0x40;
  for (size_t j = 0; j < n; ++j) {
    uint16_t half;
    std::memcpy(&half, data + 2 * j, sizeof half);
    half |= (half & 0x7fff) > infinity ? quietBit : 0;
    std::memcpy(data + 2 * j, &half, sizeof half);
  }
}

bool isContiguous(const Descriptor &descriptor) {
  int64_t expected = 1;
  for (int d = 3; d >= 0; --d) {
    if (descriptor.extent[d] != 1 && descriptor.stride[d] != expected)
      return false;
    expected *= descriptor.extent[d];
  }
  return true;
}

/// What is written (the destination, and src1 under clear1) must lie
/// apart from each source or exactly on it.
bool mayReadAhead(const Operation &op) {
  auto harmless = [&](const Footprint &written, const Descriptor &at, unsigned source) {
    return !written.overlaps(op.reads[source]) || samePlace(at, op.src[source]);
  };
  for (unsigned i = 0; i < op.sources; ++i)
    if (isMemory(op.src[i]) && !(harmless(op.writes[0], op.dst, i) && harmless(op.writes[1], op.src[1], i)))
      return false;
  return true;
}

FunctionalCore::FunctionalCore(const LoadedProgram &program, const ImageModel &image, uint16_t x, uint16_t y, uint32_t number, std::shared_ptr<uint8_t> memory)
    : model(program, image, x, y, std::move(memory)), in(program.machine().colours), number(number) {}

bool FunctionalCore::quiet() {
  if (!isIdle())
    return false;
  mayHaveWords_ = mayHaveWords_ && std::any_of(in.begin(), in.end(), [](const WordQueue &queue) { return queue.size() != 0; });
  return !mayHaveWords_;
}

bool FunctionalCore::conflictsWithPending(const Operation &op, size_t older) const {
  if (earlier && earlier->isInTheWay(place, op))
    return true;
  for (size_t i = 0; i < older; ++i)
    if (conflict(pending_[i], op))
      return true;
  return false;
}

/// Works on `n` elements whose fabric input, if any, begins at `words` (f32: one element a word).
void FunctionalCore::arithmeticRun(Operation &op, size_t n, const uint32_t *words) {
  float buffers[2][chunk], result[chunk];
  for (size_t begin = 0; begin < n; begin += chunk) {
    size_t count = std::min(chunk, n - begin);
    const float *operands[2] = {nullptr, nullptr};
    for (unsigned i = 0; i < op.sources; ++i) {
      const Descriptor &source = op.src[i];
      if (source.kind == wexe::DescKind::FabIn) {
        operands[i] = reinterpret_cast<const float *>(words + begin);
      } else if (source.kind == wexe::DescKind::Const) {
        std::fill_n(buffers[i], count, floatOf(source.imm));
        operands[i] = buffers[i];
      } else {
        uint8_t *at = model.memory(source.kind) + source.base + (op.done + begin) * byteSize(elementType(source.type));
        if (source.type == wexe::ElemType::F16)
          widenF16(at, buffers[i], count);
        else
          std::memcpy(buffers[i], at, count * sizeof(float));
        operands[i] = buffers[i];
        if (i == 1 && op.insn.clear1)
          std::memset(at, 0, count * byteSize(elementType(source.type)));
      }
    }
    const float *a = operands[0], *b = operands[1];
    switch (op.insn.opcode) {
    case Opcode::Add:
      arithmetic(Arithmetic::Add, a, b, result, count);
      break;
    case Opcode::Sub:
      arithmetic(Arithmetic::Sub, a, b, result, count);
      break;
    case Opcode::Mul:
      arithmetic(Arithmetic::Mul, a, b, result, count);
      break;
    case Opcode::Max:
      for (size_t j = 0; j < count; ++j)
        result[j] = maximumOf(a[j], b[j]);
      break;
    default:
      std::memcpy(result, a, count * sizeof(float));
      break;
    }
    if (op.dst.kind == wexe::DescKind::FabOut) {
      size_t old = outgoing_.size();
      outgoing_.resize(old + count);
      std::memcpy(outgoing_.data() + old, result, count * sizeof(float));
    } else {
      uint8_t *at = model.memory(op.dst.kind) + op.dst.base + (op.done + begin) * byteSize(elementType(op.dst.type));
      if (op.dst.type == wexe::ElemType::F16)
        narrowF16(result, at, count);
      else
        std::memcpy(at, result, count * sizeof(float));
    }
  }
  op.done += n;
}

/// Copies `n` elements, whole wavelets of them but for the last.
void FunctionalCore::moveRun(Operation &op, size_t n, const uint32_t *words) {
  const unsigned size = byteSize(op.insn.type);
  auto place = [&](const Descriptor &descriptor) { return model.memory(descriptor.kind) + descriptor.base + op.done * size; };
  const uint8_t *from = words ? reinterpret_cast<const uint8_t *>(words) : place(op.src[0]);
  uint8_t *to;
  if (isFabric(op.dst)) {
    outgoing_.assign((n * size + 3) / 4, 0);
    to = reinterpret_cast<uint8_t *>(outgoing_.data());
  } else {
    to = place(op.dst);
  }
  std::memcpy(to, from, n * size);
  quiet16(op.insn.type, to, n);
  op.done += n;
}

/// Works on `n` elements one by one.
void FunctionalCore::slowRun(Operation &op, size_t n, const uint32_t *words) {
  int source = op.fabricSource;
  bool pairsIn = source >= 0 && elementsPerWavelet(op.src[source].type) == 2;
  bool pairsOut = op.dst.kind == wexe::DescKind::FabOut && elementsPerWavelet(op.dst.type) == 2;
  for (size_t i = 0; i < n; ++i) {
    uint32_t bits = 0;
    if (source >= 0) {
      if (op.hasPendingIn) {
        bits = op.pendingIn;
        op.hasPendingIn = false;
      } else {
        bits = *words++;
        if (pairsIn) {
          op.pendingIn = bits >> 16;
          op.hasPendingIn = op.done + 1 < op.elements;
          bits &= 0xffff;
        }
      }
    }
    uint32_t result = model.element(op, bits);
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
}

void FunctionalCore::work(Operation &op, size_t n, const uint32_t *words) {
  outgoing_.clear();
  if (isPlainMove(op)) {
    moveRun(op, n, words);
  } else if (isFastArithmetic(op)) {
    arithmeticRun(op, n, words);
  } else if (std::optional<ElementRuns> runs = words ? std::nullopt : elementRuns(op); runs && n == op.elements) {
    runElements(*runs, model);
    op.done += n;
  } else {
    slowRun(op, n, words);
  }
}

void FunctionalCore::runLocal(Operation op, EngineStats &stats) {
  stats.elementOps += op.elements;
  stats.macs += op.isFmac() ? op.elements : 0;
  if (op.elements != 0)
    work(op, op.elements, nullptr);
}

/// Hands on what there is, all at once.
bool FunctionalCore::relay(Operation &op, WordSink &sink, EngineStats &stats) {
  const size_t before = op.done;
  if (op.finished()) // without elements there is no colour
    return false;
  for (WordQueue &queue = in[op.inputColour]; !op.finished() && queue.size() != 0;) {
    relayed_.push_back(queue.takeFront(std::min<size_t>(queue.frontSize(), op.elements - op.done)));
    op.done += relayed_.back().count;
  }
  if (op.done == before)
    return false;
  stats.elementOps += op.done - before;
  sink.send(number, op.dst.colour, relayed_);
  return true;
}

/// Works on as many elements as there is input for. Returns whether any were.
bool FunctionalCore::progress(Operation &op, WordSink &sink, EngineStats &stats) {
  if (isRelay(op))
    return relay(op, sink, stats);
  const size_t before = op.done;
  WordQueue *queue = op.inputColour >= 0 ? &in[op.inputColour] : nullptr;
  const unsigned perWord = queue ? elementsPerWavelet(op.src[op.fabricSource].type) : 1;
  while (!op.finished() && (!queue || queue->size() != 0)) {
    size_t n = op.elements - op.done, words = 0;
    if (queue) {
      words = std::min(queue->frontSize(), (n + perWord - 1) / perWord);
      n = std::min(n, words * perWord);
    }
    work(op, n, queue ? queue->front() : nullptr);
    if (!outgoing_.empty())
      sink.send(number, op.dst.colour, Words::of(std::move(outgoing_)));
    if (queue)
      queue->pop(words);
  }
  stats.elementOps += op.done - before;
  stats.macs += op.isFmac() ? op.done - before : 0;
  return op.done != before;
}

bool FunctionalCore::runPending(WordSink &sink, EngineStats &stats) {
  bool did = false;
  for (size_t i = 0; i < pending_.size();) {
    if (!conflictsWithPending(pending_[i], i)) {
      did |= progress(pending_[i], sink, stats);
      if (pending_[i].finished()) {
        pending_.erase(pending_.begin() + static_cast<long>(i));
        did = true;
        continue;
      }
    }
    ++i;
  }
  return did;
}

/// Sums of 8-bit products, four to a wavelet.
static void addIntegerProducts(int32_t *sums, size_t n, const std::vector<RowWeight> &weights) {
  for (const RowWeight &weight : weights) {
    const auto *row = reinterpret_cast<const int8_t *>(weight.row);
    const auto value = static_cast<int32_t>(weight.value);
    for (size_t j = 0; j < n; ++j)
      sums[j] = static_cast<int32_t>(static_cast<uint32_t>(sums[j]) + static_cast<uint32_t>(value * row[j]));
  }
}

/// Sums on their way, as far as what is added to them has come. False when some are left.
bool FunctionalCore::runSums(Trigger &bound, WordSink &sink, EngineStats &stats) {
  const uint64_t elements = bound.elementsPerRow();
  WordQueue *queue = bound.inputColour >= 0 ? &in[bound.inputColour] : nullptr;
  outgoing_.clear();
  const uint32_t *words = command_->data.data.get();
  Descriptor first = bound.rows;
  first.extent[0] = 1;
  const bool isDot = bound.insn.opcode == Opcode::Dotw;
  const bool fast = isDot && isHalfOrFloat(bound.rows) && isHalfOrFloat(bound.row) && isContiguous(first) && isContiguous(bound.row);
  const int64_t rowBytes = int64_t(bound.rows.stride[0]) * byteSize(elementType(bound.rows.type));
  if (fast && sumsDone_ < command_->data.count && (!queue || queue->size() != 0)) {
    row_.resize(elements);
    const uint8_t *at = model.memory(bound.row.kind) + bound.row.base;
    if (bound.row.type == wexe::ElemType::F16)
      widenF16(at, row_.data(), elements);
    else
      std::memcpy(row_.data(), at, elements * sizeof(float));
  }
  while (sumsDone_ < command_->data.count && (!queue || queue->size() != 0)) {
    model.take(bound, words[sumsDone_]);
    const size_t sums = std::min<size_t>(bound.values - valuesDone_, queue ? queue->size() : SIZE_MAX), before = outgoing_.size();
    outgoing_.resize(before + sums, bound.addend.imm);
    if (queue)
      queue->take(outgoing_.data() + before, sums);
    for (size_t i = before; i < outgoing_.size(); ++i, ++valuesDone_) {
      if (!fast) {
        outgoing_[i] = model.sumOnTheWay(bound, valuesDone_, outgoing_[i]);
        continue;
      }
      const uint8_t *row = model.memory(bound.rows.kind) + bound.rows.base + int64_t(bound.index[0] + valuesDone_) * rowBytes;
      outgoing_[i] = bitsOf(canonicalNaN(floatOf(outgoing_[i]) + dotProduct(row, elementType(bound.rows.type), row_.data(), elements)));
    }
    stats.macs += isDot ? sums * elements : 0;
    if (valuesDone_ < bound.values)
      break;
    stats.instructions += 2;
    ++sumsDone_;
    valuesDone_ = 0;
  }
  if (!outgoing_.empty())
    sink.send(number, static_cast<unsigned>(bound.outputColour), Words::of(std::move(outgoing_)));
  if (sumsDone_ < command_->data.count)
    return false;
  sumsDone_ = 0;
  return true;
}

/// All data wavelets of the command, as one micro-kernel where the descriptors allow it. False when an earlier operation is in the way.
bool FunctionalCore::runWeights(WordSink &sink, EngineStats &stats) {
  Trigger bound = model.boundTrigger();
  if (earlier && earlier->isInTheWay(place, bound))
    return false;
  for (const Operation &op : pending_)
    if (conflict(op, bound))
      return false;
  if (bound.addsOnTheWay())
    return runSums(bound, sink, stats);
  const uint64_t elements = bound.elementsPerRow();
  Descriptor row = bound.rows;
  row.extent[0] = 1;
  const bool integers = !isFloat(bound.insn.type);
  bool fast = (integers ? bound.dst.type == wexe::ElemType::I32 && bound.rows.type == wexe::ElemType::I8
                        : bound.dst.type == wexe::ElemType::F32 && isHalfOrFloat(bound.rows)) &&
              isContiguous(bound.dst) && isContiguous(row) && !bound.writes.overlaps(bound.reads);
  const int64_t rowBytes = int64_t(bound.rows.stride[0]) * byteSize(elementType(bound.rows.type));
  // A sum to which nothing is added keeps the bits of its NaN.
  if (fast && !integers && bound.insn.skip0) {
    const auto *sums = reinterpret_cast<const float *>(model.memory(bound.dst.kind) + bound.dst.base);
    fast = std::none_of(sums, sums + bound.dst.elements(), [](float sum) { return std::isnan(sum); });
  }
  // The mask is the same for all of the weights: where it hides sums, what they were is put back.
  const bool isMasked = bound.isMasked();
  const std::vector<char> wanted = isMasked ? model.wanted(bound) : std::vector<char>();
  const uint64_t each = isMasked ? static_cast<uint64_t>(std::count(wanted.begin(), wanted.end(), 1)) : elements;
  weights_.clear();
  uint32_t sum = 0; // that they are for
  uint64_t products = 0;
  auto multiply = [&] {
    if (weights_.empty() || elements == 0)
      return;
    uint8_t *sums = model.memory(bound.dst.kind) + bound.dst.base + sum * elements * sizeof(float);
    row_.resize(isMasked ? elements : 0);
    if (isMasked)
      std::memcpy(row_.data(), sums, row_.size() * sizeof(float));
    if (integers)
      addIntegerProducts(reinterpret_cast<int32_t *>(sums), elements, weights_);
    else
      fmacRun(reinterpret_cast<float *>(sums), elements, weights_.data(), weights_.size(), elementType(row.type), bound.insn.skip0);
    for (size_t j = 0; j < row_.size(); ++j)
      if (!wanted[j])
        std::memcpy(sums + j * sizeof(float), &row_[j], sizeof(float));
    weights_.clear();
  };
  for (size_t i = 0; i < command_->data.count; ++i) {
    model.take(bound, command_->data.data.get()[i]);
    stats.instructions += 2;
    for (unsigned v = 0; v < bound.values; ++v) {
      products += bound.insn.skip0 ? model.products(bound, v, 1) : each;
      if (!fast) {
        model.fmac(bound, v, 0, elements);
        continue;
      }
      if (bound.sum[v] != sum)
        multiply();
      sum = bound.sum[v];
      weights_.push_back({model.memory(row.kind) + row.base + bound.index[v] * rowBytes, bound.value[v]});
    }
  }
  model.count(products, stats);
  multiply();
  return true;
}

bool FunctionalCore::runTask(EngineStats &stats) {
  uint16_t pc = static_cast<uint16_t>(task_);
  const Instruction &insn = model.at(pc);
  ++stats.instructions;
  if (insn.opcode == Opcode::End) {
    task_ = -1;
    return true;
  }
  ++task_;
  if (insnClass(insn.opcode) == InsnClass::Control)
    model.control(insn, pc);
  else if (insn.async)
    pending_.push_back(model.issue(insn, pc));
  else
    operation_ = std::make_unique<Operation>(model.issue(insn, pc));
  return true;
}

/// One step of the task at work, or the next command. False when it has to wait.
bool FunctionalCore::runMain(WordSink &sink, EngineStats &stats) {
  if (operation_) {
    if (conflictsWithPending(*operation_, pending_.size()))
      return false;
    bool did = progress(*operation_, sink, stats);
    if (operation_->finished()) {
      operation_.reset();
      did = true;
    }
    return did;
  }
  if (task_ >= 0)
    return runTask(stats);
  if (!command_)
    return false;
  if (command_->data.count != 0 && !runWeights(sink, stats))
    return false;
  if (command_->hasControl)
    task_ = model.startControlTask(command_->control);
  command_.reset();
  return true;
}

void FunctionalCore::run(WordSink &sink, EngineStats &stats) {
  for (bool did = true; did;) {
    did = !pending_.empty() && runPending(sink, stats);
    while (runMain(sink, stats))
      did = true;
  }
}

Waiter FunctionalCore::waiter(const LoadedProgram &program) const {
  const Operation *op = !pending_.empty() ? &pending_.front() : operation_.get();
  if (op && op->fabricSource >= 0)
    return waitsForInput(program, model, op->pc, op->src[op->fabricSource].colour);
  for (unsigned colour = 0; colour < in.size(); ++colour)
    if (in[colour].size() != 0)
      return {model.x, model.y,
              "core (" + std::to_string(model.x) + ", " + std::to_string(model.y) + ") has " + std::to_string(in[colour].size()) + " wavelets of " +
                  program.colourName(colour) + " that no task takes",
              {}};
  return {model.x, model.y, "", {}};
}

} // namespace wafer
