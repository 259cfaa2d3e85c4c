//===- NearNames.h - what somebody may have meant -------------------------===//
//
// Suggestions for a name that does not exist.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_RUNTIME_NEARNAMES_H
#define WAFER_LIB_RUNTIME_NEARNAMES_H

#include <string>
#include <vector>

namespace wafer {

/// "; did you mean 'a' or 'b'?", from the names that differ from `wanted` in few characters or in a prefix; "" when there is none.
std::string didYouMean(const std::string &wanted, const std::vector<std::string> &names);

/// "'a', 'b' and 3 more", or "none".
std::string listNames(const std::vector<std::string> &names);

} // namespace wafer

#endif // WAFER_LIB_RUNTIME_NEARNAMES_H
