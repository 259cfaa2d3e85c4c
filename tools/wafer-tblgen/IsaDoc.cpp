//===- IsaDoc.cpp - the instruction reference -------------------------------===//

#include "IsaRecords.h"

#include "mlir/TableGen/GenInfo.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TableGen/Record.h"

using namespace llvm;
using namespace wafer_tblgen;

namespace {

bool emitDoc(const RecordKeeper &records, raw_ostream &os) {
  Isa isa = readIsa(records);
  os << "# Instruction table\n\nGenerated from `include/wafer/Isa/Isa.td`. Bits 0..7 hold the opcode; bits that no field covers are zero.\n\n";
  for (const std::string &name : isa.classes) {
    os << "## " << name << "\n\n| instruction | opcode | types | fields (bits) | meaning |\n|---|---|---|---|---|\n";
    for (const Insn &insn : isa.insns) {
      if (insn.insnClass != name)
        continue;
      os << "| `" << insn.mnemonic << "` | " << insn.opcode << " | ";
      interleave(insn.types, os, [&](const Type &type) { os << type.mnemonic; }, " ");
      os << " | ";
      interleaveComma(insn.fields, os, [&](const Field &field) {
        os << field.name << " (" << field.lo;
        if (field.width > 1)
          os << ".." << field.lo + field.width - 1;
        os << ")";
      });
      std::string summary = insn.summary;
      size_t at = 0;
      while ((at = summary.find('|', at)) != std::string::npos) {
        summary.replace(at, 1, "\\|");
        at += 2;
      }
      os << " | " << summary << " |\n";
    }
    os << "\n";
  }
  return false;
}

mlir::GenRegistration generator("gen-isa-doc", "Generate the instruction reference in Markdown", emitDoc);

} // namespace
