//===- wafer-translate.cpp - wafer dialect <-> executable --------------------===//

#include "wafer/Executable/Executable.h"
#include "wafer/RegisterAll.h"
#include "wafer/Target/Executable.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Support/FileUtilities.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/WithColor.h"

using namespace mlir;
namespace cl = llvm::cl;

enum class Mode { ToExecutable, FromExecutable };

static cl::opt<Mode> mode(cl::desc("What to do:"),
                          cl::values(clEnumValN(Mode::ToExecutable, "wafer-to-wexe", "wafer dialect to a verified executable"),
                                     clEnumValN(Mode::FromExecutable, "wexe-to-wafer", "executable to wafer dialect")));
static cl::opt<std::string> inputFile(cl::Positional, cl::desc("<input file, - for standard input>"), cl::init("-"));
static cl::opt<std::string> outputFile("o", cl::desc("Output file"), cl::value_desc("file"), cl::init("-"));

static int fail(const llvm::Twine &message) {
  llvm::WithColor::error(llvm::errs()) << message << "\n";
  return 1;
}

static std::string inputName() { return inputFile == "-" ? "<stdin>" : inputFile.getValue(); }

/// Calls `read`; adds the input's name to what it finds wrong.
template <typename Read> static auto fromInput(Read read) {
  try {
    return read();
  } catch (const wafer::ExecutableError &error) {
    throw wafer::ExecutableError(inputName() + ": " + error.what());
  }
}

static int toExecutable(MLIRContext &context, std::unique_ptr<llvm::MemoryBuffer> input) {
  if (outputFile == "-")
    return fail("an executable is binary; name a file with -o");
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(input), llvm::SMLoc());
  SourceMgrDiagnosticHandler handler(sources, &context);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(sources, &context);
  wafer::wexe::ProgramT program;
  if (!module || failed(wafer::translateToExecutable(*module, program)))
    return 1;
  std::vector<uint8_t> bytes = wafer::writeExecutable(program);
  // A file that would not load is not worth writing.
  fromInput([&] { return wafer::LoadedProgram::verify(std::move(program)); });
  wafer::writeFileAtomically(outputFile, bytes.data(), bytes.size());
  return 0;
}

static int fromExecutable(MLIRContext &context, const llvm::MemoryBuffer &input) {
  // An executable has no lines to point at.
  ScopedDiagnosticHandler handler(&context, [](Diagnostic &diagnostic) {
    bool isError = diagnostic.getSeverity() == DiagnosticSeverity::Error;
    (isError ? llvm::WithColor::error() : llvm::WithColor::warning()) << inputName() << ": " << diagnostic.str() << "\n";
  });
  // Only of a program that is proved, numbers name what there is.
  auto program = fromInput([&] {
    return wafer::LoadedProgram::verify(wafer::readExecutable(reinterpret_cast<const uint8_t *>(input.getBufferStart()), input.getBufferSize()));
  });
  OwningOpRef<ModuleOp> module = wafer::translateFromExecutable(&context, program.program());
  if (!module)
    return 1;
  std::string text;
  llvm::raw_string_ostream os(text);
  module->print(os, OpPrintingFlags().enableDebugInfo());
  if (outputFile != "-") {
    wafer::writeFileAtomically(outputFile, text.data(), text.size());
    return 0;
  }
  llvm::outs() << text;
  llvm::outs().flush();
  if (!llvm::outs().has_error())
    return 0;
  llvm::outs().clear_error();
  return fail("standard output cannot be written");
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::ParseCommandLineOptions(argc, argv, "wafer-translate: between the wafer dialect and executables\n");
  if (mode.getNumOccurrences() != 1)
    return fail("found " + llvm::Twine(mode.getNumOccurrences()) + " of --wafer-to-wexe and --wexe-to-wafer, expected one; see --help");
  DialectRegistry registry;
  wafer::registerAllDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  context.printOpOnDiagnostic(false);

  std::string error;
  std::unique_ptr<llvm::MemoryBuffer> input = openInputFile(inputFile, &error);
  if (!input)
    return fail(error);
  try {
    return mode == Mode::ToExecutable ? toExecutable(context, std::move(input)) : fromExecutable(context, *input);
  } catch (const std::exception &exception) {
    return fail(exception.what());
  }
}
