//===- Isa.cpp - instructions: encode, decode, print, parse -----------------===//
//
// Driven by the tables of Isa.inc: nothing here names an instruction.
//
//===----------------------------------------------------------------------===//

#include "wafer/Isa/Isa.h"

#include <array>
#include <cctype>
#include <cstdlib>
#include <utility>

namespace wafer {

namespace {

enum class FieldId : uint8_t { noField, typeField, dstField, src0Field, src1Field, src2Field, asyncField, clear1Field, templateField, pcField, offsetField };
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
};

#define WAFER_ISA_TABLE
#include "wafer/Isa/Isa.inc"

const InsnInfo *infoOf(unsigned opcode) {
  static const std::array<const InsnInfo *, 256> byOpcode = [] {
    std::array<const InsnInfo *, 256> table{};
    for (const InsnInfo &info : insnTable)
      table[static_cast<unsigned>(info.opcode)] = &info;
    return table;
  }();
  return opcode < byOpcode.size() ? byOpcode[opcode] : nullptr;
}

const InsnInfo &known(Opcode opcode) {
  const InsnInfo *info = infoOf(static_cast<unsigned>(opcode));
  if (!info)
    throw IsaError("opcode " + std::to_string(static_cast<unsigned>(opcode)) + " is not an instruction");
  return *info;
}

uint64_t maskOf(const FieldInfo &field) { return (uint64_t(1) << field.width) - 1; }

/// A field's bits, as they stand in the word.
uint64_t getField(const Instruction &insn, const FieldInfo &field) {
  switch (field.id) {
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

void setField(Instruction &insn, const FieldInfo &field, uint64_t value) {
  switch (field.id) {
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
    if (info.typeMask & (1u << static_cast<unsigned>(type.type)))
      names += (names.empty() ? "" : ", ") + std::string(type.name);
  return names;
}

/// The reason why a field's value is not legal, or "".
std::string fieldProblem(const InsnInfo &info, const FieldInfo &field, uint64_t value) {
  if (field.kind == FieldKind::descriptorKind && value >= numDescriptorRegisters)
    return "register d" + std::to_string(value) + " in '" + std::string(info.name) + "', but there are d0..d" + std::to_string(numDescriptorRegisters - 1);
  if (field.kind == FieldKind::typeKind && (value >= 32 || !(info.typeMask & (1u << value)))) {
    std::string found = "type " + std::to_string(value);
    for (const TypeInfo &type : typeTable)
      if (static_cast<uint64_t>(type.type) == value)
        found = "type " + std::string(type.name);
    return found + " in '" + std::string(info.name) + "', which takes " + legalTypes(info);
  }
  return "";
}

/// Reads the pieces of an assembler line.
class Cursor {
public:
  explicit Cursor(std::string_view text) : text_(text) {}

  void skipSpace() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])))
      ++at_;
  }
  bool atEnd() {
    skipSpace();
    return at_ == text_.size();
  }
  bool take(char c) {
    skipSpace();
    if (at_ == text_.size() || text_[at_] != c)
      return false;
    ++at_;
    return true;
  }
  /// Letters and digits.
  std::string_view word() {
    skipSpace();
    size_t begin = at_;
    while (at_ < text_.size() && std::isalnum(static_cast<unsigned char>(text_[at_])))
      ++at_;
    return text_.substr(begin, at_ - begin);
  }
  /// A decimal number in [low, high].
  int64_t number(int64_t low, int64_t high, const char *what) {
    bool negative = take('-');
    std::string digits(word());
    if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos)
      fail(std::string("expected ") + what);
    int64_t value = std::atoll(digits.c_str());
    value = negative ? -value : value;
    if (value < low || value > high)
      fail("found " + std::to_string(value) + ", but a " + what + " lies in " + std::to_string(low) + ".." + std::to_string(high));
    return value;
  }
  [[noreturn]] void fail(const std::string &message) const {
    throw IsaError(message + " at column " + std::to_string(at_ + 1) + " of '" + std::string(text_) + "'");
  }

private:
  std::string_view text_;
  size_t at_ = 0;
};

} // namespace

bool Instruction::operator==(const Instruction &other) const {
  return opcode == other.opcode && type == other.type && dst == other.dst && src0 == other.src0 && src1 == other.src1 && src2 == other.src2 &&
         async == other.async && clear1 == other.clear1 && descriptorTemplate == other.descriptorTemplate && pc == other.pc && offset == other.offset;
}

uint64_t encode(const Instruction &insn) {
  const InsnInfo &info = known(insn.opcode);
  uint64_t word = static_cast<uint64_t>(insn.opcode);
  for (const FieldInfo &field : info) {
    uint64_t value = getField(insn, field);
    if (std::string problem = fieldProblem(info, field, value); !problem.empty())
      throw IsaError(problem);
    word |= (value & maskOf(field)) << field.lo;
  }
  return word;
}

Instruction decode(uint64_t word) {
  const InsnInfo *info = infoOf(word & 0xff);
  if (!info)
    throw IsaError("opcode " + std::to_string(word & 0xff) + " is not an instruction");
  Instruction insn;
  insn.opcode = info->opcode;
  uint64_t covered = 0xff;
  for (const FieldInfo &field : *info) {
    uint64_t value = (word >> field.lo) & maskOf(field);
    if (std::string problem = fieldProblem(*info, field, value); !problem.empty())
      throw IsaError(problem);
    setField(insn, field, value);
    covered |= maskOf(field) << field.lo;
  }
  if (uint64_t rest = word & ~covered) {
    unsigned bit = 0;
    while (!(rest >> bit & 1))
      ++bit;
    throw IsaError("bit " + std::to_string(bit) + " is set, but no field of '" + std::string(info->name) + "' covers it");
  }
  return insn;
}

