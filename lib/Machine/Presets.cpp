//===- Presets.cpp - find machine descriptions by name --------------------===//

#include "wafer/Machine/Machine.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <dlfcn.h>

namespace fs = std::filesystem;

namespace wafer {

namespace {

/// The folder of the executable or shared library that this code is linked into; empty when the system does not tell.
fs::path ownFolder() {
  static const char anchor = 0;
  Dl_info info;
  if (dladdr(&anchor, &info) == 0 || !info.dli_fname)
    return {};
  std::error_code ignored;
  fs::path real = fs::canonical(info.dli_fname, ignored);
  return real.parent_path();
}

/// Earlier folders win.
std::vector<fs::path> presetFolders() {
  std::vector<fs::path> folders;
  if (const char *list = std::getenv("WAFER_MACHINES")) {
    std::istringstream stream(list);
    for (std::string folder; std::getline(stream, folder, ':');)
      if (!folder.empty())
        folders.push_back(folder);
  }
  if (fs::path own = ownFolder(); !own.empty())
    folders.push_back(own.parent_path() / "share" / "wafer" / "machines");
  folders.push_back(WAFER_MACHINES_SOURCE_DIR);
  return folders;
}

std::string readText(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!fs::is_regular_file(path) || !file || !(text << file.rdbuf()))
    throw MachineError(path.string() + ": cannot be read, expected a machine description in JSON");
  return text.str();
}

bool endsWithJson(const std::string &name) { return fs::path(name).extension() == ".json"; }

} // namespace

std::vector<std::string> Machine::presets() {
  std::set<std::string> names;
  for (const fs::path &folder : presetFolders()) {
    std::error_code ignored;
    for (const fs::directory_entry &entry : fs::directory_iterator(folder, ignored))
      if (entry.path().extension() == ".json")
        names.insert(entry.path().stem().string());
  }
  return {names.begin(), names.end()};
}

Machine Machine::load(const std::string &nameOrPath) {
  if (endsWithJson(nameOrPath))
    return fromJson(readText(nameOrPath), nameOrPath);
  std::vector<std::string> known = presets();
  // A name is looked up among the presets and never becomes part of a path, so it cannot point elsewhere.
  if (std::find(known.begin(), known.end(), nameOrPath) != known.end())
    for (const fs::path &folder : presetFolders()) {
      fs::path path = folder / (nameOrPath + ".json");
      std::error_code ignored;
      if (fs::exists(path, ignored))
        return fromJson(readText(path), path.string());
    }
  std::string list;
  for (const std::string &name : known)
    list += (list.empty() ? "" : ", ") + name;
  throw MachineError("unknown machine '" + nameOrPath + "', expected one of " +
                     (list.empty() ? "(no presets found; set WAFER_MACHINES)" : list) + ", or a path that ends in .json");
}

} // namespace wafer
