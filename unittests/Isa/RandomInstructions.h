//===- RandomInstructions.h - legal instructions for property tests ---------===//
//
// Draws every field that the table gives an instruction. Members are set by name here and not through the library's setField, so that a mix-up there shows.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_UNITTESTS_ISA_RANDOMINSTRUCTIONS_H
#define WAFER_UNITTESTS_ISA_RANDOMINSTRUCTIONS_H

#include "Tables.h"

#include <random>
#include <stdexcept>

namespace wafer::test {

inline void setByName(Instruction &insn, std::string_view field, uint64_t value) {
  if (field == "type")
    insn.type = static_cast<ElementType>(value);
  else if (field == "dst")
    insn.dst = static_cast<uint8_t>(value);
  else if (field == "src0")
    insn.src0 = static_cast<uint8_t>(value);
  else if (field == "src1")
    insn.src1 = static_cast<uint8_t>(value);
  else if (field == "src2")
    insn.src2 = static_cast<uint8_t>(value);
  else if (field == "async")
    insn.async = value;
  else if (field == "clear1")
    insn.clear1 = value;
  else if (field == "skip0")
    insn.skip0 = value;
  else if (field == "template")
    insn.descriptorTemplate = static_cast<uint16_t>(value);
  else if (field == "pc")
    insn.pc = static_cast<uint16_t>(value);
  else if (field == "offset")
    insn.offset = static_cast<int16_t>(value);
  else
    throw std::logic_error("the tests do not know the field '" + std::string(field) + "'");
}

inline uint64_t randomLegalValue(const isa::InsnInfo &info, const isa::FieldInfo &field, std::mt19937_64 &random) {
  if (field.kind == isa::FieldKind::descriptorKind)
    return random() % numDescriptorRegisters;
  if (field.kind != isa::FieldKind::typeKind)
    return random() & field.mask();
  uint64_t type = 0;
  while (!(info.typeMask >> type & 1))
    type = random() % 16;
  return type;
}

inline Instruction randomInstruction(const isa::InsnInfo &info, std::mt19937_64 &random) {
  Instruction insn;
  insn.opcode = info.opcode;
  for (const isa::FieldInfo &field : info)
    setByName(insn, field.name, randomLegalValue(info, field, random));
  return insn;
}

} // namespace wafer::test

#endif // WAFER_UNITTESTS_ISA_RANDOMINSTRUCTIONS_H
