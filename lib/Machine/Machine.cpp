//===- Machine.cpp - read, validate and write a machine description -------===//

#include "wafer/Machine/Machine.h"

#include "MachineFields.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <set>

using namespace wafer::machine_fields;
using Json = nlohmann::ordered_json;

namespace wafer {

namespace {

/// Reads one description. Knows what every message begins with.
class Reader {
public:
  explicit Reader(std::string_view origin) : origin_(origin) {}

  Machine read(std::string_view text);

private:
  [[noreturn]] void fail(const std::string &what) const { throw MachineError(origin_ + ": " + what); }
  [[noreturn]] void fail(const std::string &field, const std::string &what) const { fail("field '" + field + "' " + what); }

  const Json &member(const Json &object, const std::string &name, const std::string &path) const {
    auto it = object.find(name);
    if (it == object.end())
      fail(path, "is missing");
    return *it;
  }
  void expectObject(const Json &value, const std::string &path) const {
    if (!value.is_object())
      fail(path, "is " + value.dump() + ", expected an object");
  }
  void expectKnown(const Json &object, const std::set<std::string> &known, const std::string &prefix) const;
  uint64_t readInteger(const Json &value, const std::string &path, double least, double most) const;
  double readNumber(const Json &value, const std::string &path, double least, double most) const;
  void readSource(const Json &source) const;
  Defects readDefects(const Json &json, const Machine &machine) const;

