//===- FunctionalVector.cpp - vector instructions in bulk --------------------===//

#include "FunctionalVector.h"

#include "FunctionalKernels.h"

#include "wafer/Emulator/NumberFormats.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace wafer {

namespace {

bool samePlace(const Descriptor &a, const Descriptor &b) {
  return a.kind == b.kind && a.type == b.type && a.base == b.base && std::equal(a.stride, a.stride + 4, b.stride);
}

/// An operand along the innermost dimension.
struct Row {
  wexe::DescKind kind = wexe::DescKind::Const;
  ElementType type = ElementType::F32;
  int64_t address = 0;             ///< of element 0
  int64_t step[4] = {0, 0, 0, 0};  ///< bytes per index of each dimension
  float constant = 0;

  int64_t at(const int64_t *index) const { return address + index[0] * step[0] + index[1] * step[1] + index[2] * step[2]; }
};

Row rowOf(const Descriptor &descriptor) {
  Row row;
  row.kind = descriptor.kind;
  row.type = elementType(descriptor.type);
  row.constant = isFloat(row.type) ? floatOf(descriptor.imm) : 0;
  row.address = descriptor.base;
  for (int d = 0; d < 4; ++d)
    row.step[d] = int64_t(descriptor.stride[d]) * byteSize(row.type);
  return row;
}

constexpr size_t chunk = 256;

/// Elements [begin, begin + n) of a row as numbers of the compute type.
void load(CoreModel &model, const Row &row, int64_t address, size_t begin, size_t n, ElementType compute, float *to) {
  if (row.kind == wexe::DescKind::Const) {
    std::fill_n(to, n, convert({row.constant, 0}, ElementType::F32, compute).f);
    return;
  }
  const unsigned bytes = byteSize(row.type);
  const int64_t first = address + static_cast<int64_t>(begin) * row.step[3];
  if (row.kind == wexe::DescKind::Mem && row.step[3] == bytes) {
    loadFloats(row.type, model.memory.sram + first, to, n);
  } else if (row.step[3] == 0) {
    loadFloats(row.type, model.memory.at(row.kind, static_cast<uint32_t>(first)), to, 1);
    std::fill_n(to + 1, n - 1, to[0]);
  } else {
    for (size_t j = 0; j < n; ++j)
      loadFloats(row.type, model.memory.at(row.kind, static_cast<uint32_t>(first + static_cast<int64_t>(j) * row.step[3])), to + j, 1);
  }
  // Widening from f16 has made NaNs quiet already.
  if (row.type != compute && !(row.type == ElementType::F16 && compute == ElementType::F32))
    for (size_t j = 0; j < n; ++j)
      to[j] = convert({to[j], 0}, row.type, compute).f;
}

template <typename Use> void forEachAddress(CoreModel &model, const Row &row, int64_t address, size_t begin, size_t n, Use use) {
  const int64_t first = address + static_cast<int64_t>(begin) * row.step[3];
  for (size_t j = 0; j < n; ++j)
    use(j, model.memory.at(row.kind, static_cast<uint32_t>(first + static_cast<int64_t>(j) * row.step[3])));
}

void store(CoreModel &model, const Row &row, int64_t address, size_t begin, size_t n, ElementType compute, float *from) {
  if (row.type != compute && compute != ElementType::F32)
    for (size_t j = 0; j < n; ++j)
      from[j] = convert({from[j], 0}, compute, row.type).f;
  const unsigned bytes = byteSize(row.type);
  if (row.kind == wexe::DescKind::Mem && row.step[3] == bytes) {
    storeFloats(row.type, from, model.memory.sram + address + static_cast<int64_t>(begin) * bytes, n);
    return;
  }
  forEachAddress(model, row, address, begin, n, [&](size_t j, uint8_t *at) { storeFloats(row.type, from + j, at, 1); });
}

void clear(CoreModel &model, const Row &row, int64_t address, size_t begin, size_t n) {
  forEachAddress(model, row, address, begin, n, [&](size_t, uint8_t *at) { std::memset(at, 0, byteSize(row.type)); });
}

/// Makes the innermost dimension as long as the operands' strides allow.
void mergeDimensions(int64_t *extent, Row *const *rows, size_t count) {
  for (int d = 2; d >= 0; --d) {
    for (size_t r = 0; r < count; ++r)
      if (rows[r]->kind != wexe::DescKind::Const && extent[d] != 1 && rows[r]->step[d] != rows[r]->step[3] * extent[3])
        return;
    extent[3] *= extent[d];
    extent[d] = 1;
  }
}

} // namespace

bool isContiguous(const Descriptor &descriptor) {
  int64_t expected = 1;
  for (int d = 3; d >= 0; --d) {
    if (descriptor.extent[d] != 1 && descriptor.stride[d] != expected)
      return false;
    expected *= descriptor.extent[d];
  }
  return true;
}

bool mayReadAhead(const Operation &op) {
  auto harmless = [&](const Footprint &written, const Descriptor &at, unsigned source) {
    return !written.overlaps(op.reads[source]) || samePlace(at, op.src[source]);
  };
  for (unsigned i = 0; i < op.sources; ++i)
    if (isMemory(op.src[i]) && !(harmless(op.writes[0], op.dst, i) && harmless(op.writes[1], op.src[1], i)))
      return false;
  return true;
}

bool isCombination(const Instruction &insn) {
  if (insn.type != ElementType::F32)
    return false;
  switch (insn.opcode) {
  case Opcode::Mov:
  case Opcode::Add:
  case Opcode::Sub:
  case Opcode::Mul:
  case Opcode::Max:
  case Opcode::Min:
    return true;
  default:
    return false;
  }
}

