//===- Summary.cpp - an executable in a few lines -------------------------===//

#include "Summary.h"

#include <algorithm>
#include <sstream>

namespace wafer {

namespace {

uint64_t coresOf(const wexe::RegionT &region) { return region.rect ? uint64_t(region.rect->nx()) * region.rect->ny() : 0; }

/// First byte of SRAM that no buffer of the image takes, code and templates included.
uint32_t highWater(const wexe::ImageT &image) {
  uint32_t bytes = uint32_t(image.code.size() * 8 + image.descriptors.size() * 32);
  for (const auto &buffer : image.buffers)
    if (!buffer->acc)
      bytes = std::max(bytes, uint32_t(buffer->base) + buffer->bytes);
  return bytes;
}

std::string shapeOf(const wexe::TensorT &tensor) {
  std::string text;
  for (uint64_t size : tensor.shape)
    text += std::to_string(size) + "x";
  return text + std::string(typeName(static_cast<ElementType>(tensor.type)));
}

void writeMachine(std::ostream &out, const wexe::ProgramT &program, std::optional<Machine> &machine) {
  try {
    machine = Machine::fromJson(program.machine, "section 'machine'");
    out << "machine   " << machine->name << ", " << machine->width << "x" << machine->height << " cores, " << machine->sramBytes
        << " bytes of SRAM each\n";
  } catch (const MachineError &error) {
    out << "machine   cannot be read: " << error.what() << "\n";
  }
}

void writeTensors(std::ostream &out, const wexe::ProgramT &program) {
  static const char *const roles[] = {"input", "output", "weight", "between"};
  uint64_t weights = 0, elements = 0;
  for (const auto &tensor : program.tensors) {
    if (tensor->role == wexe::Role::Weight) {
      uint64_t size = 1;
      for (uint64_t n : tensor->shape)
        size *= n;
      ++weights;
      elements += size;
    }
    out << "tensor    " << roles[std::min<unsigned>(unsigned(tensor->role), 3)] << " " << tensor->name << " " << shapeOf(*tensor);
    if (tensor->dense_nonzeros)
      out << ", " << tensor->dense_nonzeros << " nonzeros";
    out << "\n";
  }
  out << "weights   " << weights << " tensors, " << elements << " elements, none of them in this file\n";
}

void writeEntry(std::ostream &out, const wexe::ProgramT &program, const wexe::EntryT &entry) {
  out << "entry     " << entry.name << ", " << entry.phases.size() << " phases\n";
  for (const auto &phase : entry.phases) {
    if (phase->kind == wexe::PhaseKind::Function) {
      bool known = phase->function >= 0 && size_t(phase->function) < program.functions.size();
      out << "  phase   MemoryX runs " << (known ? program.functions[phase->function]->name : "an unknown function");
      if (known && !program.functions[phase->function]->reason.empty())
        out << ": " << program.functions[phase->function]->reason;
      out << "\n";
      continue;
    }
    out << "  phase   wafer, " << phase->steps.size() << " steps";
    if (const wexe::GridT *grid = phase->grid.get())
      out << " x " << grid->micro_batches << " micro-batches on " << grid->groups << " groups of " << grid->columns << "x" << grid->rows
          << " cores" << (grid->bands == 1 ? "" : " in " + std::to_string(grid->bands) + " bands") << ", " << grid->token_block << " tokens per core, " << grid->tokens << " tokens"
          << (grid->batches_at_once == 1 ? "" : ", " + std::to_string(grid->batches_at_once) + " batch entries at a time");
    out << "\n";
  }
}

} // namespace

std::string summarize(const wexe::ProgramT &program, std::optional<unsigned> provedWeightColours) {
  std::ostringstream out;
  std::optional<Machine> machine;
  if (!program.producer.empty())
    out << "producer  " << program.producer << "\n";
  writeMachine(out, program, machine);
  for (size_t i = 0; i < program.images.size(); ++i) {
    const wexe::ImageT &image = *program.images[i];
    uint64_t cores = 0, regions = 0;
    for (const auto &region : program.regions)
      if (region->image == i) {
        cores += coresOf(*region);
        ++regions;
      }
    out << "image     " << image.name << ", " << image.code.size() << " instructions, " << image.tasks.size() << " tasks, "
        << image.descriptors.size() << " templates, SRAM up to byte " << highWater(image);
    if (machine)
      out << " of " << machine->sramBytes;
    out << ", on " << cores << " cores in " << regions << " regions\n";
  }
  for (const auto &colour : program.colours)
    out << "colour    " << unsigned(colour->number) << " " << colour->name << (colour->weight ? ", carries weights" : "") << "\n";
  writeTensors(out, program);
  for (const auto &entry : program.entries)
    writeEntry(out, program, *entry);
  if (provedWeightColours)
    out << "proved    no core can store a weight: " << *provedWeightColours << " weight colours reach command inputs only (weight_c1)\n";
  else
    out << "proved    nothing, because the program was not verified\n";
  return out.str();
}

} // namespace wafer
