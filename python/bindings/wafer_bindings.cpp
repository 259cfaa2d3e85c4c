//===- wafer_bindings.cpp - the module wafer._wafer -------------------------===//
//
// Compiler and runtime for the Python package, which gives them their public form. Long calls release the GIL; C++ errors become the
// classes of wafer.errors.
//
//===----------------------------------------------------------------------===//

#include "arrays.h"

#include "wafer/Pipelines/Compiler.h"
#include "wafer/Runtime/Npy.h"
#include "wafer/Runtime/Safetensors.h"
#include "wafer/Runtime/Timeline.h"

#include <pybind11/stl.h>

namespace py = pybind11;

namespace wafer::python {

namespace {

/// A program and how it is described to Python.
struct Program {
  LoadedProgram loaded;
};

/// (severity, message, file, line, column, notes)
py::tuple describe(const Diagnostic &diagnostic) {
  py::list notes;
  for (const Diagnostic &note : diagnostic.notes)
    notes.append(describe(note));
  return py::make_tuple(diagnostic.severity, toStr(diagnostic.message), toStr(diagnostic.file), diagnostic.line, diagnostic.column, notes);
}

/// (executable or None, diagnostics)
py::tuple compile(const std::string &text, const std::string &machine, const std::string &precision, const std::vector<std::string> &entries,
                  const std::string &decisionTrace, const std::string &irDumpDir, bool onlyMemoryX, unsigned activationZeros, double traceWithin) {
  CompileOptions options;
  options.machine = machine;
  options.precision = precision;
  options.entries = entries;
  options.decisionTraceFile = decisionTrace;
  options.irDumpDir = irDumpDir;
  options.onlyMemoryX = onlyMemoryX;
  options.activationZeros = activationZeros;
  options.traceWithin = traceWithin;
  CompileResult result;
  {
    py::gil_scoped_release released;
    result = compileText(text, options);
  }
  py::list diagnostics;
  for (const Diagnostic &diagnostic : result.diagnostics)
    diagnostics.append(describe(diagnostic));
  py::object executable = py::none();
  if (result.ok)
    executable = py::bytes(reinterpret_cast<const char *>(result.executable.data()), result.executable.size());
  return py::make_tuple(executable, diagnostics);
}

Program verify(const py::bytes &executable) {
  auto data = static_cast<std::string_view>(executable);
  py::gil_scoped_release released;
  return {LoadedProgram::verify(readExecutable(reinterpret_cast<const uint8_t *>(data.data()), data.size()))};
}

/// (name, type, shape)
py::tuple describe(const wexe::TensorT &tensor) {
  return py::make_tuple(toStr(tensor.name), name(dtypeOf(tensor.type)), py::tuple(py::cast(tensor.shape)));
}

py::list describe(const wexe::ProgramT &program, const std::vector<uint32_t> &tensors) {
  py::list described;
  for (uint32_t tensor : tensors)
    described.append(describe(*program.tensors[tensor]));
  return described;
}

py::dict describe(const Program &program) {
  const wexe::ProgramT &source = program.loaded.program();
  const Machine &machine = program.loaded.machine();
  py::list weights, states, entries, ops;
  for (const auto &tensor : source.tensors)
    if (tensor->role == wexe::Role::Weight)
      weights.append(describe(*tensor));
    else if (tensor->role == wexe::Role::State)
      states.append(describe(*tensor));
  for (const auto &entry : source.entries)
    entries.append(py::dict(py::arg("name") = toStr(entry->name), py::arg("inputs") = describe(source, entry->inputs),
                            py::arg("outputs") = describe(source, entry->outputs)));
  for (const auto &op : source.report)
    ops.append(py::dict(py::arg("entry") = op->entry, py::arg("name") = toStr(op->name), py::arg("location") = toStr(op->location),
                        py::arg("placement") = toStr(op->placement), py::arg("reason") = toStr(op->reason), py::arg("macs") = op->macs));
  return py::dict(py::arg("machine") = toStr(machine.name), py::arg("width") = machine.width, py::arg("height") = machine.height,
                  py::arg("machine_text") = toStr(program.loaded.program().machine), py::arg("bytes_per_second") = machine.egressWaveletsPerCycle * sizeof(uint32_t) * machine.clockGHz * 1e9,
                  py::arg("weights") = weights, py::arg("states") = states, py::arg("entries") = entries, py::arg("ops") = ops,
                  py::arg("weight_colours_proved") = program.loaded.provedWeightColours());
}

std::unique_ptr<Session> makeSession(const Program &program, const std::string &engine, unsigned threads, const std::string &trace,
                                     std::optional<uint64_t> dramBudget, const std::string &flashFolder) {
  SessionOptions options;
  options.engine = engine;
  options.threads = threads;
  options.trace = trace;
  options.dramBudget = dramBudget;
  options.flashFolder = flashFolder;
  return std::make_unique<Session>(program.loaded, std::move(options));
}

py::dict run(Session &session, const std::string &entry, const py::dict &inputs, const std::optional<py::function> &made) {
  NamedTensors given = toTensors(inputs), results;
  OutputObserver observer;
  if (made)
    observer = [&](const std::string &name, const Tensor &value) {
      py::gil_scoped_acquire acquired;
      (*made)(toStr(name), fromTensor(value));
    };
  {
    py::gil_scoped_release released;
    results = session.run(entry, given, observer);
  }
  return fromTensors(results);
}

py::dict readWeights(const std::string &path) {
  SafetensorsFile file(path);
  NamedTensors tensors;
  for (const auto &entry : file.entries())
    tensors.emplace(entry.first, file.tensor(entry.first));
  return fromTensors(tensors);
}

/// (type, shape, place of the first byte) by name; reads the header only.
py::dict describeWeights(const std::string &path) {
  SafetensorsFile file(path);
  py::dict described;
  for (const auto &[tensor, entry] : file.entries())
    described[py::str(tensor)] = py::make_tuple(name(entry.dtype), py::tuple(py::cast(entry.shape)), entry.begin);
  return described;
}

/// Calls `write`; a file that cannot be written is no fault of an executable.
template <typename Write> void writing(Write write) {
  try {
    py::gil_scoped_release released;
    write();
  } catch (const ExecutableError &error) {
    throw RuntimeError(error.what());
  }
}

void writeBytes(const std::string &path, const py::bytes &bytes) {
  auto data = static_cast<std::string_view>(bytes);
  writing([&] { writeFileAtomically(path, data.data(), data.size()); });
}

using TimedRun = std::tuple<std::string, std::string, double, std::string>;
using TimedSpan = std::tuple<std::string, std::string, std::string, double, double>;

void writeTimeline(const std::string &path, const std::vector<TimedRun> &runs, const std::vector<TimedSpan> &spans) {
  std::vector<TimelineRun> onSystems;
  for (const auto &[system, name, begin, stats] : runs)
    onSystems.push_back({system, name, begin, stats});
  std::vector<TimelineSpan> beside;
  for (const auto &[system, lane, name, begin, seconds] : spans)
    beside.push_back({system, lane, name, begin, seconds});
  const std::string text = timelineText(onSystems, beside);
  writing([&] { writeFileAtomically(path, text.data(), text.size()); });
}

void writeTensor(const std::string &path, const py::tuple &pair) {
  Tensor tensor = toTensor(pair);
  writing([&] { writeNpy(path, tensor); });
}

void writeWeights(const std::string &path, const py::dict &pairs) {
  NamedTensors tensors = toTensors(pairs);
  writing([&] { writeSafetensors(path, tensors); });
}

/// Raises a class of wafer.errors with the message of a C++ exception.
void raise(const char *className, const std::exception &error) {
  py::set_error(py::module_::import("wafer.errors").attr(className), toStr(error.what()));
}

void translate(std::exception_ptr pointer) {
  try {
    std::rethrow_exception(pointer);
  } catch (const Trap &error) {
    raise("TrapError", error);
  } catch (const RuntimeError &error) {
    raise("RuntimeError", error);
  } catch (const ExecutableError &error) {
    raise("ExecutableError", error);
  } catch (const MachineError &error) {
    raise("MachineError", error);
  }
}

} // namespace

PYBIND11_MODULE(_wafer, module) {
  module.doc() = "Compiler and runtime behind the package wafer; not meant to be used by itself.";
  py::register_exception_translator(translate);

  module.def("compile_text", &compile, py::arg("text"), py::arg("machine"), py::arg("precision"), py::arg("entries"),
             py::arg("decision_trace") = "", py::arg("ir_dump_dir") = "", py::arg("only_memoryx") = false, py::arg("activation_zeros") = 500, py::arg("trace_within") = 0.0, "Gives the bytes of an executable, or None, and diagnostics.");
  py::class_<Program>(module, "Program")
      .def(py::init(&verify), py::arg("executable"), "Reads and verifies an executable.")
      .def("describe", [](const Program &program) { return describe(program); });
  py::class_<Session>(module, "Session")
      .def(py::init(&makeSession), py::arg("program"), py::arg("engine"), py::arg("threads"), py::arg("trace") = "",
           py::arg("dram_budget") = std::nullopt, py::arg("flash_folder") = "")
      .def("load_weights", &Session::loadWeights, py::arg("paths"))
      .def(
          "set_weight", [](Session &session, const std::string &name, const py::tuple &pair) { session.setWeight(name, toTensor(pair)); },
          py::arg("name"), py::arg("tensor"))
      .def("states", [](const Session &session) { return fromTensors(session.states()); })
      .def(
          "set_state", [](Session &session, const std::string &name, const py::tuple &pair) { session.setState(name, toTensor(pair)); },
          py::arg("name"), py::arg("tensor"))
      .def("reset_states", &Session::resetStates)
      .def("run", &run, py::arg("entry"), py::arg("inputs"), py::arg("made") = std::nullopt)
      .def(
          "time",
          [](Session &session, const std::string &entry) {
            py::gil_scoped_release release;
            session.time(entry);
          },
          py::arg("entry"))
      .def("stats", [](const Session &session) { return toStr(toJson(session.stats())); });
  module.def("machine_presets", &Machine::presets);
  module.def("read_safetensors", &readWeights, py::arg("path"));
  module.def("safetensors_entries", &describeWeights, py::arg("path"));
  module.def("write_safetensors", &writeWeights, py::arg("path"), py::arg("tensors"));
  module.def("read_npy", [](const std::string &path) { return fromTensor(readNpy(path)); }, py::arg("path"));
  module.def("write_npy", &writeTensor, py::arg("path"), py::arg("tensor"), "Whole or not at all, as the other files.");
  module.def("write_timeline", &writeTimeline, py::arg("path"), py::arg("runs"), py::arg("spans"),
             "Writes a Chrome trace of runs (system, name, begin in seconds, stats) and of spans (system, lane, name, begin, seconds).");
  module.def("write_file", &writeBytes, py::arg("path"), py::arg("bytes"));
}

} // namespace wafer::python
