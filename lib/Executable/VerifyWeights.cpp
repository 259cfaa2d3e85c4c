//===- VerifyWeights.cpp - no weight is stored ----------------------------===//
//
// The proof of weight_c1. A weight reaches the wafer on a weight colour only; there, routers hand it to command inputs only, and no
// instruction can read a command input but a trigger, which uses it as multiplier. What remains is to see that no descriptor receives a
// weight colour, and that no addw, which sends on what arrives, runs where one commands.
//
//===----------------------------------------------------------------------===//

#include "Verify.h"

namespace wafer {

namespace {

class Weights {
public:
  explicit Weights(VerifyContext &context) : context_(context), program_(context.program), reasons_(context.machine.colours) {}

  void collect();
  void checkDescriptors() const;
  void checkAdditions() const;
  void checkRoutes() const;
  unsigned count() const;

private:
  bool isWeight(unsigned colour) const { return !reasons_[colour].empty(); }
  std::string channel(unsigned colour) const { return describeColour(context_.expanded, colour) + ", " + reasons_[colour]; }
  void checkDescriptor(const std::string &where, const wexe::ImageT &image, unsigned index, const RegionDescriptor &d) const;

  VerifyContext &context_;
  const wexe::ProgramT &program_;
  std::vector<std::string> reasons_; ///< by colour: why it carries weights; empty for others
};

void Weights::collect() {
  for (const auto &colour : program_.colours)
    if (colour->weight)
      reasons_[colour->number] = "which is marked weight";
  for (size_t e = 0; e < program_.entries.size(); ++e)
    for (size_t p = 0; p < program_.entries[e]->phases.size(); ++p) {
      const wexe::PhaseT &phase = *program_.entries[e]->phases[p];
      std::string where = entryName("entries", e, program_.entries[e]->name) + " phase " + std::to_string(p);
      if (phase.kind != wexe::PhaseKind::Wafer)
        continue;
      if (phase.command_colour >= context_.machine.colours)
        refuse(where,
               "has command colour " + std::to_string(phase.command_colour) + ", expected less than the machine's " +
                   std::to_string(context_.machine.colours),
               "route_c4");
      for (size_t s = 0; s < phase.steps.size(); ++s) {
        const wexe::StepT &step = *phase.steps[s];
        std::string place = where + " step " + std::to_string(s) + " (" + quoted(step.name) + ")";
        bool streams = step.kind == wexe::StepKind::Contract || step.kind == wexe::StepKind::Scale;
        if (streams && reasons_[phase.command_colour].empty())
          reasons_[phase.command_colour] = "on which " + place + " streams weights";
        bool isWeightTensor =
            step.tensor >= 0 && size_t(step.tensor) < program_.tensors.size() && program_.tensors[step.tensor]->role == wexe::Role::Weight;
        if (step.kind == wexe::StepKind::Send && isWeightTensor)
          refuse(place,
                 "sends weight " + quoted(program_.tensors[step.tensor]->name) +
                     " as a block that cores keep, expected a contract or scale step",
                 "weight_c1");
      }
    }
}

void Weights::checkDescriptor(const std::string &where, const wexe::ImageT &image, unsigned index, const RegionDescriptor &d) const {
  if (d.kind == wexe::DescKind::FabIn && isWeight(d.colour))
    refuse(where + " descriptor " + std::to_string(index) + " (" + quoted(image.descriptors[index]->name) + ")",
           "receives " + channel(d.colour) + ", so a core could store a weight", "weight_c1");
}

void Weights::checkDescriptors() const {
  for (size_t i = 0; i < program_.images.size(); ++i)
    for (size_t d = 0; d < program_.images[i]->descriptors.size(); ++d)
      checkDescriptor(entryName("images", i, program_.images[i]->name), *program_.images[i], d,
                      plainDescriptor(*program_.images[i]->descriptors[d]));
  for (size_t r = 0; r < program_.regions.size(); ++r)
    for (const wexe::Override &o : context_.expanded.overrides[r])
      checkDescriptor(entryName("regions", r, program_.regions[r]->name), *program_.images[program_.regions[r]->image], o.descriptor(),
                      context_.expanded.descriptor(program_, r, o.descriptor()));
}

void Weights::checkAdditions() const {
  for (size_t i = 0; i < program_.images.size(); ++i) {
    const unsigned colour = program_.images[i]->command_colour;
    for (const Instruction &insn : context_.code[i])
      if (insn.opcode == Opcode::Addw && isWeight(colour))
        refuse(entryName("images", i, program_.images[i]->name), "has '" + print(insn) + "', which sends on what " + channel(colour) + ", brings", "weight_c1");
  }
}

void Weights::checkRoutes() const {
  for (unsigned colour = 0; colour < context_.machine.colours; ++colour) {
    if (!isWeight(colour))
      continue;
    const RouteGrid &routes = context_.expanded.routes[colour];
    const CoreRange &bounds = routes.bounds();
    for (uint32_t y = bounds.y0; y < bounds.y1; ++y)
      for (uint32_t x = bounds.x0; x < bounds.x1; ++x) {
        if (!(routes.at(x, y).tx & bitOf(wexe::Dir::Ramp)))
          continue;
        uint16_t region = context_.expanded.region(x, y);
        if (region == noRegion)
          continue; // nothing can be stored where no program runs; route_c5 refuses it later
        unsigned commands = program_.images[program_.regions[region]->image]->command_colour;
        if (commands != colour)
          refuse("section 'routes'",
                 "deliver " + channel(colour) + ", to core " + describeCore(x, y) + ", whose command colour is " + std::to_string(commands),
                 "weight_c1");
      }
  }
}

unsigned Weights::count() const {
  unsigned colours = 0;
  for (const std::string &reason : reasons_)
    colours += !reason.empty();
  return colours;
}

} // namespace

unsigned verifyWeights(VerifyContext &context) {
  Weights weights(context);
  weights.collect();
  weights.checkDescriptors();
  weights.checkAdditions();
  weights.checkRoutes();
  return weights.count();
}

} // namespace wafer
