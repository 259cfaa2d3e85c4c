//===- Isa.h - instructions: encode, decode, print, parse -----------------===//
//
// Everything here is driven by tables that wafer-tblgen generates from Isa.td.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_ISA_ISA_H
#define WAFER_ISA_ISA_H

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace wafer {

/// One enumerator per instruction, e.g. Opcode::Fmacw = 16; None = 0 is no instruction. Then ElementType (F32 = 1, ...), InsnClass (Vector, Function, Trigger, Control).
#define WAFER_ISA_ENUMS
#include "wafer/Isa/Isa.inc"

/// A decoded instruction. Fields that the instruction does not have are 0.
struct Instruction {
  Opcode opcode = Opcode::None;
  ElementType type = ElementType::None;
  uint8_t dst = 0, src0 = 0, src1 = 0, src2 = 0;
  bool async = false;
  bool clear1 = false;
  bool skip0 = false;
  uint16_t descriptorTemplate = 0;
  uint16_t pc = 0;
  int16_t offset = 0;

  bool operator==(const Instruction &other) const;
};

class IsaError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Number of descriptor registers.
inline constexpr unsigned numDescriptorRegisters = 48;

uint64_t encode(const Instruction &insn);
/// Throws IsaError for an unknown opcode, a type the instruction does not take, a register that does not exist, or a set bit that no field covers.
Instruction decode(uint64_t word);
/// "add.f32 d4, d3, d1 async clear1"
std::string print(const Instruction &insn);
/// Inverse of print. Throws IsaError: what was found, what was expected.
Instruction parse(std::string_view text);

/// The reason why an instruction cannot be encoded, or "".
std::string validate(const Instruction &insn);

InsnClass insnClass(Opcode opcode);
std::string_view mnemonic(Opcode opcode);
/// Number of source operands an instruction reads (0..3).
unsigned numSources(Opcode opcode);
bool hasDst(Opcode opcode);
std::string_view typeName(ElementType type);
std::optional<ElementType> parseType(std::string_view name);
unsigned byteSize(ElementType type);
/// Hash of the table; a program made for another table is refused.
uint64_t isaHash();

} // namespace wafer

#endif // WAFER_ISA_ISA_H
