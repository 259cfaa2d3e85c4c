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

constexpr int wordBits = 64;
constexpr int opcodeBits = 8;
const char *const knownKinds[] = {"descriptor", "type", "flag", "template", "pc", "signed"};

std::string capitalised(StringRef mnemonic) { return (Twine(toUpper(mnemonic.front())) + mnemonic.drop_front()).str(); }

Field readField(const Record *record) {
  Field field{record->getValueAsString("name").str(), static_cast<int>(record->getValueAsInt("lo")), static_cast<int>(record->getValueAsInt("width")),
              record->getValueAsDef("kind")->getValueAsString("name").str(), record->getValueAsString("description").str()};
  if (!is_contained(knownKinds, field.kind))
    PrintFatalError(record->getLoc(), "field '" + field.name + "' has kind '" + field.kind + "', which wafer-tblgen does not know");
  if (field.width < 1 || field.lo < opcodeBits || field.lo + field.width > wordBits)
    PrintFatalError(record->getLoc(), "field '" + field.name + "' takes bits " + Twine(field.lo) + ".." + Twine(field.lo + field.width - 1) + ", but fields lie in bits " +
                                          Twine(opcodeBits) + ".." + Twine(wordBits - 1));
  return field;
}

Type readType(const Record *record) {
  return {record->getName().str(), record->getValueAsString("mnemonic").str(), static_cast<int>(record->getValueAsInt("encoding")),
          static_cast<int>(record->getValueAsInt("byteSize"))};
}

void checkDisjoint(const Record *record, const Insn &insn) {
  for (size_t i = 0; i < insn.fields.size(); ++i)
    for (size_t j = i + 1; j < insn.fields.size(); ++j) {
      const Field &a = insn.fields[i], &b = insn.fields[j];
      if (a.lo < b.lo + b.width && b.lo < a.lo + a.width)
        PrintFatalError(record->getLoc(), "fields '" + a.name + "' and '" + b.name + "' of '" + insn.mnemonic + "' overlap");
    }
}

} // namespace

bool Insn::has(const std::string &kind) const {
  return any_of(fields, [&](const Field &field) { return field.kind == kind; });
}

Isa readIsa(const RecordKeeper &records) {
  Isa isa;
  for (const Record *record : records.getAllDerivedDefinitions("IsaType"))
    isa.types.push_back(readType(record));
  sort(isa.types, [](const Type &a, const Type &b) { return a.code < b.code; });
  for (const Record *record : records.getAllDerivedDefinitions("InsnClass"))
    isa.classes.push_back(record->getName().str());

  std::map<int, const Record *> byOpcode;
  std::map<std::string, const Record *> byMnemonic;
  for (const Record *record : records.getAllDerivedDefinitions("Insn")) {
    Insn insn;
    insn.mnemonic = record->getValueAsString("mnemonic").str();
    insn.enumerator = capitalised(insn.mnemonic);
    insn.opcode = static_cast<int>(record->getValueAsInt("opcode"));
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
    checkDisjoint(record, insn);
    if (insn.has("type") == insn.types.empty())
      PrintFatalError(record->getLoc(), "'" + insn.mnemonic + "' needs a type field and a list of types, or neither");
    isa.insns.push_back(std::move(insn));
  }
  sort(isa.insns, [](const Insn &a, const Insn &b) { return a.opcode < b.opcode; });
  return isa;
}

} // namespace wafer_tblgen
