//===- FunctionalElements.cpp - element-wise instructions, many elements at a time ===//

#include "FunctionalElements.h"

#include "FunctionalFunctions.h"
#include "FunctionalKernels.h"

#include "wafer/Emulator/NumberFormats.h"

#include <algorithm>

namespace wafer {

namespace {

constexpr size_t chunk = 256;

bool isFloatType(wexe::ElemType type) { return isFloat(elementType(type)); }

/// Whether no two elements share a place.
bool isInjective(const Descriptor &descriptor) {
  for (int d = 0; d < 4; ++d)
    if (descriptor.extent[d] > 1 && descriptor.stride[d] == 0)
      return false;
  return true;
}

/// Whether each dimension's steps reach beyond all that the inner ones span, so that no two elements share a byte.
bool isNested(const Descriptor &descriptor) {
  int64_t span = 1;
  for (int d = 3; d >= 0; --d) {
    if (descriptor.extent[d] == 1)
      continue;
    if (descriptor.stride[d] < span)
      return false;
    span = int64_t(descriptor.stride[d]) * descriptor.extent[d];
  }
  return true;
}

bool sameWalk(const Descriptor &a, const Descriptor &b) {
  return a.kind == b.kind && a.type == b.type && a.base == b.base && std::equal(a.stride, a.stride + 4, b.stride);
}

/// A source may be what the result overwrites element by element; otherwise it lies apart. What is cleared lies apart from everything.
bool areApart(const Operation &op) {
  const bool clears = op.writes[1].low != op.writes[1].high;
  for (unsigned i = 0; i < op.sources; ++i) {
    if (!isMemory(op.src[i]))
      continue;
    if (op.writes[0].overlaps(op.reads[i]) && !sameWalk(op.dst, op.src[i]))
      return false;
    if (clears && i != 1 && op.writes[1].overlaps(op.reads[i]))
      return false;
  }
  return !clears || (!op.writes[1].overlaps(op.writes[0]) && isInjective(op.src[1]));
}

ElementRuns::Operand operandOf(const Descriptor &descriptor) {
  ElementRuns::Operand operand;
  operand.kind = descriptor.kind;
  operand.type = elementType(descriptor.type);
  operand.base = descriptor.base;
  if (descriptor.kind == wexe::DescKind::Const)
    operand.constant = floatOf(descriptor.imm);
  return operand;
}

void load(const ElementRuns::Operand &operand, const uint8_t *at, size_t n, float *to) {
  if (operand.step == 0) {
    uint32_t bits = 0;
    std::memcpy(&bits, at, byteSize(operand.type));
    std::fill_n(to, n, convert(numberFromBits(operand.type, bits), operand.type, ElementType::F32).f);
    return;
  }
  if (operand.step == byteSize(operand.type)) {
    if (operand.type == ElementType::F32)
      std::memcpy(to, at, n * sizeof(float));
    else if (operand.type == ElementType::F16)
      widenF16(at, to, n);
    if (operand.type != ElementType::BF16)
      return;
  }
  for (size_t j = 0; j < n; ++j, at += operand.step) {
    uint32_t bits = 0;
    std::memcpy(&bits, at, byteSize(operand.type));
    to[j] = convert(numberFromBits(operand.type, bits), operand.type, ElementType::F32).f;
  }
}

void store(const ElementRuns::Operand &operand, const float *from, size_t n, uint8_t *at) {
  if (operand.step == byteSize(operand.type) && operand.type == ElementType::F32) {
    std::memcpy(at, from, n * sizeof(float));
  } else if (operand.step == byteSize(operand.type) && operand.type == ElementType::F16) {
    narrowF16(from, at, n);
  } else {
    for (size_t j = 0; j < n; ++j, at += operand.step) {
      const uint32_t bits = bitsFromNumber(operand.type, convert({from[j], 0}, ElementType::F32, operand.type));
      std::memcpy(at, &bits, byteSize(operand.type));
    }
  }
}

/// Whether runs that come one after another lie one behind the other.
bool isUnbroken(const ElementRuns::Operand &operand, size_t length) {
  return operand.step == byteSize(operand.type) && operand.outer[0] == operand.step * int64_t(length);
}

std::optional<Arithmetic> arithmeticOf(Opcode opcode) {
  switch (opcode) {
  case Opcode::Add:
    return Arithmetic::Add;
  case Opcode::Sub:
    return Arithmetic::Sub;
  case Opcode::Mul:
    return Arithmetic::Mul;
  default:
    return std::nullopt;
  }
}

/// Whether runs can be worked on as they lie in memory: one behind the other, numbers or, in arithmetic, also halves.
bool isReady(const ElementRuns::Operand &operand, bool isArithmetic, size_t length, size_t count) {
  return (operand.type == ElementType::F32 || (isArithmetic && operand.type == ElementType::F16)) && operand.step == byteSize(operand.type) &&
         (count == 1 || isUnbroken(operand, length));
}

/// `count` runs that begin at `at`, one behind the other.
void loadRuns(const ElementRuns::Operand &operand, const uint8_t *at, size_t length, size_t count, float *to) {
  if (isUnbroken(operand, length))
    return load(operand, at, length * count, to);
  if (operand.outer[0] != 0) {
    for (size_t r = 0; r < count; ++r)
      load(operand, at + int64_t(r) * operand.outer[0], length, to + r * length);
    return;
  }
  load(operand, at, length, to);
  for (size_t done = length; done < length * count;) {
    const size_t some = std::min(done, length * count - done);
    std::memcpy(to + done, to, some * sizeof(float));
    done += some;
  }
}

/// The same, and leaves zeros behind; a run may read what the one before it has cleared.
void takeRuns(const ElementRuns::Operand &operand, uint8_t *at, size_t length, size_t count, float *to) {
  for (size_t r = 0; r < count; ++r, at += operand.outer[0]) {
    load(operand, at, length, to + r * length);
    for (size_t j = 0; j < length; ++j)
      std::memset(at + int64_t(j) * operand.step, 0, byteSize(operand.type));
  }
}

void storeRuns(const ElementRuns::Operand &operand, const float *from, size_t length, size_t count, uint8_t *at) {
  if (isUnbroken(operand, length))
    return store(operand, from, length * count, at);
  for (size_t r = 0; r < count; ++r)
    store(operand, from + r * length, length, at + int64_t(r) * operand.outer[0]);
}

/// What is no arithmetic has numbers only.
void compute(Opcode opcode, const Elements *operands, uint8_t *result, bool isHalf, size_t n) {
  if (const std::optional<Arithmetic> operation = arithmeticOf(opcode))
    return arithmetic(*operation, operands[0], operands[1], result, isHalf, n);
  auto numbers = [&](int i) { return reinterpret_cast<const float *>(operands[i].at); };
  auto *to = reinterpret_cast<float *>(result);
  if (!computeFunctions(opcode, numbers(0), to, n))
    computeFloats(opcode, numbers(0), numbers(1), numbers(2), to, n);
}

} // namespace

std::optional<ElementRuns> elementRuns(const Operation &op) {
  if (op.insn.type != ElementType::F32 || !isMemory(op.dst) || !isFloatType(op.dst.type) || op.elements == 0 || !areApart(op))
    return std::nullopt;
  ElementRuns runs;
  runs.opcode = op.insn.opcode;
  runs.clear1 = op.writes[1].low != op.writes[1].high;
  runs.sources = op.sources;
  runs.dst = operandOf(op.dst);
  for (unsigned i = 0; i < op.sources; ++i) {
    if (isFabric(op.src[i]) || !isFloatType(op.src[i].type))
      return std::nullopt;
    runs.src[i] = operandOf(op.src[i]);
  }

  struct Walked {
    const Descriptor *descriptor;
    ElementRuns::Operand *operand;
  };
  Walked walked[4] = {{&op.dst, &runs.dst}};
  unsigned count = 1;
  for (unsigned i = 0; i < op.sources; ++i)
    if (isMemory(op.src[i]))
      walked[count++] = {&op.src[i], &runs.src[i]};
  auto bytesOf = [](const Walked &one, int d) { return int64_t(one.descriptor->stride[d]) * byteSize(elementType(one.descriptor->type)); };

  bool merging = true, empty = true;
  unsigned outer = 0;
  for (int d = 3; d >= 0; --d) {
    const uint32_t extent = op.dst.extent[d];
    if (extent == 1)
      continue;
    for (unsigned i = 0; i < count && merging && !empty; ++i)
      merging = bytesOf(walked[i], d) == walked[i].operand->step * int64_t(runs.length);
    if (merging) {
      for (unsigned i = 0; i < count && empty; ++i)
        walked[i].operand->step = bytesOf(walked[i], d);
      empty = false;
      runs.length *= extent;
      continue;
    }
    if (outer == 3)
      return std::nullopt;
    runs.count[outer] = extent;
    for (unsigned i = 0; i < count; ++i)
      walked[i].operand->outer[outer] = bytesOf(walked[i], d);
    ++outer;
  }
  // Elements of a run are read before the first is written, so they must not be one place.
  if (runs.length > 1 && runs.dst.step == 0)
    return std::nullopt;
  runs.areIndependent = true;
  for (unsigned i = 0; i < op.sources; ++i) {
    const bool isApart = !isMemory(op.src[i]) || !op.writes[0].overlaps(op.reads[i]);
    runs.areIndependent &= isApart || isNested(op.dst);
    runs.isConstant[i] = isApart && !(runs.clear1 && i == 1);
  }
  const ElementRuns::Operand &dst = runs.dst;
  runs.isFold = (runs.opcode == Opcode::Add || runs.opcode == Opcode::Max) && !runs.clear1 && dst.type == ElementType::F32 && dst.step == sizeof(float) &&
                dst.outer[0] == 0 && runs.count[1] == 1 && runs.count[2] == 1 && runs.length <= chunk && runs.isConstant[1] && isMemory(op.src[0]) &&
                isMemory(op.src[1]) && sameWalk(op.dst, op.src[0]);
  return runs;
}

/// All runs add to one: the sums stay at hand until the last.
static void foldRuns(const ElementRuns &runs, CoreModel &core) {
  float sums[chunk], numbers[chunk];
  uint8_t *dst = core.memory(runs.dst.kind) + runs.dst.base, *src = core.memory(runs.src[1].kind) + runs.src[1].base;
  load(runs.dst, dst, runs.length, sums);
  const size_t together = chunk / runs.length;
  for (size_t r = 0; r < runs.count[0]; r += together) {
    const size_t count = std::min<size_t>(together, runs.count[0] - r);
    loadRuns(runs.src[1], src + int64_t(r) * runs.src[1].outer[0], runs.length, count, numbers);
    fold(runs.opcode == Opcode::Add ? Folding::Add : Folding::Max, sums, numbers, runs.length, count);
  }
  store(runs.dst, sums, runs.length, dst);
}

void runElements(const ElementRuns &runs, CoreModel &core) {
  if (runs.isFold)
    return foldRuns(runs, core);
  float loaded[3][chunk], result[chunk];
  auto numbers = [](float *at) { return reinterpret_cast<uint8_t *>(at); };
  Elements operands[3] = {{numbers(loaded[0])}, {numbers(loaded[1])}, {numbers(loaded[2])}};
  const bool isArithmetic = arithmeticOf(runs.opcode).has_value();
  uint8_t *dst = core.memory(runs.dst.kind) + runs.dst.base, *src[3] = {};
  const uint8_t *repeated[3] = {}; // what an operand is full of, where all runs have the same
  for (unsigned i = 0; i < runs.sources; ++i) {
    if (runs.src[i].kind == wexe::DescKind::Const)
      std::fill_n(loaded[i], chunk, runs.src[i].constant);
    else
      src[i] = core.memory(runs.src[i].kind) + runs.src[i].base;
  }
  auto at = [](uint8_t *base, const ElementRuns::Operand &operand, const uint32_t *place, size_t element) {
    return base + int64_t(place[0]) * operand.outer[0] + int64_t(place[1]) * operand.outer[1] + int64_t(place[2]) * operand.outer[2] +
           int64_t(element) * operand.step;
  };
  // Runs at a time: short ones together, long ones in parts.
  const size_t together = runs.areIndependent && runs.length <= chunk ? std::min<size_t>(chunk / runs.length, runs.count[0]) : 1;
  uint32_t place[3];
  for (place[2] = 0; place[2] < runs.count[2]; ++place[2])
    for (place[1] = 0; place[1] < runs.count[1]; ++place[1])
      for (place[0] = 0; place[0] < runs.count[0]; place[0] += static_cast<uint32_t>(together)) {
        const size_t count = std::min<size_t>(together, runs.count[0] - place[0]);
        for (size_t begin = 0; begin < runs.length; begin += chunk) {
          const size_t length = std::min(chunk, runs.length - begin), n = length * count;
          for (unsigned i = 0; i < runs.sources; ++i) {
            if (!src[i])
              continue;
            const uint8_t *from = at(src[i], runs.src[i], place, begin);
            if (i == 1 && runs.clear1)
              takeRuns(runs.src[1], at(src[1], runs.src[1], place, begin), length, count, loaded[1]);
            else if (isReady(runs.src[i], isArithmetic, length, count))
              operands[i] = {from, runs.src[i].type == ElementType::F16};
            else if (operands[i] = {numbers(loaded[i])}; !runs.isConstant[i] || repeated[i] != from)
              loadRuns(runs.src[i], from, length, count, loaded[i]);
            // The first of them are the most.
            repeated[i] = runs.src[i].outer[0] == 0 && length == runs.length ? from : nullptr;
          }
          uint8_t *to = at(dst, runs.dst, place, begin);
          if (isReady(runs.dst, isArithmetic, length, count)) {
            compute(runs.opcode, operands, to, runs.dst.type == ElementType::F16, n);
          } else {
            compute(runs.opcode, operands, numbers(result), false, n);
            storeRuns(runs.dst, result, length, count, to);
          }
        }
      }
}

} // namespace wafer
