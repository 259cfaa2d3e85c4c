//===- FunctionalElements.cpp - element-wise instructions, many elements at a time ===//

#include "FunctionalElements.h"

#include "FunctionalFunctions.h"

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

void clear(const ElementRuns::Operand &operand, size_t n, uint8_t *at) {
  for (size_t j = 0; j < n; ++j, at += operand.step)
    std::memset(at, 0, byteSize(operand.type));
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
  for (unsigned i = 0; i < op.sources; ++i)
    runs.areIndependent &= !isMemory(op.src[i]) || !op.writes[0].overlaps(op.reads[i]) || isNested(op.dst);
  return runs;
}

void runElements(const ElementRuns &runs, CoreModel &core) {
  float operands[3][chunk], result[chunk];
  uint8_t *dst = core.memory(runs.dst.kind) + runs.dst.base, *src[3] = {};
  for (unsigned i = 0; i < runs.sources; ++i) {
    if (runs.src[i].kind == wexe::DescKind::Const)
      std::fill_n(operands[i], chunk, runs.src[i].constant);
    else
      src[i] = core.memory(runs.src[i].kind) + runs.src[i].base;
  }
  auto at = [](uint8_t *base, const ElementRuns::Operand &operand, const uint32_t *place, size_t element) {
    return base + int64_t(place[0]) * operand.outer[0] + int64_t(place[1]) * operand.outer[1] + int64_t(place[2]) * operand.outer[2] +
           int64_t(element) * operand.step;
  };
  // Short runs are collected until they are worth a call.
  const size_t collected = runs.areIndependent && runs.length <= chunk ? chunk / runs.length : 1;
  uint8_t *to[chunk];
  size_t waiting = 0;
  auto flush = [&] {
    const size_t n = waiting * runs.length;
    if (!computeFunctions(runs.opcode, operands[0], result, n))
      computeFloats(runs.opcode, operands[0], operands[1], operands[2], result, n);
    for (size_t r = 0; r < waiting; ++r)
      store(runs.dst, result + r * runs.length, runs.length, to[r]);
    waiting = 0;
  };
  uint32_t place[3];
  for (place[2] = 0; place[2] < runs.count[2]; ++place[2])
    for (place[1] = 0; place[1] < runs.count[1]; ++place[1])
      for (place[0] = 0; place[0] < runs.count[0]; ++place[0])
        for (size_t begin = 0; begin < runs.length; begin += chunk) {
          const size_t n = std::min(chunk, runs.length - begin);
          if (collected > 1) {
            for (unsigned i = 0; i < runs.sources; ++i)
              if (src[i])
                load(runs.src[i], at(src[i], runs.src[i], place, 0), n, operands[i] + waiting * n);
            if (runs.clear1)
              clear(runs.src[1], n, at(src[1], runs.src[1], place, 0));
            to[waiting] = at(dst, runs.dst, place, 0);
            if (++waiting == collected)
              flush();
            continue;
          }
          for (unsigned i = 0; i < runs.sources; ++i)
            if (src[i])
              load(runs.src[i], at(src[i], runs.src[i], place, begin), n, operands[i]);
          if (runs.clear1)
            clear(runs.src[1], n, at(src[1], runs.src[1], place, begin));
          if (!computeFunctions(runs.opcode, operands[0], result, n))
            computeFloats(runs.opcode, operands[0], operands[1], operands[2], result, n);
          store(runs.dst, result, n, at(dst, runs.dst, place, begin));
        }
  if (waiting != 0)
    flush();
}

} // namespace wafer
