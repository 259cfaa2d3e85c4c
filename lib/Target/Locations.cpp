//===- Locations.cpp - source lines in executables ---------------------------===//

#include "Locations.h"

#include "mlir/IR/BuiltinAttributes.h"

using namespace mlir;

namespace wafer {

static FileLineColLoc fileOf(Location loc) {
  if (auto file = dyn_cast<FileLineColLoc>(loc))
    return file;
  if (auto name = dyn_cast<NameLoc>(loc))
    return fileOf(name.getChildLoc());
  if (auto call = dyn_cast<CallSiteLoc>(loc))
    return fileOf(call.getCallee());
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (FileLineColLoc file = fileOf(part))
        return file;
  return {};
}

std::string locationText(Location loc) {
  FileLineColLoc file = fileOf(loc);
  return file ? (file.getFilename().getValue() + ":" + Twine(file.getLine())).str() : std::string();
}

Location locationFromText(MLIRContext *context, StringRef text) {
  auto [file, number] = text.rsplit(':');
  unsigned line;
  if (text.empty() || number.getAsInteger(10, line))
    return UnknownLoc::get(context);
  return FileLineColLoc::get(context, file, line, 0);
}

std::string locationName(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  if (auto fused = dyn_cast<FusedLoc>(loc)) {
    if (auto name = dyn_cast_or_null<StringAttr>(fused.getMetadata()))
      return name.str();
    for (Location part : fused.getLocations())
      if (std::string name = locationName(part); !name.empty())
        return name;
  }
  return "";
}

} // namespace wafer
