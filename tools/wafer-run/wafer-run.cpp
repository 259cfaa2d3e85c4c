//===- wafer-run.cpp - run an executable ----------------------------------===//
//
//  wafer-run PROGRAM.wexe --weights W.safetensors --input NAME=FILE.npy ... --output-dir DIR
//            --entry NAME --state FILE.safetensors --save-state FILE.safetensors
//            --engine functional|cycle|timing --threads N --stats FILE.json --trace FILE.json --memoryx-dram BYTES --memoryx-flash DIR
//
// All outputs are computed before the first file is written; then all files are written, or none.
//
//===----------------------------------------------------------------------===//

#include "OutputFiles.h"

#include "wafer/Runtime/Npy.h"
#include "wafer/Runtime/Safetensors.h"
#include "wafer/Runtime/Session.h"
#include "wafer/Runtime/Timeline.h"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <iostream>
#include <new>

using namespace wafer;

namespace {

struct Options {
  std::string program, outputDir, stats, entry, state, saveState;
  std::vector<std::string> weights, inputs;
  SessionOptions session;
  uint64_t dram = 0;
};

void addOptions(CLI::App &app, Options &options) {
  app.add_option("program", options.program, "an executable (.wexe)")->required();
  app.add_option("--weights", options.weights, "a safetensors file with weights of the program; may be repeated")->allow_extra_args(false);
  app.add_option("--input", options.inputs, "an input of the program and the .npy file it is in, NAME=FILE.npy; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--entry", options.entry, "the entry to run, of a program with several");
  app.add_option("--state", options.state, "a safetensors file with what the program's states begin with, by name; default: those of the weights, or zeros");
  app.add_option("--save-state", options.saveState, "safetensors file for the program's states after the run");
  app.add_option("--output-dir", options.outputDir, "folder for the outputs, each as NAME.npy; it is made if it is not there (not with --engine timing, which has none)");
  app.add_option("--engine", options.session.engine, "functional (fast) or cycle (counts time), which give the same bits; timing: time alone, without inputs and outputs")
      ->capture_default_str();
  app.add_option("--threads", options.session.threads, "threads of the functional engine, and of the timing engine, which times phases side by side")
      ->check(CLI::Range(1u, 1024u))
      ->capture_default_str();
  app.add_option("--stats", options.stats, "file for what was counted, as JSON");
  app.add_option("--trace", options.session.trace, "file for a Chrome trace, as JSON: of the tasks of cores (cycle engine), or of the steps on the wafer and on MemoryX's link (timing engine)");
  app.add_option("--memoryx-dram", options.dram, "size of MemoryX's DRAM tier in bytes, or as 512MB; default: the machine's")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--memoryx-flash", options.session.flashFolder, "folder for activations that the DRAM tier has no room for; default: they stay in memory");
}

/// "x=x.npy". bf16 has no NumPy type: such an input is given as f32 and rounded.
NamedTensors readInputs(const std::vector<std::string> &arguments, const wexe::ProgramT &program) {
  NamedTensors inputs;
  for (const std::string &argument : arguments) {
    size_t equals = argument.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == argument.size())
      throw RuntimeError("found '--input " + argument + "', expected --input NAME=FILE.npy");
    std::string name = argument.substr(0, equals);
    Tensor tensor = readNpy(argument.substr(equals + 1));
    for (const auto &known : program.tensors)
      if (known->name == name && known->type == wexe::ElemType::BF16 && tensor.dtype() == DType::F32) {
        Tensor rounded = Tensor::zeros(DType::BF16, tensor.shape());
        convertElements(DType::F32, tensor.data(), tensor.elements(), DType::BF16, rounded.mutableData());
        tensor = rounded;
      }
    if (!inputs.emplace(name, std::move(tensor)).second)
      throw RuntimeError("found input '" + name + "' twice, expected it once");
  }
  return inputs;
}

/// The entry called `wanted`, or the only one.
const wexe::EntryT &entryOf(const wexe::ProgramT &program, const std::string &wanted) {
  if (program.entries.size() == 1 && wanted.empty())
    return *program.entries[0];
  std::string names;
  for (const auto &entry : program.entries) {
    if (entry->name == wanted)
      return *entry;
    names += (names.empty() ? " (" : ", ") + entry->name;
  }
  names += names.empty() ? "" : ")";
  if (!wanted.empty())
    throw RuntimeError("the program has no entry '" + wanted + "'; it has " + std::to_string(program.entries.size()) + names);
  throw RuntimeError("the program has " + std::to_string(program.entries.size()) + " entries" + names + ", expected one; name one with --entry");
}

void loadState(Session &session, const std::string &path) {
  SafetensorsFile file(path);
  for (const auto &state : session.states())
    if (file.entries().count(state.first))
      session.setState(state.first, file.tensor(state.first));
}