void combine(Opcode opcode, const float *a, const float *b, float *result, size_t n) {
  switch (opcode) {
  case Opcode::Add:
    return addFloats(a, b, result, n);
  case Opcode::Sub:
    return subtractFloats(a, b, result, n);
  case Opcode::Mul:
    return multiplyFloats(a, b, result, n);
  case Opcode::Mov:
    if (a != result)
      std::memmove(result, a, n * sizeof(float));
    return;
  default:
    for (size_t j = 0; j < n; ++j)
      result[j] = compute(opcode, ElementType::F32, {a[j], 0}, {b[j], 0}, {}).f;
  }
}

void loadFloats(ElementType type, const uint8_t *from, float *to, size_t n) {
  if (type == ElementType::F32) {
    std::memcpy(to, from, n * sizeof(float));
  } else if (type == ElementType::F16) {
    widenF16(from, to, n);
  } else {
    for (size_t j = 0; j < n; ++j) {
      uint16_t bits;
      std::memcpy(&bits, from + 2 * j, sizeof bits);
      to[j] = bf16ToF32(bits);
    }
  }
}

void storeFloats(ElementType type, const float *from, uint8_t *to, size_t n) {
  if (type == ElementType::F32) {
    std::memcpy(to, from, n * sizeof(float));
  } else if (type == ElementType::F16) {
    narrowF16(from, to, n);
  } else {
    for (size_t j = 0; j < n; ++j) {
      uint16_t bits = f32ToBf16(from[j]);
      std::memcpy(to + 2 * j, &bits, sizeof bits);
    }
  }
}

bool movesWords(const Operation &op) {
  auto fits = [&](const Descriptor &descriptor) {
    return elementType(descriptor.type) == op.insn.type && (isFabric(descriptor) || (descriptor.kind == wexe::DescKind::Mem && isContiguous(descriptor)));
  };
  return op.insn.opcode == Opcode::Mov && byteSize(op.insn.type) >= 2 && fits(op.dst) && fits(op.src[0]) && (isFabric(op.dst) || isFabric(op.src[0]));
}

size_t moveWords(CoreModel &model, Operation &op, size_t n, const uint32_t *in, std::vector<uint32_t> &out) {
  const size_t bytes = byteSize(op.insn.type), words = (n * bytes + 3) / 4;
  const bool receives = op.src[0].kind == wexe::DescKind::FabIn;
  const uint8_t *from = receives ? reinterpret_cast<const uint8_t *>(in) : model.memory.sram + op.src[0].base + op.done * bytes;
  uint8_t *to;
  if (op.dst.kind == wexe::DescKind::FabOut) {
    out.resize(out.size() + words); // an odd last half stays 0
    to = reinterpret_cast<uint8_t *>(out.data() + out.size() - words);
  } else {
    to = model.memory.sram + op.dst.base + op.done * bytes;
  }
  std::memmove(to, from, n * bytes);
  // A float that passes through 16 bits becomes a quiet NaN if it is a NaN.
  if (op.insn.type == ElementType::F16 || op.insn.type == ElementType::BF16) {
    const uint16_t exponent = op.insn.type == ElementType::F16 ? 0x7c00 : 0x7f80, quietBit = op.insn.type == ElementType::F16 ? 0x200 : 0x40;
    for (size_t j = 0; j < n; ++j) {
      uint16_t half;
      std::memcpy(&half, to + 2 * j, sizeof half);
      half |= (half & 0x7fff) > exponent ? quietBit : 0;
      std::memcpy(to + 2 * j, &half, sizeof half);
    }
  }
  op.done += n;
  return receives ? words : 0;
}

bool runInMemory(CoreModel &model, Operation &op) {
  const ElementType type = op.insn.type;
  if (!isFloat(type) || op.done != 0 || !isMemory(op.dst) || !isFloat(elementType(op.dst.type)) || !mayReadAhead(op))
    return false;
  Row dst = rowOf(op.dst), src[3];
  Row *rows[4] = {&dst, &src[0], &src[1], &src[2]};
  for (unsigned i = 0; i < op.sources; ++i) {
    if (isFabric(op.src[i]) || !isFloat(elementType(op.src[i].type)))
      return false;
    src[i] = rowOf(op.src[i]);
  }
  int64_t extent[4];
  std::copy_n(op.dst.extent, 4, extent);
  mergeDimensions(extent, rows, 1 + op.sources);
  // Elements that share an address see each other's results.
  bool clears = op.insn.clear1 && isMemory(op.src[1]);
  if (extent[3] > 1 && (dst.step[3] == 0 || (clears && src[1].step[3] == 0)))
    return false;

  float operands[3][chunk], result[chunk];
  int64_t index[3];
  for (index[0] = 0; index[0] < extent[0]; ++index[0])
    for (index[1] = 0; index[1] < extent[1]; ++index[1])
      for (index[2] = 0; index[2] < extent[2]; ++index[2])
        for (size_t begin = 0, length = static_cast<size_t>(extent[3]); begin < length; begin += chunk) {
          const size_t n = std::min(chunk, length - begin);
          for (unsigned i = 0; i < op.sources; ++i)
            load(model, src[i], src[i].at(index), begin, n, type, operands[i]);
          if (clears)
            clear(model, src[1], src[1].at(index), begin, n);
          if (isCombination(op.insn))
            combine(op.insn.opcode, operands[0], operands[1], result, n);
          else
            for (size_t j = 0; j < n; ++j)
              result[j] = compute(op.insn.opcode, type, {operands[0][j], 0}, {operands[1][j], 0}, {operands[2][j], 0}).f;
          store(model, dst, dst.at(index), begin, n, type, result);
        }
  op.done = op.elements;
  return true;
}

} // namespace wafer
