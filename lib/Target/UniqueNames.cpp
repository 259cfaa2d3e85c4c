//===- UniqueNames.cpp - names of an executable as symbols ---------------------===//
//
// Each section of an executable has names of its own, and they may repeat or be missing. Operations of one region share a symbol table. Compiled programs keep
// their names; in others what matters less to the outside (colours, buffers) gives way.
//
//===----------------------------------------------------------------------===//

#include "UniqueNames.h"

#include <set>

namespace wafer {

namespace {

class Table {
public:
  template <typename Section> void add(Section &section) {
    for (auto &entry : section) {
      std::string wanted = entry->name.empty() ? "unnamed" : entry->name;
      entry->name = wanted;
      for (unsigned n = 1; !taken_.insert(entry->name).second; ++n)
        entry->name = wanted + "_" + std::to_string(n);
    }
  }
  void take(const std::string &name) { taken_.insert(name); }

private:
  std::set<std::string> taken_;
};

} // namespace

void makeNamesUnique(wexe::ProgramT &program) {
  Table table;
  // A function's text holds its name.
  for (const auto &function : program.functions)
    table.take(function->name);
  table.add(program.tensors);
  table.add(program.entries);
  table.add(program.images);
  table.add(program.regions);
  table.add(program.colours);
  for (auto &image : program.images) {
    Table inside;
    inside.add(image->tasks);
    inside.add(image->descriptors);
    inside.add(image->buffers);
  }
}

} // namespace wafer
