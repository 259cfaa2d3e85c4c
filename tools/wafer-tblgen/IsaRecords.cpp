//===- IsaRecords.cpp - the instruction table as read from TableGen ---------===//

#include "IsaRecords.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/TableGen/Error.h"
#include "llvm/TableGen/Record.h"

#include <map>

using namespace llvm;

namespace wafer_tblgen {

namespace {

constexpr int64_t wordBits = 64;
constexpr int64_t opcodeBits = 8;
constexpr int64_t typeBits = 4;

/// The widths that wafer::Instruction can hold of each kind; a number of instructions, templates or bytes fills its member exactly.
struct KindInfo {
  const char *name;
  int64_t minWidth, maxWidth;
};
constexpr KindInfo knownKinds[] = {{"descriptor", 6, 8}, {"type", typeBits, typeBits}, {"flag", 1, 1}, {"template", 16, 16}, {"pc", 16, 16}, {"signed", 16, 16}};

std::string capitalised(StringRef mnemonic) { return (Twine(toUpper(mnemonic.front())) + mnemonic.drop_front()).str(); }

/// Names become C++ enumerators, members, and words of the assembler.
void checkName(const Record *record, StringRef name) {
  bool isWord = !name.empty() && isLower(name.front()) && all_of(name, [](char c) { return isLower(c) || isDigit(c); });
  if (!isWord || name == "none")
    PrintFatalError(record->getLoc(), "found the name '" + name + "', expected lower-case letters and digits, and not 'none'");
}

Field readField(const Record *record) {
  Field field{record->getValueAsString("name").str(), record->getValueAsInt("lo"), record->getValueAsInt("width"),
              record->getValueAsDef("kind")->getValueAsString("name").str(), record->getValueAsString("description").str()};
  checkName(record, field.name);
  const KindInfo *kind = find_if(knownKinds, [&](const KindInfo &known) { return known.name == field.kind; });
  if (kind == std::end(knownKinds))
    PrintFatalError(record->getLoc(), "field '" + field.name + "' has kind '" + field.kind + "', which wafer-tblgen does not know");
  if (field.width < kind->minWidth || field.width > kind->maxWidth)
    PrintFatalError(record->getLoc(), "field '" + field.name + "' of kind '" + field.kind + "' has " + Twine(field.width) + " bits, expected " +
                                          Twine(kind->minWidth) + ".." + Twine(kind->maxWidth));
  if (field.lo < opcodeBits || field.lo > wordBits - field.width)
    PrintFatalError(record->getLoc(), "field '" + field.name + "' has " + Twine(field.width) + " bits from bit " + Twine(field.lo) +
                                          " on, but fields lie in bits " + Twine(opcodeBits) + ".." + Twine(wordBits - 1));
  return field;
}

Type readType(const Record *record) {
  Type type{record->getName().str(), record->getValueAsString("mnemonic").str(), record->getValueAsInt("encoding"), record->getValueAsInt("byteSize")};
  checkName(record, type.mnemonic);
  if (type.code < 1 || type.code >= 1 << typeBits)
    PrintFatalError(record->getLoc(), "encoding " + Twine(type.code) + " of type '" + type.mnemonic + "' is not in 1.." + Twine((1 << typeBits) - 1));
  if (type.bytes != 1 && type.bytes != 2 && type.bytes != 4)
    PrintFatalError(record->getLoc(), "type '" + type.mnemonic + "' has " + Twine(type.bytes) + " bytes, expected 1, 2 or 4");
  return type;
}

std::vector<Type> readTypes(const RecordKeeper &records) {
  std::vector<Type> types;
  std::map<int64_t, const Record *> byCode;
  std::map<std::string, const Record *> byMnemonic;
  for (const Record *record : records.getAllDerivedDefinitions("IsaType")) {
    Type type = readType(record);
    if (auto [other, isNew] = byCode.try_emplace(type.code, record); !isNew) {
      PrintError(record->getLoc(), "type '" + type.mnemonic + "' has encoding " + Twine(type.code) + ", which is taken");
      PrintFatalNote(other->second->getLoc(), "by '" + other->second->getValueAsString("mnemonic") + "'");
    }
    if (!byMnemonic.try_emplace(type.mnemonic, record).second)
      PrintFatalError(record->getLoc(), "type name '" + type.mnemonic + "' is used twice");
    types.push_back(std::move(type));
  }
  sort(types, [](const Type &a, const Type &b) { return a.code < b.code; });
  return types;
}

void checkFields(const Record *record, const Insn &insn) {
  for (size_t i = 0; i < insn.fields.size(); ++i)
    for (size_t j = i + 1; j < insn.fields.size(); ++j) {
      const Field &a = insn.fields[i], &b = insn.fields[j];
      if (a.name == b.name)
        PrintFatalError(record->getLoc(), "'" + insn.mnemonic + "' has two fields '" + a.name + "'");
      if (a.lo < b.lo + b.width && b.lo < a.lo + a.width)
        PrintFatalError(record->getLoc(), "fields '" + a.name + "' and '" + b.name + "' of '" + insn.mnemonic + "' overlap");
    }
  if (count_if(insn.fields, [](const Field &field) { return field.kind == "template" || field.kind == "pc"; }) > 1)
    PrintFatalError(record->getLoc(), "'" + insn.mnemonic + "' names more than one template or instruction; a pe operation has one symbol");
}

} // namespace

bool Insn::has(const std::string &kind) const {
  return any_of(fields, [&](const Field &field) { return field.kind == kind; });
}

Isa readIsa(const RecordKeeper &records) {
  Isa isa;
  isa.types = readTypes(records);
  for (const Record *record : records.getAllDerivedDefinitions("InsnClass"))
    isa.classes.push_back(record->getName().str());
  // Also those that no instruction has yet.
  for (const Record *record : records.getAllDerivedDefinitions("Field"))
    readField(record);

  std::map<int64_t, const Record *> byOpcode;
  std::map<std::string, const Record *> byMnemonic;
  for (const Record *record : records.getAllDerivedDefinitions("Insn")) {
    Insn insn;
    insn.mnemonic = record->getValueAsString("mnemonic").str();
    checkName(record, insn.mnemonic);
    insn.enumerator = capitalised(insn.mnemonic);
    insn.opcode = record->getValueAsInt("opcode");
    insn.insnClass = record->getValueAsDef("insnClass")->getName().str();
    insn.summary = record->getValueAsString("summary").str();
    for (const Record *field : record->getValueAsListOfDefs("fields"))
      insn.fields.push_back(readField(field));
    for (const Record *type : record->getValueAsListOfDefs("types"))
      insn.types.push_back(readType(type));

    if (insn.opcode < 1 || insn.opcode >= 1 << opcodeBits)
      PrintFatalError(record->getLoc(), "opcode " + Twine(insn.opcode) + " of '" + insn.mnemonic + "' is not in 1.." + Twine((1 << opcodeBits) - 1));
    if (auto [other, isNew] = byOpcode.try_emplace(insn.opcode, record); !isNew) {
      PrintError(record->getLoc(), "'" + insn.mnemonic + "' has opcode " + Twine(insn.opcode) + ", which is taken");
      PrintFatalNote(other->second->getLoc(), "by '" + other->second->getValueAsString("mnemonic") + "'");
    }
    if (!byMnemonic.try_emplace(insn.mnemonic, record).second)
      PrintFatalError(record->getLoc(), "mnemonic '" + insn.mnemonic + "' is used twice");
    checkFields(record, insn);
    if (insn.has("type") == insn.types.empty())
      PrintFatalError(record->getLoc(), "'" + insn.mnemonic + "' needs a type field and a list of types, or neither");
    isa.insns.push_back(std::move(insn));
  }
  sort(isa.insns, [](const Insn &a, const Insn &b) { return a.opcode < b.opcode; });
  return isa;
}

} // namespace wafer_tblgen
