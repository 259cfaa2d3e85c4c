//===- wafer-objdump.cpp - executables as text, and back ------------------===//
//
//  wafer-objdump FILE.wexe [-o OUT.ws]               the text form, which assembles to the same bytes
//  wafer-objdump --summary FILE.wexe                 an overview
//  wafer-objdump --assemble FILE.ws -o OUT.wexe      text to an executable
//
// '-' stands for standard input and output.
//
//===----------------------------------------------------------------------===//

#include "Summary.h"

#include <CLI/CLI.hpp>

#include <fstream>
#include <iostream>
#include <iterator>
#include <new>
#include <sstream>

using namespace wafer;

namespace {

struct Options {
  std::string input, output = "-";
  bool assemble = false, summary = false, noVerify = false;
};

std::string readInput(const std::string &path) {
  if (path == "-")
    return {std::istreambuf_iterator<char>(std::cin), {}};
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || (file.peek() != std::ifstream::traits_type::eof() && !(text << file.rdbuf())))
    throw ExecutableError(path + ": cannot be read");
  return text.str();
}

void writeOutput(const std::string &path, const void *data, size_t size) {
  if (path != "-") {
    writeFileAtomically(path, data, size);
    return;
  }
  std::cout.write(static_cast<const char *>(data), static_cast<std::streamsize>(size));
  if (!std::cout.flush())
    throw ExecutableError("standard output cannot be written");
}

/// Verifies unless told not to; calls `use` with the program and what was proved.
template <typename Use> void withProgram(wexe::ProgramT program, const Options &options, Use use) {
  if (options.noVerify) {
    use(program, std::nullopt);
    return;
  }
  LoadedProgram loaded = LoadedProgram::verify(std::move(program));
  use(loaded.program(), std::optional<unsigned>(loaded.provedWeightColours()));
}

void run(const Options &options) {
  std::string input = options.input == "-" || options.assemble ? readInput(options.input) : "";
  auto name = [&](const std::string &message) {
    return (options.input == "-" ? "<stdin>" : options.input) + ":" + (options.assemble ? "" : " ") + message;
  };
  wexe::ProgramT program;
  try {
    if (options.assemble)
      program = assembleProgram(input);
    else if (options.input == "-")
      program = readExecutable(reinterpret_cast<const uint8_t *>(input.data()), input.size());
    else
      program = readExecutableFile(options.input);
  } catch (const ExecutableError &error) {
    std::string message = error.what();
    throw ExecutableError(message.compare(0, options.input.size() + 1, options.input + ":") == 0 ? message : name(message));
  }

  std::string text;
  std::vector<uint8_t> bytes;
  try {
    withProgram(std::move(program), options, [&](const wexe::ProgramT &checked, std::optional<unsigned> proved) {
      if (options.summary)
        text = summarize(checked, proved);
      else if (options.assemble)
        bytes = writeExecutable(checked);
      else
        text = disassembleProgram(checked);
    });
  } catch (const ExecutableError &error) {
    throw ExecutableError((options.input == "-" ? std::string("<stdin>") : options.input) + ": " + error.what() +
                          "; use --no-verify to see the program");
  }
  if (options.assemble && !options.summary)
    writeOutput(options.output, bytes.data(), bytes.size());
  else
    writeOutput(options.output, text.data(), text.size());
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  CLI::App app("Prints an executable (.wexe) as text, and assembles such text.");
  app.add_option("input", options.input, "an executable, or text with --assemble; '-' is standard input")->required();
  app.add_option("-o,--output", options.output, "where the result goes; '-' is standard output");
  app.add_flag("--assemble", options.assemble, "make an executable from text");
  app.add_flag("--summary", options.summary, "print an overview instead of everything");
  app.add_flag("--no-verify", options.noVerify,
               "accept a program that the load-time verifier refuses; the file's structure is still checked");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp &help) {
    return app.exit(help);
  } catch (const CLI::ParseError &error) {
    std::cerr << "error: " << error.what() << "; see --help\n";
    return 1;
  }
  try {
    run(options);
  } catch (const std::bad_alloc &) {
    std::cerr << "error: " << options.input << ": needs more memory than there is\n";
    return 1;
  } catch (const std::exception &error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
