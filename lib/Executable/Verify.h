//===- Verify.h - parts of the load-time verifier -------------------------===//
//
// One function per group of rules, called in the order of verifyProgram: each may rely on what those before it proved. Labels and wording
// of the rules: docs/spec/machine.md, docs/spec/weight-stream.md, docs/spec/executable.md. Private to lib/Executable.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EXECUTABLE_VERIFY_H
#define WAFER_LIB_EXECUTABLE_VERIFY_H

#include "Expanded.h"

#include <array>

namespace wafer {

/// An instruction of a task with the templates its registers hold: an index where there is only one possibility, else `unknownTemplate`.
struct ResolvedInstruction {
  uint16_t pc = 0;
  int dst = -1;
  std::array<int, 3> src = {-1, -1, -1};
};
inline constexpr int unknownTemplate = -1;

/// What the code of an image does with its templates.
struct ImageFlow {
  std::vector<std::vector<ResolvedInstruction>> tasks; ///< by task: vector and function instructions, in order
  std::vector<bool> written, read;                     ///< by template: may be a destination, a source
};

struct VerifyContext {
  const wexe::ProgramT &program;
  const Machine &machine;
  ExpandedProgram &expanded;
  std::vector<std::vector<Instruction>> code; ///< by image
  std::vector<ImageFlow> flow;                ///< by image
};

/// Version, instruction table and machine.
Machine verifyHeader(const wexe::ProgramT &program);
/// All rules; returns the number of weight colours proved. Throws ExecutableError.
unsigned verifyProgram(VerifyContext &context);

void verifyColours(VerifyContext &context);
/// Code, tasks, buffers and templates of each image by itself.
void verifyImages(VerifyContext &context);
/// Where regions lie, and their descriptors at every core.
void verifyRegions(VerifyContext &context);
/// Which templates reach which instruction; rules that hold or fail at every core alike.
void verifyCode(VerifyContext &context);
/// Routes by themselves.
void verifyRoutes(VerifyContext &context);
/// No weight is stored; returns how many colours carry weights.
unsigned verifyWeights(VerifyContext &context);
/// Where a route ends at a core, the core has code for it.
void verifyRouteUsers(VerifyContext &context);
/// Tensors, functions, entries, steps; then the code that the schedule runs, at the cores where it does.
void verifySchedule(VerifyContext &context);

/// Rules about one task of an image at the cores of `range` that belong to `region`.
class ScheduledCode {
public:
  explicit ScheduledCode(VerifyContext &context) : context_(context) {}
  void check(unsigned region, unsigned task, const CoreRange &range, const std::string &where);

private:
  void checkKinds(unsigned region, const ResolvedInstruction &insn, const std::string &what) const;
  void checkElements(unsigned region, const ResolvedInstruction &insn, const CoreRange &places, const std::string &what) const;
  void checkRoute(unsigned region, int index, bool sends, const CoreRange &places, const std::string &what);

  VerifyContext &context_;
  std::vector<std::vector<int64_t>> seenRoutes_; ///< sorted
};

// Messages.

[[noreturn]] void refuse(const std::string &where, const std::string &what, const char *rule);
/// "section 'routes' entry 3 ('psum_e0')"
std::string entryName(const char *section, size_t index, const std::string &name);
/// A name from the file between quotes, with nothing in it that would disturb a terminal.
std::string quoted(const std::string &name);
std::string describeColour(const ExpandedProgram &expanded, unsigned colour);
std::string describeCore(uint32_t x, uint32_t y);
/// "image 'relay' task 'pass' instruction @4 'mov.f32 d1, d0'"
std::string describeInstruction(const VerifyContext &context, unsigned image, const std::string &task, unsigned pc);
const char *directionName(wexe::Dir direction);

// Shared facts.

/// A template as it is written.
RegionDescriptor plainDescriptor(const wexe::DescriptorT &source);
/// Kind, type, extents, strides and colour by themselves (exe_c8, route_c4).
void verifyDescriptorShape(const VerifyContext &context, const wexe::DescriptorT &source, wexe::DescKind kind, unsigned colour,
                           const std::string &where);
/// SRAM below this address holds code and templates.
uint32_t dataBegin(const wexe::ImageT &image);
unsigned elementBytes(wexe::ElemType type);
bool isMemory(wexe::DescKind kind);
/// A rect has cores, steps of at least one, and lies inside the machine.
void verifyRect(const VerifyContext &context, const wexe::Rect *rect, const std::string &where, const char *rule);

/// Indices i, j of the region's cores that lie in `range`, as a range.
CoreRange placesIn(const wexe::Rect &rect, const CoreRange &range);

} // namespace wafer

#endif // WAFER_LIB_EXECUTABLE_VERIFY_H
