//===- Compiler.h - MLIR text in, executable out ---------------------------===//
//
// The compiler for callers that do not include MLIR: the Python module and tools. Nothing is thrown and nothing is printed.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_PIPELINES_COMPILER_H
#define WAFER_PIPELINES_COMPILER_H

#include <cstdint>
#include <string>
#include <vector>

namespace wafer {

/// A message about the program, with the place in the user's source (from the text's locations) or in the text itself.
struct Diagnostic {
  std::string severity; ///< "error", "warning", "remark" or "note"
  std::string message;
  std::string file;     ///< empty: not known
  unsigned line = 0, column = 0;
  std::vector<Diagnostic> notes;
};

struct CompileOptions {
  std::string machine = "small";
  std::string precision = "f16";
  std::vector<std::string> entries = {"forward"}; ///< names of the functions to compile, which are the entries of the program
  unsigned activationZeros = 500; ///< thousandths of activations that may be 0 which are expected to be
  std::string decisionTraceFile;  ///< empty: none; an older file is replaced
  double traceWithin = 0;         ///< of candidates, those that can be taken and cost at most so many times what the best one does; 0: all
  bool onlyMemoryX = false;       ///< everything is computed in MemoryX, nothing on the wafer
  std::string irDumpDir;          ///< empty: none; else one file per pass with the IR after it
};

struct CompileResult {
  bool ok = false;
  std::vector<uint8_t> executable; ///< the bytes of a .wexe file, when ok
  std::vector<Diagnostic> diagnostics;
};

/// Compiles a module whose entry functions keep the input contract of docs/rationale/graph.md.
CompileResult compileText(const std::string &mlirText, const CompileOptions &options);

} // namespace wafer

#endif // WAFER_PIPELINES_COMPILER_H
