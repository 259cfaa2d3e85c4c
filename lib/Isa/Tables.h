//===- Tables.h - the generated instruction tables --------------------------===//
//
// What Isa.inc holds, and access to an instruction's fields by the table's names. Shared by the encoder, the assembler and their tests; a new field of
// Isa.td is a member of Instruction, an enumerator of FieldId and a case of getField and setField.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_ISA_TABLES_H
#define WAFER_LIB_ISA_TABLES_H

#include "wafer/Isa/Isa.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace wafer::isa {

enum class FieldId : uint8_t { noField, typeField, dstField, src0Field, src1Field, src2Field, asyncField, clear1Field, skip0Field, templateField, pcField, offsetField };
enum class FieldKind : uint8_t { noKind, descriptorKind, typeKind, flagKind, templateKind, pcKind, signedKind };

struct TypeInfo {
  ElementType type;
  std::string_view name;
  unsigned bytes;
};

struct FieldInfo {
  FieldId id;
  FieldKind kind;
  unsigned lo, width;
  std::string_view name;

  uint64_t mask() const { return (uint64_t(1) << width) - 1; }
};

struct InsnInfo {
  Opcode opcode;
  std::string_view name;
  InsnClass insnClass;
  const FieldInfo *fields;
  unsigned numFields;
  unsigned typeMask; ///< bit t: the type with encoding t is legal

  const FieldInfo *begin() const { return fields; }
  const FieldInfo *end() const { return fields + numFields; }
  bool takes(uint64_t type) const { return type < 32 && (typeMask >> type & 1); }
};

#define WAFER_ISA_TABLE
#include "wafer/Isa/Isa.inc"

/// The entry of an instruction. Throws IsaError if there is none.
const InsnInfo &known(Opcode opcode);
/// A field's bits, as they stand in the word.
uint64_t getField(const Instruction &insn, FieldId field);
void setField(Instruction &insn, FieldId field, uint64_t value);
/// "f32, f16, bf16"
std::string legalTypes(const InsnInfo &info);

} // namespace wafer::isa

#endif // WAFER_LIB_ISA_TABLES_H