std::string print(const Instruction &insn) {
  const InsnInfo &info = known(insn.opcode);
  std::string text(info.name), flags;
  const char *separator = " ";
  for (const FieldInfo &field : info) {
    std::string operand;
    switch (field.kind) {
    case FieldKind::typeKind:
      text += "." + std::string(typeName(insn.type));
      continue;
    case FieldKind::flagKind:
      if (getField(insn, field))
        flags += " " + std::string(field.name);
      continue;
    case FieldKind::descriptorKind:
      operand = "d" + std::to_string(getField(insn, field));
      break;
    case FieldKind::templateKind:
      operand = "%" + std::to_string(insn.descriptorTemplate);
      break;
    case FieldKind::pcKind:
      operand = "@" + std::to_string(insn.pc);
      break;
    case FieldKind::signedKind:
      operand = std::to_string(insn.offset);
      break;
    case FieldKind::noKind:
      break;
    }
    text += separator + operand;
    separator = ", ";
  }
  return text + flags;
}

Instruction parse(std::string_view text) {
  Cursor in(text);
  std::string_view name = in.word();
  const InsnInfo *info = nullptr;
  for (const InsnInfo &candidate : insnTable)
    if (candidate.name == name)
      info = &candidate;
  if (!info)
    in.fail("'" + std::string(name) + "' is not an instruction");

  Instruction insn;
  insn.opcode = info->opcode;
  bool first = true;
  for (const FieldInfo &field : *info) {
    if (field.kind == FieldKind::flagKind)
      continue;
    if (field.kind == FieldKind::typeKind) {
      if (!in.take('.'))
        in.fail("expected a type, as in " + std::string(info->name) + "." + legalTypes(*info).substr(0, 3));
      std::string_view typeText = in.word();
      std::optional<ElementType> type = parseType(typeText);
      if (!type)
        in.fail("'" + std::string(typeText) + "' is not a type; '" + std::string(info->name) + "' takes " + legalTypes(*info));
      insn.type = *type;
      continue;
    }
    if (!std::exchange(first, false) && !in.take(','))
      in.fail("expected ',' before operand " + std::string(field.name));
    switch (field.kind) {
    case FieldKind::descriptorKind: {
      std::string registerName(in.word());
      if (registerName.size() < 2 || registerName.size() > 3 || registerName[0] != 'd' || registerName.find_first_not_of("0123456789", 1) != std::string::npos)
        in.fail("expected a register such as d3 for " + std::string(field.name) + ", found '" + registerName + "'");
      setField(insn, field, static_cast<uint64_t>(std::atoi(registerName.c_str() + 1)));
      break;
    }
    case FieldKind::templateKind:
      if (!in.take('%'))
        in.fail("expected a template such as %3");
      insn.descriptorTemplate = static_cast<uint16_t>(in.number(0, 65535, "template number"));
      break;
    case FieldKind::pcKind:
      if (!in.take('@'))
        in.fail("expected an instruction number such as @12");
      insn.pc = static_cast<uint16_t>(in.number(0, 65535, "instruction number"));
      break;
    case FieldKind::signedKind:
      insn.offset = static_cast<int16_t>(in.number(-32768, 32767, "byte offset"));
      break;
    case FieldKind::noKind:
    case FieldKind::typeKind:
    case FieldKind::flagKind:
      break;
    }
  }
  while (!in.atEnd()) {
    std::string_view flagName = in.word();
    const FieldInfo *flag = nullptr;
    for (const FieldInfo &field : *info)
      if (field.kind == FieldKind::flagKind && field.name == flagName && !flagName.empty())
        flag = &field;
    if (!flag)
      in.fail(flagName.empty() ? std::string("unexpected text") : "'" + std::string(flagName) + "' is not a flag of '" + std::string(info->name) + "'");
    setField(insn, *flag, 1);
  }
  encode(insn); // refuses registers and types out of range
  return insn;
}

std::string validate(const Instruction &insn) {
  const InsnInfo *info = infoOf(static_cast<unsigned>(insn.opcode));
  if (!info)
    return "opcode " + std::to_string(static_cast<unsigned>(insn.opcode)) + " is not an instruction";
  for (const FieldInfo &field : *info)
    if (std::string problem = fieldProblem(*info, field, getField(insn, field)); !problem.empty())
      return problem;
  return "";
}

InsnClass insnClass(Opcode opcode) { return known(opcode).insnClass; }
std::string_view mnemonic(Opcode opcode) { return known(opcode).name; }

unsigned numSources(Opcode opcode) {
  unsigned count = 0;
  for (const FieldInfo &field : known(opcode))
    count += field.id == FieldId::src0Field || field.id == FieldId::src1Field || field.id == FieldId::src2Field;
  return count;
}

bool hasDst(Opcode opcode) {
  for (const FieldInfo &field : known(opcode))
    if (field.id == FieldId::dstField)
      return true;
  return false;
}

std::string_view typeName(ElementType type) {
  for (const TypeInfo &info : typeTable)
    if (info.type == type)
      return info.name;
  return "none";
}

std::optional<ElementType> parseType(std::string_view name) {
  for (const TypeInfo &info : typeTable)
    if (info.name == name)
      return info.type;
  return std::nullopt;
}

unsigned byteSize(ElementType type) {
  for (const TypeInfo &info : typeTable)
    if (info.type == type)
      return info.bytes;
  return 0;
}

uint64_t isaHash() { return tableHash; }

} // namespace wafer
