//===- Assembler.cpp - instructions as text ---------------------------------===//
//
// print and parse, driven by the kinds of an instruction's fields. A message points at the first character that is not what was expected.
//
//===----------------------------------------------------------------------===//

#include "Tables.h"

#include <utility>

namespace wafer {

using namespace isa;

namespace {

/// Reads the pieces of an assembler line and remembers where the last one began.
class Cursor {
public:
  explicit Cursor(std::string_view text) : text_(text) {}

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
    while (at_ < text_.size() && isWordPart(text_[at_]))
      ++at_;
    return text_.substr(start_, at_ - start_);
  }

  /// A decimal number in [low, high].
  int64_t number(int64_t low, int64_t high, const std::string &what) {
    skipSpace();
    bool negative = low < 0 && at_ < text_.size() && text_[at_] == '-';
    at_ += negative;
    size_t digits = at_;
    int64_t value = 0;
    // Past the range the value does not matter; stopping there keeps it from overflowing.
    for (; at_ < text_.size() && isDigit(text_[at_]); ++at_)
      value = value > 0xffff ? value : value * 10 + (text_[at_] - '0');
    bool isNumber = at_ > digits && (at_ == text_.size() || !isWordPart(text_[at_]));
    value = negative ? -value : value;
    if (!isNumber || value < low || value > high)
      fail(what + " in " + std::to_string(low) + ".." + std::to_string(high));
    return value;
  }

  /// Throws "found 'x', expected ..., at column N of '...'", where x is the piece that was read last.
  [[noreturn]] void fail(const std::string &expected) const {
    size_t end = start_;
    if (end < text_.size() && text_[end] == '-')
      ++end;
    while (end < text_.size() && isWordPart(text_[end]))
      ++end;
    if (end == start_ && end < text_.size())
      ++end;
    std::string found = start_ == text_.size() ? "the end" : "'" + std::string(text_.substr(start_, end - start_)) + "'";
    throw IsaError("found " + found + ", expected " + expected + ", at column " + std::to_string(start_ + 1) + " of '" + std::string(text_) + "'");
  }

private:
  // Not std::isalnum: what is a register's name must not depend on the locale.
  static bool isDigit(char c) { return c >= '0' && c <= '9'; }
  static bool isWordPart(char c) { return isDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

  void skipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r' || text_[at_] == '\n'))
      ++at_;
    start_ = at_;
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t start_ = 0;
};

uint64_t parseRegister(Cursor &in, const FieldInfo &field) {
  std::string_view name = in.word();
  bool isRegister = (name.size() == 2 || name.size() == 3) && name[0] == 'd';
  unsigned number = 0;
  for (char c : name.substr(isRegister ? 1 : name.size())) {
    isRegister = isRegister && c >= '0' && c <= '9';
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  if (!isRegister || number >= numDescriptorRegisters)
    in.fail("a register d0..d" + std::to_string(numDescriptorRegisters - 1) + " for " + std::string(field.name));
  return number;
}

uint64_t parseOperand(Cursor &in, const FieldInfo &field) {
  switch (field.kind) {
  case FieldKind::templateKind:
    if (!in.take('%'))
      in.fail("a template such as %3");
    return static_cast<uint64_t>(in.number(0, UINT16_MAX, "a template number"));
  case FieldKind::pcKind:
    if (!in.take('@'))
      in.fail("an instruction number such as @12");
    return static_cast<uint64_t>(in.number(0, UINT16_MAX, "an instruction number"));
  case FieldKind::signedKind:
    return static_cast<uint16_t>(in.number(INT16_MIN, INT16_MAX, "a byte offset"));
  case FieldKind::descriptorKind:
  case FieldKind::typeKind:
  case FieldKind::flagKind:
  case FieldKind::noKind:
    break;
  }
  return parseRegister(in, field);
}

void parseFlags(Cursor &in, const InsnInfo &info, Instruction &insn) {
  while (!in.atEnd()) {
    std::string_view name = in.word();
    std::string left;
    bool isFlag = false;
    for (const FieldInfo &field : info) {
      if (field.kind != FieldKind::flagKind || getField(insn, field.id))
        continue;
      left += (left.empty() ? "'" : " or '") + std::string(field.name) + "'";
      if (field.name != name)
        continue;
      setField(insn, field.id, 1);
      isFlag = true;
    }
    if (!isFlag)
      in.fail((left.empty() ? "" : left + " or ") + "the end of '" + std::string(info.name) + "'");
  }
}

std::string printOperand(const Instruction &insn, const FieldInfo &field) {
  uint64_t value = getField(insn, field.id);
  switch (field.kind) {
  case FieldKind::templateKind:
    return "%" + std::to_string(value);
  case FieldKind::pcKind:
    return "@" + std::to_string(value);
  case FieldKind::signedKind:
    return std::to_string(static_cast<int16_t>(value));
  case FieldKind::descriptorKind:
  case FieldKind::typeKind:
  case FieldKind::flagKind:
  case FieldKind::noKind:
    break;
  }
  return "d" + std::to_string(value);
}

} // namespace

std::string print(const Instruction &insn) {
  const InsnInfo &info = known(insn.opcode);
  std::string type, operands, flags;
  for (const FieldInfo &field : info) {
    if (field.kind == FieldKind::typeKind)
      type = "." + std::string(typeName(insn.type));
    else if (field.kind == FieldKind::flagKind)
      flags += getField(insn, field.id) ? " " + std::string(field.name) : "";
    else
      operands += (operands.empty() ? " " : ", ") + printOperand(insn, field);
  }
  return std::string(info.name) + type + operands + flags;
}

Instruction parse(std::string_view text) {
  Cursor in(text);
  std::string_view name = in.word();
  const InsnInfo *info = nullptr;
  for (const InsnInfo &candidate : insnTable)
    if (candidate.name == name)
      info = &candidate;
  if (!info)
    in.fail("an instruction");

  Instruction insn;
  insn.opcode = info->opcode;
  bool first = true;
  for (const FieldInfo &field : *info) {
    if (field.kind == FieldKind::flagKind)
      continue;
    if (field.kind == FieldKind::typeKind) {
      if (!in.take('.'))
        in.fail("a type, as in " + std::string(info->name) + "." + legalTypes(*info).substr(0, legalTypes(*info).find(',')));
      std::optional<ElementType> type = parseType(in.word());
      if (!type || !info->takes(static_cast<uint64_t>(*type)))
        in.fail("a type that '" + std::string(info->name) + "' takes: " + legalTypes(*info));
      insn.type = *type;
      continue;
    }
    if (!std::exchange(first, false) && !in.take(','))
      in.fail("',' before " + std::string(field.name));
    setField(insn, field.id, parseOperand(in, field));
  }
  parseFlags(in, *info, insn);
  return insn;
}

} // namespace wafer