  std::string origin_;
};

std::string shortest(double number) { return Json(number).dump(); }

std::string range(double least, double most, bool integral) {
  if (!integral)
    return "a number from " + shortest(least) + " to " + shortest(most);
  return "an integer from " + std::to_string(uint64_t(least)) + " to " + std::to_string(uint64_t(most));
}

std::string joined(const std::set<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// Every field by its path, as `source` may name it: "sram_bytes", "lanes", "lanes.vector".
std::set<std::string> fieldPaths() {
  std::set<std::string> paths = {"name", "lanes", "defects"};
  for (const NumberField &field : numberFields())
    paths.insert(field.name);
  for (const LaneField &field : laneFields())
    paths.insert(std::string("lanes.") + field.name);
  return paths;
}

void Reader::expectKnown(const Json &object, const std::set<std::string> &known, const std::string &prefix) const {
  for (auto it = object.begin(); it != object.end(); ++it)
    if (!known.count(it.key()))
      fail(prefix + it.key(), "is unknown, expected one of " + joined(known));
}

uint64_t Reader::readInteger(const Json &value, const std::string &path, double least, double most) const {
  bool fits = value.is_number_unsigned() && value.get<uint64_t>() >= uint64_t(least) && value.get<uint64_t>() <= uint64_t(most);
  if (!fits)
    fail(path, "is " + value.dump() + ", expected " + range(least, most, true));
  return value.get<uint64_t>();
}

double Reader::readNumber(const Json &value, const std::string &path, double least, double most) const {
  if (!value.is_number() || !(value.get<double>() >= least && value.get<double>() <= most))
    fail(path, "is " + value.dump() + ", expected " + range(least, most, false));
  return value.get<double>();
}

void Reader::readSource(const Json &source) const {
  expectObject(source, "source");
  std::set<std::string> paths = fieldPaths();
  for (auto it = source.begin(); it != source.end(); ++it) {
    if (!paths.count(it.key()))
      fail("source." + it.key(), "explains no field of a machine, expected one of " + joined(paths));
    if (!it->is_string())
      fail("source." + it.key(), "is " + it->dump() + ", expected a string");
  }
}

Defects Reader::readDefects(const Json &json, const Machine &machine) const {
  expectObject(json, "defects");
  expectKnown(json, {"columns", "cores"}, "defects.");
  Defects defects;
  defects.columns = static_cast<uint32_t>(readInteger(member(json, "columns", "defects.columns"), "defects.columns", machine.width, 65535));
  const Json &cores = member(json, "cores", "defects.cores");
  if (!cores.is_array())
    fail("defects.cores", "is no list, expected one of [x, y]");
  std::vector<uint32_t> live(machine.height, defects.columns);
  std::set<std::pair<uint32_t, uint32_t>> seen;
  for (const Json &core : cores) {
    if (!core.is_array() || core.size() != 2)
      fail("defects.cores", "has " + core.dump() + ", expected [x, y]");
    const auto x = static_cast<uint32_t>(readInteger(core[0], "defects.cores", 0, defects.columns - 1));
    const auto y = static_cast<uint32_t>(readInteger(core[1], "defects.cores", 0, machine.height - 1));
    if (!seen.insert({x, y}).second)
      fail("defects.cores", "has " + core.dump() + " twice, expected each dead core once");
    if (--live[y] < machine.width)
      fail("defects.cores", "leaves " + std::to_string(live[y]) + " live cores in row " + std::to_string(y) + ", expected at least the width of " + std::to_string(machine.width) +
                                "; describe a narrower machine");
  }
  defects.cores.assign(seen.begin(), seen.end());
  return defects;
}

Machine Reader::read(std::string_view text) {
  Json json;
  std::set<std::string> seen;
  auto checkShape = [&](int depth, Json::parse_event_t event, Json &parsed) {
    // Deeper than any field; printing a value in a message recurses.
    if (depth > 8)
      fail("nests deeper than 8 levels, expected an object of fields");
    if (event == Json::parse_event_t::key && depth == 1 && !seen.insert(parsed.get<std::string>()).second)
      fail(parsed.get<std::string>(), "is there twice, expected once");
    return true;
  };
  try {
    json = Json::parse(text, checkShape);
  } catch (const Json::exception &error) {
    // The message quotes bytes that may be no text.
    std::string message = error.what();
    std::replace_if(message.begin(), message.end(), [](unsigned char c) { return c >= 0x80 || c < 0x20; }, '?');
    fail("is not JSON: " + message);
  }
  if (!json.is_object())
    fail("holds " + std::string(json.type_name()) + ", expected an object");

  std::set<std::string> known = {"name", "lanes", "source", "defects"};
  for (const NumberField &field : numberFields())
    known.insert(field.name);
  expectKnown(json, known, "");

  Machine machine;
  const Json &name = member(json, "name", "name");
  if (!name.is_string() || name.get<std::string>().empty())
    fail("name", "is " + name.dump() + ", expected a string that is not empty");
  machine.name = name.get<std::string>();

  for (const NumberField &field : numberFields()) {
    const Json &value = member(json, field.name, field.name);
    if (auto narrow = std::get_if<uint32_t Machine::*>(&field.member))
      machine.**narrow = static_cast<uint32_t>(readInteger(value, field.name, field.least, field.most));
    else if (auto wide = std::get_if<uint64_t Machine::*>(&field.member))
      machine.**wide = readInteger(value, field.name, field.least, field.most);
    else
      machine.*std::get<double Machine::*>(field.member) = readNumber(value, field.name, field.least, field.most);
  }
  if (uint64_t(machine.width) * machine.height > mostCores)
    fail("height",
         "gives " + std::to_string(uint64_t(machine.width) * machine.height) + " cores, expected at most " + std::to_string(mostCores));

  const Json &lanes = member(json, "lanes", "lanes");
  expectObject(lanes, "lanes");
  std::set<std::string> classes, widths;
  for (const LaneField &field : laneFields())
    classes.insert(field.name);
  for (const LaneWidth &width : laneWidths())
    widths.insert(width.name);
  expectKnown(lanes, classes, "lanes.");
  for (const LaneField &field : laneFields()) {
    std::string path = std::string("lanes.") + field.name;
    const Json &object = member(lanes, field.name, path);
    expectObject(object, path);
    expectKnown(object, widths, path + ".");
    for (const LaneWidth &width : laneWidths()) {
      std::string full = path + "." + width.name;
      machine.*field.member.*width.member = static_cast<uint32_t>(readInteger(member(object, width.name, full), full, 1, mostLanes));
    }
  }

  if (auto it = json.find("source"); it != json.end())
    readSource(*it);
  if (auto it = json.find("defects"); it != json.end())
    machine.defects = readDefects(*it, machine);
  return machine;
}

} // namespace

Machine Machine::fromJson(std::string_view text, std::string_view origin) { return Reader(origin).read(text); }

std::string Machine::toJson() const {
  Json json;
  json["name"] = name;
  for (const NumberField &field : numberFields())
    std::visit([&](auto member) { json[field.name] = this->*member; }, field.member);
  for (const LaneField &field : laneFields())
    for (const LaneWidth &width : laneWidths())
      json["lanes"][field.name][width.name] = this->*field.member.*width.member;
  if (defects.columns > 0) {
    json["defects"]["columns"] = defects.columns;
    json["defects"]["cores"] = Json::array();
    for (auto [x, y] : defects.cores)
      json["defects"]["cores"].push_back({x, y});
  }
  return json.dump(2) + "\n";
}

std::vector<uint32_t> Machine::columnsOnWafer() const {
  if (defects.cores.empty())
    return {};
  std::vector<uint32_t> columns;
  const std::set<std::pair<uint32_t, uint32_t>> dead(defects.cores.begin(), defects.cores.end());
  for (uint32_t y = 0; y < height; ++y)
    for (uint32_t x = 0, live = 0; live < width; ++x)
      if (!dead.count({x, y})) {
        columns.push_back(x);
        ++live;
      }
  return columns;
}

uint64_t Machine::hash() const {
  std::string text = toJson();
  return XXH64(text.data(), text.size(), 0);
}

} // namespace wafer
