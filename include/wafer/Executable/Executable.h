//===- Executable.h - read, verify and write .wexe files ------------------===//
//
// A Program is the FlatBuffers object (wexe::ProgramT, generated from wexe.fbs). A LoadedProgram is one that the load-time verifier has accepted,
// decoded and expanded to what engines need; there is no other way to make one.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_EXECUTABLE_EXECUTABLE_H
#define WAFER_EXECUTABLE_EXECUTABLE_H

#include "wafer/Isa/Isa.h"
#include "wafer/Machine/LinkForm.h"
#include "wafer/Machine/Machine.h"
#include "wexe_generated.h"

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace wafer {

/// A file or program that is refused: section, offset or index, and rule are in the message.
class ExecutableError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// A descriptor as an engine uses it: template with the region's override applied at one core.
struct Descriptor {
  wexe::DescKind kind = wexe::DescKind::Mem;
  wexe::ElemType type = wexe::ElemType::F32;
  uint8_t colour = 0;
  uint32_t base = 0;
  uint16_t extent[4] = {1, 1, 1, 1};
  int16_t stride[4] = {0, 0, 0, 0};
  uint32_t imm = 0;

  uint64_t elements() const { return uint64_t(extent[0]) * extent[1] * extent[2] * extent[3]; }
};

/// How rows of a step's weight travel on MemoryX's link.
inline LinkForm linkForm(const wexe::StepT &step) { return {static_cast<LinkForm::Kind>(step.link), step.link_kept, step.link_size}; }

/// Routing of one router and colour. `tx` bit d is direction d (wexe::Dir); 0 means no entry.
struct RouteEntry {
  wexe::Dir rx = wexe::Dir::Ramp;
  uint8_t tx = 0;
};

/// A verified program. One with several loads is asked for code, regions and routes by load.
class LoadedProgram {
public:
  /// Checks every rule of docs/spec/machine.md and docs/spec/executable.md. Throws ExecutableError; never returns a program an engine could be hurt by.
  static LoadedProgram verify(wexe::ProgramT program);
  /// Reads `path` and verifies it. Throws ExecutableError with the path, the section and the rule.
  static LoadedProgram readFile(const std::string &path);

  const wexe::ProgramT &program() const { return *program_; }
  const Machine &machine() const { return machine_; }

  /// What is on the wafer while a phase with this load runs: the images, regions and routes of the load and nothing else, numbered anew.
  const LoadedProgram &load(uint16_t number) const;

  /// Decoded code of an image.
  const std::vector<Instruction> &code(unsigned image) const { return code_[image]; }
  /// Region of core (x, y), or -1.
  int regionAt(unsigned x, unsigned y) const;
  /// Template `index` of the image of the core's region, with the overrides applied.
  Descriptor descriptorAt(unsigned x, unsigned y, unsigned index) const;
  /// Routing entry of router (x, y) for a colour; tx == 0 when there is none.
  RouteEntry routeAt(unsigned x, unsigned y, unsigned colour) const;
  /// Name of a colour for messages: "psum_e0 (colour 4)".
  std::string colourName(unsigned colour) const;
  /// Source line of an instruction, or "".
  std::string locationOf(unsigned image, unsigned pc) const;
  /// How many colours the verifier proved to carry weights that no core can store (weight_c1).
  unsigned provedWeightColours() const { return provedWeightColours_; }

private:
  LoadedProgram() = default;
  static LoadedProgram verifyLoads(wexe::ProgramT program);
  std::shared_ptr<const wexe::ProgramT> program_;
  Machine machine_;
  std::vector<std::vector<Instruction>> code_;
  unsigned provedWeightColours_ = 0;
  struct Expanded;
  std::shared_ptr<const Expanded> expanded_;                      ///< null if there are several loads
  std::shared_ptr<const std::map<uint16_t, LoadedProgram>> loads_; ///< several loads
};

/// One program with the entries of all; weights and states of one name are one. `programs` are as the compiler writes them. Throws ExecutableError when what
/// they share differs, and when they need more colours together than the machine has.
wexe::ProgramT linkPrograms(std::vector<wexe::ProgramT> programs);

/// Version of the schema; a file of another version is refused.
inline constexpr uint32_t executableFormatVersion = 3;

/// Serialises; the bytes depend on the program only.
std::vector<uint8_t> writeExecutable(const wexe::ProgramT &program);
/// Structural check (FlatBuffers verifier, identifier, version, ISA hash) and unpack, without the semantic rules. Throws ExecutableError.
wexe::ProgramT readExecutable(const uint8_t *data, size_t size);
/// The same for the file `path`, which begins every message.
wexe::ProgramT readExecutableFile(const std::string &path);
/// Writes to a temporary file beside `path`, then renames: there is never a partial file. Symbolic links stay and are followed; a device or a
/// pipe is written to. SIGINT, SIGTERM and SIGHUP wait until it is done. Throws ExecutableError.
void writeFileAtomically(const std::string &path, const void *data, size_t size);

/// Everything in a program as text that assembleProgram reads back to the same bytes. (lib/Executable/Text)
std::string disassembleProgram(const wexe::ProgramT &program);
/// Throws ExecutableError with line and column, what was found and what was expected.
wexe::ProgramT assembleProgram(const std::string &text);

} // namespace wafer

#endif // WAFER_EXECUTABLE_EXECUTABLE_H
