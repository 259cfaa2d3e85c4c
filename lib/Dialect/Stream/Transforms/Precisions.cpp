//===- Precisions.cpp - which type the values of an operation have ----------===//

#include "Precisions.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;

namespace wafer::stream {

/// The name that reports use. Of an operation that was merged from several, that of the last, whose result it is.
static StringRef nameAt(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().getValue();
  auto fused = dyn_cast<FusedLoc>(loc);
  if (!fused)
    return "";
  if (auto name = dyn_cast_or_null<StringAttr>(fused.getMetadata()))
    return name.getValue();
  for (Location part : llvm::reverse(fused.getLocations()))
    if (StringRef name = nameAt(part); !name.empty())
      return name;
  return "";
}

static FloatType typeCalled(StringRef name, MLIRContext *context) {
  return llvm::StringSwitch<FloatType>(name)
      .Case("f32", Float32Type::get(context))
      .Case("f16", Float16Type::get(context))
      .Case("bf16", BFloat16Type::get(context))
      .Default(nullptr);
}

FailureOr<Precisions> Precisions::parse(StringRef text, Location loc) {
  Precisions precisions;
  auto typeOrError = [&](StringRef name) {
    FloatType type = typeCalled(name, loc.getContext());
    if (!type)
      emitError(loc) << "found precision '" << name << "', expected f16, bf16 or f32";
    return type;
  };
  auto [standard, rest] = text.split(',');
  precisions.standard_ = typeOrError(standard);
  if (!precisions.standard_)
    return failure();
  while (!rest.empty()) {
    StringRef part;
    std::tie(part, rest) = rest.split(',');
    auto [pattern, name] = part.rsplit('=');
    FloatType type = typeOrError(name);
    if (!type)
      return failure();
    llvm::Expected<llvm::GlobPattern> glob = llvm::GlobPattern::create(pattern);
    if (!glob)
      return emitError(loc) << "found pattern '" << pattern << "' in the precision, expected a name with '*' and '?': " << llvm::toString(glob.takeError());
    precisions.overrides_.push_back({std::move(*glob), type});
  }
  return precisions;
}

FloatType Precisions::of(Location loc) const {
  StringRef name = nameAt(loc);
  auto fits = [&](const llvm::GlobPattern &pattern) {
    if (pattern.match(name))
      return true;
    for (size_t end = 0; end < name.size(); ++end)
      if ((name[end] == '.' || name[end] == '/') && pattern.match(name.take_front(end)))
        return true;
    return false;
  };
  for (const auto &[pattern, type] : llvm::reverse(overrides_))
    if (fits(pattern))
      return type;
  return standard_;
}

bool Precisions::areAllF32() const {
  return standard_.isF32() && llvm::all_of(overrides_, [](const auto &override) { return override.second.isF32(); });
}

} // namespace wafer::stream
