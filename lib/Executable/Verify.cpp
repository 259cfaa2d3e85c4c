//===- Verify.cpp - the load-time verifier: order, header, messages -------===//

#include "Verify.h"

#include <algorithm>
#include <cctype>

namespace wafer {

void refuse(const std::string &where, const std::string &what, const char *rule) {
  throw ExecutableError(where + ": " + what + " (" + rule + ")");
}

/// Bytes of the UTF-8 character that begins at text[i]; 0 when none does, or one that controls a terminal.
static size_t printableBytes(const std::string &text, size_t i) {
  auto byte = [&](size_t k) { return i + k < text.size() ? unsigned(static_cast<unsigned char>(text[i + k])) : 0u; };
  auto follows = [&](size_t k, unsigned least = 0x80, unsigned most = 0xbf) { return byte(k) >= least && byte(k) <= most; };
  unsigned lead = byte(0);
  if (lead < 0x80)
    return std::isprint(lead) ? 1 : 0;
  if (lead >= 0xc2 && lead <= 0xdf)
    return follows(1, lead == 0xc2 ? 0xa0 : 0x80) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef)
    return follows(1, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf) && follows(2) ? 3 : 0;
  if (lead >= 0xf0 && lead <= 0xf4)
    return follows(1, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf) && follows(2) && follows(3) ? 4 : 0;
  return 0;
}

/// A name from the file with '?' for what is not text, cut to what a line has room for.
static std::string printable(const std::string &name) {
  constexpr size_t mostShown = 80;
  std::string text;
  for (size_t i = 0; i < name.size();) {
    size_t bytes = printableBytes(name, i);
    if (text.size() + bytes > mostShown)
      return text + "...";
    text += bytes ? name.substr(i, bytes) : "?";
    i += std::max<size_t>(bytes, 1);
  }
  return text;
}

std::string quoted(const std::string &name) { return "'" + printable(name) + "'"; }

std::string entryName(const char *section, size_t index, const std::string &name) {
  std::string text = std::string("section '") + section + "' entry " + std::to_string(index);
  return name.empty() ? text : text + " (" + quoted(name) + ")";
}

std::string describeColour(const ExpandedProgram &expanded, unsigned colour) {
  std::string number = "colour " + std::to_string(colour);
  if (colour >= expanded.colourNames.size() || expanded.colourNames[colour].empty())
    return number;
  return printable(expanded.colourNames[colour]) + " (" + number + ")";
}

std::string describeCore(uint32_t x, uint32_t y) { return "(" + std::to_string(x) + ", " + std::to_string(y) + ")"; }

std::string describeInstruction(const VerifyContext &context, unsigned image, const std::string &task, unsigned pc) {
  return "image " + quoted(context.program.images[image]->name) + " task " + quoted(task) + " instruction @" + std::to_string(pc) + " '" +
         print(context.code[image][pc]) + "'";
}

const char *directionName(wexe::Dir direction) {
  static const char *const names[] = {"N", "E", "S", "W", "RAMP"};
  return names[unsigned(direction)];
}

unsigned elementBytes(wexe::ElemType type) { return byteSize(static_cast<ElementType>(type)); }

bool isMemory(wexe::DescKind kind) { return kind == wexe::DescKind::Mem || kind == wexe::DescKind::Acc; }

uint32_t dataBegin(const wexe::ImageT &image) { return uint32_t(image.code.size() * 8 + image.descriptors.size() * 32); }

CoreRange placesIn(const wexe::Rect &rect, const CoreRange &range) {
  auto first = [](uint32_t from, uint32_t origin, uint32_t step) { return from <= origin ? 0 : (from - origin + step - 1) / step; };
  auto end = [](uint32_t to, uint32_t origin, uint32_t step, uint32_t count) {
    return to <= origin ? 0 : std::min<uint32_t>(count, (to - origin + step - 1) / step);
  };
  return {first(range.x0, rect.x0(), rect.sx()), first(range.y0, rect.y0(), rect.sy()), end(range.x1, rect.x0(), rect.sx(), rect.nx()),
          end(range.y1, rect.y0(), rect.sy(), rect.ny())};
}

void verifyRect(const VerifyContext &context, const wexe::Rect *rect, const std::string &where, const char *rule) {
  if (!rect)
    refuse(where, "has no rect", rule);
  if (rect->nx() == 0 || rect->ny() == 0 || rect->sx() == 0 || rect->sy() == 0)
    refuse(where,
           "has " + std::to_string(rect->nx()) + "x" + std::to_string(rect->ny()) + " cores in steps of " + std::to_string(rect->sx()) +
               " and " + std::to_string(rect->sy()) + ", expected each to be at least 1",
           rule);
  CoreRange bounds = boundsOf(*rect);
  if (bounds.x1 > context.machine.width || bounds.y1 > context.machine.height)
    refuse(where,
           "reaches core " + describeCore(bounds.x1 - 1, bounds.y1 - 1) + ", but machine " + quoted(context.machine.name) + " has " +
               std::to_string(context.machine.width) + "x" + std::to_string(context.machine.height) + " cores",
           rule);
}

Machine verifyHeader(const wexe::ProgramT &program) {
  if (program.format_version != executableFormatVersion)
    refuse("section 'format_version'",
           "is " + std::to_string(program.format_version) + ", expected " + std::to_string(executableFormatVersion), "exe_c2");
  if (program.isa_hash != isaHash())
    refuse("section 'isa_hash'", "names another instruction table; compile the program again", "exe_c2");
  try {
    Machine machine = Machine::fromJson(program.machine, "section 'machine'");
    if (machine.hash() != program.machine_hash)
      refuse("section 'machine_hash'",
             "is " + std::to_string(program.machine_hash) + ", but the machine " + quoted(machine.name) + " in the file has " +
                 std::to_string(machine.hash()),
             "exe_c3");
    return machine;
  } catch (const MachineError &error) {
    throw ExecutableError(std::string(error.what()) + " (exe_c3)");
  }
}

void verifyColours(VerifyContext &context) {
  context.expanded.colourNames.resize(context.machine.colours);
  std::vector<bool> seen(context.machine.colours);
  for (size_t i = 0; i < context.program.colours.size(); ++i) {
    const wexe::ColourT &colour = *context.program.colours[i];
    std::string where = entryName("colours", i, colour.name);
    if (colour.number >= context.machine.colours)
      refuse(where,
             "has number " + std::to_string(colour.number) + ", expected less than the machine's " +
                 std::to_string(context.machine.colours),
             "route_c4");
    if (seen[colour.number])
      refuse(where, "has number " + std::to_string(colour.number) + ", which an earlier entry has", "exe_c9");
    seen[colour.number] = true;
    context.expanded.colourNames[colour.number] = colour.name;
  }
}

unsigned verifyProgram(VerifyContext &context) {
  context.expanded.width = context.machine.width;
  context.expanded.height = context.machine.height;
  verifyColours(context);
  verifyImages(context);
  verifyRegions(context);
  verifyCode(context);
  verifyRoutes(context);
  unsigned weightColours = verifyWeights(context);
  verifyRouteUsers(context);
  verifySchedule(context);
  return weightColours;
}

} // namespace wafer
