//===- Link.cpp - several programs as one ---------------------------------===//
//
// Entries that were compiled apart become the entries of one program. Sections are appended and their numbers shifted; what the programs have in common is
// there once: weights and states, by name, and colours, which have one number in all loads.
//
//===----------------------------------------------------------------------===//

#include "Loads.h"
#include "wafer/Executable/Executable.h"

#include <algorithm>
#include <array>
#include <set>

namespace wafer {

namespace {

constexpr unsigned colourNumbers = 256;
using ColourMap = std::array<uint8_t, colourNumbers>;

class Linker {
public:
  explicit Linker(wexe::ProgramT first) : target_(std::move(first)), colours_(Machine::fromJson(target_.machine, "machine").colours) {}
  void add(wexe::ProgramT source);
  wexe::ProgramT take() { return std::move(target_); }

private:
  std::vector<uint32_t> addTensors(wexe::ProgramT &source);
  ColourMap addColours(const wexe::ProgramT &source);
  uint8_t freeColour(const wexe::ColourT &wanted) const;

  wexe::ProgramT target_;
  const unsigned colours_;
};

bool isShared(const wexe::TensorT &tensor) { return tensor.role == wexe::Role::Weight || tensor.role == wexe::Role::State; }

/// New numbers of the source's tensors.
std::vector<uint32_t> Linker::addTensors(wexe::ProgramT &source) {
  std::map<std::string, uint32_t> known;
  for (size_t i = 0; i < target_.tensors.size(); ++i)
    if (isShared(*target_.tensors[i]))
      known.emplace(target_.tensors[i]->name, i);
  const size_t before = target_.tensors.size();
  std::vector<uint32_t> numbers;
  for (auto &tensor : source.tensors) {
    auto same = isShared(*tensor) ? known.find(tensor->name) : known.end();
    if (same == known.end()) {
      numbers.push_back(target_.tensors.size());
      target_.tensors.push_back(std::move(tensor));
      continue;
    }
    const wexe::TensorT &other = *target_.tensors[same->second];
    if (other.role != tensor->role || other.type != tensor->type || other.shape != tensor->shape)
      throw ExecutableError("two entries have a weight or state '" + tensor->name + "' of different type, shape or role; what entries share must be the same in all");
    numbers.push_back(same->second);
  }
  for (size_t i = before; i < target_.tensors.size(); ++i)
    if (int &updates = target_.tensors[i]->updates; updates >= 0)
      updates = static_cast<int>(numbers[updates]);
  return numbers;
}

uint8_t Linker::freeColour(const wexe::ColourT &wanted) const {
  std::set<unsigned> taken;
  for (const auto &colour : target_.colours)
    taken.insert(colour->number);
  if (taken.count(wanted.number) == 0)
    return wanted.number;
  for (unsigned number = 0; number < colours_; ++number)
    if (taken.count(number) == 0)
      return static_cast<uint8_t>(number);
  throw ExecutableError("the entries need more than the machine's " + std::to_string(colours_) + " colours together; compile them as programs of their own");
}

/// New numbers of the source's colours. A colour carries weights if it does in any program.
ColourMap Linker::addColours(const wexe::ProgramT &source) {
  ColourMap numbers{};
  for (const auto &colour : source.colours) {
    auto same = std::find_if(target_.colours.begin(), target_.colours.end(), [&](const auto &other) { return other->name == colour->name; });
    if (same == target_.colours.end()) {
      auto added = std::make_unique<wexe::ColourT>(*colour);
      added->number = freeColour(*colour);
      same = target_.colours.insert(target_.colours.end(), std::move(added));
    }
    (*same)->weight |= colour->weight;
    numbers[colour->number] = (*same)->number;
  }
  return numbers;
}

template <typename T> void append(std::vector<T> &to, std::vector<T> &from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

/// Gives entries of a section that would have the name of one before them another.
template <typename Section> void rename(Section &added, const Section &before) {
  std::set<std::string> taken;
  for (const auto &entry : before)
    taken.insert(entry->name);
  for (auto &entry : added) {
    const std::string wanted = entry->name;
    for (unsigned n = 1; !taken.insert(entry->name).second; ++n)
      entry->name = wanted + "_" + std::to_string(n);
  }
}

void Linker::add(wexe::ProgramT source) {
  if (source.machine_hash != target_.machine_hash)
    throw ExecutableError("the entries are for different machines; compile all of them for one");
  const ColourMap colour = addColours(source);
  const std::vector<uint32_t> tensor = addTensors(source);
  const auto images = static_cast<uint16_t>(target_.images.size());
  const auto functions = static_cast<int>(target_.functions.size());
  const auto entries = static_cast<uint32_t>(target_.entries.size());
  const std::set<uint16_t> before = loadsOf(target_);
  const auto loads = static_cast<uint16_t>(before.empty() ? 0 : *before.rbegin() + 1);

  for (auto &image : source.images) {
    image->load += loads;
    image->command_colour = colour[image->command_colour];
    for (auto &descriptor : image->descriptors)
      if (descriptor->kind == wexe::DescKind::FabIn || descriptor->kind == wexe::DescKind::FabOut)
        descriptor->colour = colour[descriptor->colour];
  }
  for (auto &region : source.regions) {
    region->image += images;
    for (wexe::Override &entry : region->overrides)
      if (entry.field() == wexe::DescField::Colour)
        entry = wexe::Override(entry.descriptor(), entry.field(), colour[entry.base()], entry.dx(), entry.dy());
  }
  for (auto &route : source.routes) {
    route->load += loads;
    route->colour = colour[route->colour];
  }
  auto renumber = [&](std::vector<uint32_t> &numbers) {
    for (uint32_t &number : numbers)
      number = tensor[number];
  };
  for (auto &entry : source.entries) {
    renumber(entry->inputs);
    renumber(entry->outputs);
    for (auto &phase : entry->phases) {
      if (phase->kind == wexe::PhaseKind::Wafer)
        phase->load += loads;
      phase->command_colour = colour[phase->command_colour];
      if (phase->function >= 0)
        phase->function += functions;
      renumber(phase->inputs);
      renumber(phase->outputs);
      for (auto &step : phase->steps) {
        step->colour = colour[step->colour];
        for (int *number : {&step->tensor, &step->bias, &step->pattern, &step->guard})
          if (*number >= 0)
            *number = static_cast<int>(tensor[*number]);
      }
    }
  }
  for (auto &op : source.report)
    op->entry += entries;
  rename(source.images, target_.images);
  rename(source.regions, target_.regions);
  append(target_.images, source.images);
  append(target_.regions, source.regions);
  append(target_.routes, source.routes);
  append(target_.functions, source.functions);
  append(target_.entries, source.entries);
  append(target_.report, source.report);
}

} // namespace

wexe::ProgramT linkPrograms(std::vector<wexe::ProgramT> programs) {
  if (programs.empty())
    throw ExecutableError("found no program to link, expected at least one");
  Linker linker(std::move(programs.front()));
  for (size_t i = 1; i < programs.size(); ++i)
    linker.add(std::move(programs[i]));
  return linker.take();
}

} // namespace wafer
