//===- NearNames.cpp - what somebody may have meant -----------------------===//

#include "NearNames.h"

#include <algorithm>
#include <numeric>

namespace wafer {

static constexpr size_t mostSuggestions = 3;
static constexpr size_t mostListed = 8;
/// Longer names are not compared character by character.
static constexpr size_t mostCompared = 200;

/// Insertions, removals and replacements that make one name the other.
static size_t editDistance(const std::string &a, const std::string &b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t(0));
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// "model.fc.weight" and "fc.weight"
static bool differInPrefix(const std::string &a, const std::string &b) {
  const std::string &longer = a.size() > b.size() ? a : b, &shorter = a.size() > b.size() ? b : a;
  return !shorter.empty() && longer.size() > shorter.size() && longer[longer.size() - shorter.size() - 1] == '.' &&
         longer.compare(longer.size() - shorter.size(), shorter.size(), shorter) == 0;
}

std::string didYouMean(const std::string &wanted, const std::vector<std::string> &names) {
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string &candidate : names) {
    if (differInPrefix(wanted, candidate)) {
      near.emplace_back(0, candidate);
      continue;
    }
    if (wanted.size() > mostCompared || candidate.size() > mostCompared)
      continue;
    size_t distance = editDistance(wanted, candidate);
    if (distance <= std::max<size_t>(1, wanted.size() / 3))
      near.emplace_back(distance, candidate);
  }
  if (near.empty())
    return "";
  std::sort(near.begin(), near.end());
  near.resize(std::min(near.size(), mostSuggestions));
  std::string text = "; did you mean ";
  for (size_t i = 0; i < near.size(); ++i)
    text += (i == 0 ? "'" : i + 1 == near.size() ? " or '" : ", '") + near[i].second + "'";
  return text + "?";
}

std::string listNames(const std::vector<std::string> &names) {
  if (names.empty())
    return "none";
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), mostListed); ++i)
    text += (i ? ", '" : "'") + names[i] + "'";
  return names.size() > mostListed ? text + " and " + std::to_string(names.size() - mostListed) + " more" : text;
}

} // namespace wafer
