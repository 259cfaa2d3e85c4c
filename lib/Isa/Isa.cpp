//===- Isa.cpp - instructions: check, encode, decode ------------------------===//
//
// Driven by the tables of Isa.inc: nothing here names an instruction.
//
//===----------------------------------------------------------------------===//

#include "Tables.h"

#include <array>

namespace wafer {

namespace isa {

static const InsnInfo *infoOf(unsigned opcode) {
  static const std::array<const InsnInfo *, 256> byOpcode = [] {
    std::array<const InsnInfo *, 256> table{};
    for (const InsnInfo &info : insnTable)
      table[static_cast<unsigned>(info.opcode)] = &info;
    return table;
  }();
  return opcode < byOpcode.size() ? byOpcode[opcode] : nullptr;
}

static std::string notAnInstruction(unsigned opcode) { return "opcode " + std::to_string(opcode) + " is not an instruction"; }

const InsnInfo &known(Opcode opcode) {
  const InsnInfo *info = infoOf(static_cast<unsigned>(opcode));
  if (!info)
    throw IsaError(notAnInstruction(static_cast<unsigned>(opcode)));
  return *info;
}

uint64_t getField(const Instruction &insn, FieldId field) {
  switch (field) {
  case FieldId::typeField:
    return static_cast<uint64_t>(insn.type);
  case FieldId::dstField:
    return insn.dst;
  case FieldId::src0Field:
    return insn.src0;
  case FieldId::src1Field:
    return insn.src1;
  case FieldId::src2Field:
    return insn.src2;
  case FieldId::asyncField:
    return insn.async;
  case FieldId::clear1Field:
    return insn.clear1;
  case FieldId::skip0Field:
    return insn.skip0;
  case FieldId::templateField:
    return insn.descriptorTemplate;
  case FieldId::pcField:
    return insn.pc;
  case FieldId::offsetField:
    return static_cast<uint16_t>(insn.offset);
  case FieldId::noField:
    break;
  }
  return 0;
}

void setField(Instruction &insn, FieldId field, uint64_t value) {
  switch (field) {
  case FieldId::typeField:
    insn.type = static_cast<ElementType>(value);
    break;
  case FieldId::dstField:
    insn.dst = static_cast<uint8_t>(value);
    break;
  case FieldId::src0Field:
    insn.src0 = static_cast<uint8_t>(value);
    break;
  case FieldId::src1Field:
    insn.src1 = static_cast<uint8_t>(value);
    break;
  case FieldId::src2Field:
    insn.src2 = static_cast<uint8_t>(value);
    break;
  case FieldId::asyncField:
    insn.async = value;
    break;
  case FieldId::clear1Field:
    insn.clear1 = value;
    break;
  case FieldId::skip0Field:
    insn.skip0 = value;
    break;
  case FieldId::templateField:
    insn.descriptorTemplate = static_cast<uint16_t>(value);
    break;
  case FieldId::pcField:
    insn.pc = static_cast<uint16_t>(value);
    break;
  case FieldId::offsetField:
    insn.offset = static_cast<int16_t>(value);
    break;
  case FieldId::noField:
    break;
  }
}

std::string legalTypes(const InsnInfo &info) {
  std::string names;
  for (const TypeInfo &type : typeTable)
    if (info.takes(static_cast<uint64_t>(type.type)))
      names += (names.empty() ? "" : ", ") + std::string(type.name);
  return names;
}

/// The reason why a field's value is not legal, or "".
static std::string fieldProblem(const InsnInfo &info, const FieldInfo &field, uint64_t value) {
  if (field.kind == FieldKind::descriptorKind && value >= numDescriptorRegisters)
    return "register d" + std::to_string(value) + " in '" + std::string(info.name) + "', but there are d0..d" + std::to_string(numDescriptorRegisters - 1);
  if (field.kind == FieldKind::typeKind && !info.takes(value)) {
    std::string_view name = typeName(static_cast<ElementType>(value));
    std::string found = value > 0xff || name == "none" ? std::to_string(value) : std::string(name);
    return "type " + found + " in '" + std::string(info.name) + "', which takes " + legalTypes(info);
  }
  return "";
}

/// The reason why an instruction cannot be encoded, or "".
static std::string problemOf(const InsnInfo &info, const Instruction &insn) {
  Instruction rest = insn;
  rest.opcode = Opcode::None;
  for (const FieldInfo &field : info) {
    if (std::string problem = fieldProblem(info, field, getField(insn, field.id)); !problem.empty())
      return problem;
    setField(rest, field.id, 0);
  }
  // A value without a field would be lost in the word without a trace.
  if (rest == Instruction{})
    return "";
  for (const InsnInfo &other : insnTable)
    for (const FieldInfo &field : other)
      if (getField(rest, field.id))
        return "'" + std::string(field.name) + "' is set, but '" + std::string(info.name) + "' has no such field";
  return "";
}

} // namespace isa

bool Instruction::operator==(const Instruction &other) const {
  return opcode == other.opcode && type == other.type && dst == other.dst && src0 == other.src0 && src1 == other.src1 && src2 == other.src2 &&
         async == other.async && clear1 == other.clear1 && skip0 == other.skip0 && descriptorTemplate == other.descriptorTemplate && pc == other.pc && offset == other.offset;
}

std::string validate(const Instruction &insn) {
  const isa::InsnInfo *info = isa::infoOf(static_cast<unsigned>(insn.opcode));
  return info ? isa::problemOf(*info, insn) : isa::notAnInstruction(static_cast<unsigned>(insn.opcode));
}

uint64_t encode(const Instruction &insn) {
  const isa::InsnInfo &info = isa::known(insn.opcode);
  if (std::string problem = isa::problemOf(info, insn); !problem.empty())
    throw IsaError(problem);
  uint64_t word = static_cast<uint64_t>(insn.opcode);
  for (const isa::FieldInfo &field : info)
    word |= (isa::getField(insn, field.id) & field.mask()) << field.lo;
  return word;
}

Instruction decode(uint64_t word) {
  const isa::InsnInfo &info = isa::known(static_cast<Opcode>(word & 0xff));
  Instruction insn;
  insn.opcode = info.opcode;
  uint64_t covered = 0xff;
  for (const isa::FieldInfo &field : info) {
    uint64_t value = (word >> field.lo) & field.mask();
    if (std::string problem = isa::fieldProblem(info, field, value); !problem.empty())
      throw IsaError(problem);
    isa::setField(insn, field.id, value);
    covered |= field.mask() << field.lo;
  }
  if (uint64_t rest = word & ~covered) {
    unsigned bit = 0;
    while (!(rest >> bit & 1))
      ++bit;
    throw IsaError("bit " + std::to_string(bit) + " is set, but no field of '" + std::string(info.name) + "' covers it");
  }
  return insn;
}

InsnClass insnClass(Opcode opcode) { return isa::known(opcode).insnClass; }
std::string_view mnemonic(Opcode opcode) { return isa::known(opcode).name; }

unsigned numSources(Opcode opcode) {
  // Engines ask this for every instruction.
  static const std::array<uint8_t, 256> counts = [] {
    std::array<uint8_t, 256> table{};
    for (const isa::InsnInfo &info : isa::insnTable)
      for (const isa::FieldInfo &field : info)
        table[static_cast<unsigned>(info.opcode)] += field.id == isa::FieldId::src0Field || field.id == isa::FieldId::src1Field || field.id == isa::FieldId::src2Field;
    return table;
  }();
  return counts[static_cast<uint8_t>(opcode)];
}

bool hasDst(Opcode opcode) {
  for (const isa::FieldInfo &field : isa::known(opcode))
    if (field.id == isa::FieldId::dstField)
      return true;
  return false;
}

std::string_view typeName(ElementType type) {
  for (const isa::TypeInfo &info : isa::typeTable)
    if (info.type == type)
      return info.name;
  return "none";
}

std::optional<ElementType> parseType(std::string_view name) {
  for (const isa::TypeInfo &info : isa::typeTable)
    if (info.name == name)
      return info.type;
  return std::nullopt;
}

unsigned byteSize(ElementType type) {
  static constexpr std::array<uint8_t, 16> sizes = [] {
    std::array<uint8_t, 16> table{};
    for (const isa::TypeInfo &info : isa::typeTable)
      table[static_cast<unsigned>(info.type)] = static_cast<uint8_t>(info.bytes);
    return table;
  }();
  return static_cast<unsigned>(type) < sizes.size() ? sizes[static_cast<unsigned>(type)] : 0;
}

uint64_t isaHash() { return isa::tableHash; }

} // namespace wafer