/// Names come from a file; no output may land outside the folder.
std::string outputPath(const std::string &folder, const std::string &name) {
  if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos || name.find('\0') != std::string::npos)
    throw RuntimeError("output '" + name + "' has no name that a file can have");
  return (std::filesystem::path(folder) / (name + ".npy")).string();
}

/// What NumPy can hold: bf16 widens exactly.
Tensor forNumPy(const Tensor &tensor) {
  if (tensor.dtype() != DType::BF16)
    return tensor;
  Tensor wide = Tensor::zeros(DType::F32, tensor.shape());
  convertElements(DType::BF16, tensor.data(), tensor.elements(), DType::F32, wide.mutableData());
  return wide;
}

void printSummary(const RunStats &stats, const std::vector<std::string> &files) {
  std::cout << "ran: entry " << stats.entry << " on machine " << stats.machine << ", " << stats.engine << " engine\n";
  if (stats.hasCycles())
    std::cout << "cycles: " << stats.total.cycles << " (" << double(stats.total.cycles) / (stats.clockGHz * 1e3) << " us at "
              << stats.clockGHz << " GHz)\n";
  else
    std::cout << "cycles: not counted by the " << stats.engine << " engine\n";
  std::cout << "MACs: " << stats.total.macs << "\n";
  std::cout << "bytes streamed: " << stats.streamed.total() << " (weights " << stats.streamed.weights << ", activations in "
            << stats.streamed.activationsIn << ", activations out " << stats.streamed.activationsOut << ", commands "
            << stats.streamed.commands << ")\n";
  std::cout << "weights stored on the wafer: 0 of " << stats.weightColours << " weight colours, proved at load\n";
  size_t functions = 0;
  for (const PhaseStats &phase : stats.phases)
    functions += !phase.onWafer;
  if (functions > 0)
    std::cout << "ran in MemoryX: " << functions << " of " << stats.phases.size() << " phases\n";
  for (const std::string &file : files)
    std::cout << "wrote: " << file << "\n";
}

void run(const Options &options) {
  if (options.outputDir.empty() && options.session.engine != "timing")
    throw RuntimeError("found no --output-dir, expected the folder for the outputs");
  LoadedProgram program = LoadedProgram::readFile(options.program);
  const wexe::EntryT &entry = entryOf(program.program(), options.entry);
  std::map<std::string, std::string> paths; // known to be right before the work begins
  for (uint32_t number : entry.outputs) {
    const std::string &name = program.program().tensors[number]->name;
    paths[name] = outputPath(options.outputDir, name);
  }
  Session session(program, options.session);
  session.loadWeights(options.weights);
  if (options.session.engine == "timing") {
    session.time(entry.name);
    std::vector<std::string> files;
    auto write = [&](const std::string &path, const std::string &text) {
      if (path.empty())
        return;
      writeFileAtomically(path, text.data(), text.size());
      files.push_back(path);
    };
    const std::string stats = toJson(session.stats());
    write(options.stats, stats);
    write(options.session.trace, timelineText({{"system", "", 0, stats}}));
    printSummary(session.stats(), files);
    return;
  }
  if (!options.state.empty())
    loadState(session, options.state);
  NamedTensors outputs = session.run(entry.name, readInputs(options.inputs, program.program()));

  std::vector<std::string> files;
  OutputFiles written;
  if (!options.session.trace.empty())
    written.add(options.session.trace, [] {}); // the session has written it
  written.makeFolder(options.outputDir);
  for (const auto &output : outputs) {
    files.push_back(paths.at(output.first));
    written.add(files.back(), [&] { writeNpy(files.back(), forNumPy(output.second)); });
  }
  if (!options.saveState.empty()) {
    files.push_back(options.saveState);
    written.add(options.saveState, [&] { writeSafetensors(options.saveState, session.states()); });
  }
  if (!options.stats.empty()) {
    std::string text = toJson(session.stats());
    files.push_back(options.stats);
    written.add(options.stats, [&] { writeFileAtomically(options.stats, text.data(), text.size()); });
  }
  written.keep();
  printSummary(session.stats(), files);
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  CLI::App app("Runs an executable (.wexe) on an emulated wafer.");
  addOptions(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp &help) {
    return app.exit(help);
  } catch (const CLI::ParseError &error) {
    std::cerr << "error: " << error.what() << "; see --help\n";
    return 1;
  }
  if (app.count("--memoryx-dram"))
    options.session.dramBudget = options.dram;
  try {
    if (!options.session.trace.empty() && options.session.engine != "cycle" && options.session.engine != "timing")
      throw RuntimeError("the " + options.session.engine +
                         " engine does not count time and traces nothing; use --engine cycle or --engine timing with --trace");
    run(options);
  } catch (const std::bad_alloc &) {
    std::cerr << "error: " << options.program << ": needs more memory than there is\n";
    return 1;
  } catch (const std::exception &error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
