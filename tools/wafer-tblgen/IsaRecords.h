//===- IsaRecords.h - the instruction table as read from TableGen -----------===//
//
// Reads and checks the records of Isa.td once for all generators. What is wrong with the table is a diagnostic at its line.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_TOOLS_WAFER_TBLGEN_ISARECORDS_H
#define WAFER_TOOLS_WAFER_TBLGEN_ISARECORDS_H

#include <cstdint>
#include <string>
#include <vector>

namespace llvm {
class Record;
class RecordKeeper;
} // namespace llvm

namespace wafer_tblgen {

struct Field {
  std::string name;
  int64_t lo, width;
  std::string kind; ///< descriptor, type, flag, template, pc or signed
  std::string description;
};

struct Type {
  std::string defName;
  std::string mnemonic;
  int64_t code, bytes;
};

struct Insn {
  std::string enumerator; ///< "Fmacw"
  std::string mnemonic;
  int64_t opcode;
  std::string insnClass; ///< "Trigger"
  std::vector<Field> fields;
  std::vector<Type> types;
  std::string summary;

  bool has(const std::string &kind) const;
};

struct Isa {
  std::vector<Type> types;
  std::vector<std::string> classes;
  std::vector<Insn> insns; ///< by opcode
};

/// Reports errors through PrintFatalError, which ends the program with exit code 1.
Isa readIsa(const llvm::RecordKeeper &records);

} // namespace wafer_tblgen

#endif // WAFER_TOOLS_WAFER_TBLGEN_ISARECORDS_H
