//===- Compiler.cpp - MLIR text in, executable out -------------------------===//

#include "wafer/Pipelines/Compiler.h"

#include "wafer/Executable/Executable.h"
#include "wafer/Pipelines/Pipelines.h"
#include "wafer/RegisterAll.h"
#include "wafer/Target/Executable.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"

using namespace mlir;

namespace wafer {

namespace {

const char *severityName(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Error:
    return "error";
  case DiagnosticSeverity::Warning:
    return "warning";
  case DiagnosticSeverity::Remark:
    return "remark";
  case DiagnosticSeverity::Note:
    return "note";
  }
  llvm_unreachable("all severities are listed");
}

Diagnostic converted(mlir::Diagnostic &source) {
  Diagnostic diagnostic;
  diagnostic.severity = severityName(source.getSeverity());
  diagnostic.message = source.str();
  // The first file in a fused or call-site location is the user's.
  source.getLocation()->walk([&](Location location) {
    auto file = dyn_cast<FileLineColLoc>(location);
    if (!file)
      return WalkResult::advance();
    diagnostic.file = file.getFilename().str();
    diagnostic.line = file.getLine();
    diagnostic.column = file.getColumn();
    return WalkResult::interrupt();
  });
  for (mlir::Diagnostic &note : source.getNotes())
    diagnostic.notes.push_back(converted(note));
  return diagnostic;
}

/// Leaves the entries as the only public functions, so that the others are inlined into them or dropped.
LogicalResult selectEntries(ModuleOp module, const std::vector<std::string> &entries) {
  for (auto function : module.getOps<func::FuncOp>())
    function.setVisibility(SymbolTable::Visibility::Private);
  for (const std::string &entry : entries) {
    auto function = module.lookupSymbol<func::FuncOp>(entry);
    if (!function || function.isExternal()) {
      InFlightDiagnostic diag = module.emitError() << "found no function '@" << entry << "' with a body, expected the entry to compile";
      for (auto other : module.getOps<func::FuncOp>())
        diag.attachNote(other.getLoc()) << "'@" << other.getSymName() << "' is here; name it as the entry";
      return diag;
    }
    function.setVisibility(SymbolTable::Visibility::Public);
  }
  return success();
}

/// One module with what stands in all texts; lines "// -----" part them, as in tools of MLIR.
OwningOpRef<ModuleOp> parseTexts(MLIRContext &context, const std::string &text) {
  SmallVector<StringRef> texts;
  StringRef(text).split(texts, "\n// -----\n");
  OwningOpRef<ModuleOp> module;
  for (StringRef part : texts) {
    OwningOpRef<ModuleOp> parsed = parseSourceString<ModuleOp>(part, &context);
    if (!parsed)
      return nullptr;
    if (!module)
      module = std::move(parsed);
    else
      module->getBody()->getOperations().splice(module->getBody()->end(), parsed->getBody()->getOperations());
  }
  if (failed(verify(*module)))
    return nullptr;
  return module;
}

LogicalResult compile(MLIRContext &context, const std::string &text, const CompileOptions &options, std::vector<uint8_t> &executable) {
  OwningOpRef<ModuleOp> module = parseTexts(context, text);
  if (!module || failed(selectEntries(*module, options.entries)))
    return failure();
  PassManager pm(&context);
  if (!options.irDumpDir.empty()) {
    if (std::error_code error = llvm::sys::fs::create_directories(options.irDumpDir))
      return module->emitError() << "cannot make the folder '" << options.irDumpDir << "' for IR dumps: " << error.message();
    pm.enableIRPrintingToFileTree([](Pass *, Operation *) { return false; }, [](Pass *, Operation *) { return true; }, /*printModuleScope=*/true,
                                  /*printAfterOnlyOnChange=*/true, /*printAfterOnlyOnFailure=*/false, options.irDumpDir);
  }
  if (!options.decisionTraceFile.empty())
    llvm::sys::fs::remove(options.decisionTraceFile);
  PipelineOptions phases{options.machine, options.precision, options.activationZeros, options.decisionTraceFile, /*choicesOnly=*/false, options.traceWithin};
  options.onlyMemoryX ? buildMemoryXPipeline(pm, phases) : buildWaferPipeline(pm, phases);
  if (failed(pm.run(*module)))
    return failure();
  wexe::ProgramT program;
  if (failed(translateToExecutable(*module, program)))
    return failure();
  executable = writeExecutable(program);
  return success();
}

} // namespace

CompileResult compileText(const std::string &mlirText, const CompileOptions &options) {
  CompileResult result;
  DialectRegistry registry;
  registerAllDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.printOpOnDiagnostic(false);
  ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) { result.diagnostics.push_back(converted(diagnostic)); });
  try {
    result.ok = succeeded(compile(context, mlirText, options, result.executable));
  } catch (const std::exception &error) {
    // Machine descriptions and executables are refused by exceptions of the libraries without LLVM.
    result.diagnostics.push_back({"error", error.what(), "", 0, 0, {}});
  }
  return result;
}

} // namespace wafer
