//===- MachineTest.cpp - machine descriptions -------------------------------===//

#include "wafer/Machine/Machine.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace wafer;
using Json = nlohmann::ordered_json;

namespace {

Json tiny() { return Json::parse(Machine::load("tiny").toJson()); }

/// The message with which a description is refused; empty when it is accepted.
std::string refusal(const Json &json) {
  try {
    Machine::fromJson(json.dump(), "m.json");
    return "";
  } catch (const MachineError &error) {
    return error.what();
  }
}

TEST(Machine, PresetsOfTheTreeAreThere) {
  std::vector<std::string> names = Machine::presets();
  for (const char *name : {"tiny", "odd", "small", "die", "wse2", "wse3"})
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
}

TEST(Machine, EveryPresetIsValidAndNamesItself) {
  for (const std::string &name : Machine::presets())
    EXPECT_EQ(Machine::load(name).name, name);
}

TEST(Machine, RowsAreTheLiveCoresOfTheWafer) {
  Json json = tiny();
  json["defects"] = {{"columns", 6}, {"cores", {{1, 0}, {2, 0}, {0, 3}}}};
  Machine machine = Machine::fromJson(json.dump(), "m.json");
  const std::vector<uint32_t> expected = {0, 3, 4, 5, 0, 1, 2, 3, 0, 1, 2, 3, 1, 2, 3, 4};
  EXPECT_EQ(machine.columnsOnWafer(), expected);
  EXPECT_EQ(Machine::fromJson(machine.toJson(), "again").columnsOnWafer(), expected);
  EXPECT_NE(machine.hash(), Machine::load("tiny").hash());
  EXPECT_TRUE(Machine::load("tiny").columnsOnWafer().empty());
}

TEST(Machine, ARowNeedsAsManyLiveCoresAsTheMachineIsWide) {
  Json json = tiny();
  json["defects"] = {{"columns", 5}, {"cores", {{1, 2}, {4, 2}}}};
  EXPECT_EQ(refusal(json), "m.json: field 'defects.cores' leaves 3 live cores in row 2, expected at least the width of 4; describe a narrower machine");
  json["defects"] = {{"columns", 3}, {"cores", Json::array()}};
  EXPECT_EQ(refusal(json), "m.json: field 'defects.columns' is 3, expected an integer from 4 to 65535");
  json["defects"] = {{"columns", 5}, {"cores", {{1, 2}, {1, 2}}}};
  EXPECT_EQ(refusal(json), "m.json: field 'defects.cores' has [1,2] twice, expected each dead core once");
  json["defects"] = {{"columns", 5}, {"cores", {{5, 0}}}};
  EXPECT_EQ(refusal(json), "m.json: field 'defects.cores' is 5, expected an integer from 0 to 4");
  json["defects"] = {{"columns", 5}};
  EXPECT_EQ(refusal(json), "m.json: field 'defects.cores' is missing");
}

TEST(Machine, Wse3HasThePublishedFabric) {
  Machine machine = Machine::load("wse3");
  EXPECT_EQ(machine.width, 762u);
  EXPECT_EQ(machine.height, 1172u);
  EXPECT_EQ(machine.sramBytes, 49152u);
  EXPECT_EQ(machine.fmacAccLanes.bits16, 8u);
  EXPECT_EQ(machine.fmacMemLanes.bits16, 4u);
}

TEST(Machine, JsonGivesTheSameMachineBack) {
  Machine machine = Machine::load("odd");
  Machine again = Machine::fromJson(machine.toJson(), "again");
  EXPECT_EQ(again.toJson(), machine.toJson());
  EXPECT_EQ(again.hash(), machine.hash());
}

// A program names its machine by this number, so it must not depend on comments or on the order of fields.
TEST(Machine, HashIgnoresSourceAndOrder) {
  Json json = tiny(), reordered;
  std::vector<std::string> keys;
  for (auto it = json.begin(); it != json.end(); ++it)
    keys.insert(keys.begin(), it.key());
  for (const std::string &key : keys)
    reordered[key] = json[key];
  reordered["source"]["sram_bytes"] = "measured";
  EXPECT_EQ(Machine::fromJson(reordered.dump(), "m").hash(), Machine::load("tiny").hash());
}

TEST(Machine, HashDependsOnEveryNumber) {
  Json json = tiny();
  json["hop_cycles"] = json["hop_cycles"].get<int>() + 1;
  EXPECT_NE(Machine::fromJson(json.dump(), "m").hash(), Machine::load("tiny").hash());
}

TEST(Machine, EmptyGridIsRefused) {
  Json json = tiny();
  json["width"] = 0;
  EXPECT_EQ(refusal(json), "m.json: field 'width' is 0, expected an integer from 1 to 8192");
}

TEST(Machine, TooManyCoresAreRefused) {
  Json json = tiny();
  json["width"] = json["height"] = 8192;
  EXPECT_EQ(refusal(json), "m.json: field 'height' gives 67108864 cores, expected at most 2097152");
}

TEST(Machine, ZeroLanesAreRefused) {
  Json json = tiny();
  json["lanes"]["fmac_acc"]["bits16"] = 0;
  EXPECT_EQ(refusal(json), "m.json: field 'lanes.fmac_acc.bits16' is 0, expected an integer from 1 to 1024");
}

TEST(Machine, FractionWhereAnIntegerIsExpectedIsRefused) {
  Json json = tiny();
  json["colours"] = 24.5;
  EXPECT_EQ(refusal(json), "m.json: field 'colours' is 24.5, expected an integer from 1 to 32");
}

TEST(Machine, NegativeNumberIsRefused) {
  Json json = tiny();
  json["sram_bytes"] = -1;
  EXPECT_EQ(refusal(json), "m.json: field 'sram_bytes' is -1, expected an integer from 64 to 65536");
}

TEST(Machine, ClockMustBeANumber) {
  Json json = tiny();
  json["clock_ghz"] = "fast";
  EXPECT_EQ(refusal(json), "m.json: field 'clock_ghz' is \"fast\", expected a number from 0.001 to 1000.0");
}

TEST(Machine, MissingFieldIsRefused) {
  Json json = tiny();
  json.erase("microthreads");
  EXPECT_EQ(refusal(json), "m.json: field 'microthreads' is missing");
}

TEST(Machine, UnknownFieldIsRefused) {
  Json json = tiny();
  json["colors"] = 24;
  EXPECT_NE(refusal(json).find("field 'colors' is unknown, expected one of accumulator_bytes, clock_ghz, colours,"), std::string::npos)
      << refusal(json);
}

TEST(Machine, UnknownLaneClassIsRefused) {
  Json json = tiny();
  json["lanes"]["scalar"] = json["lanes"]["vector"];
  EXPECT_NE(refusal(json).find("field 'lanes.scalar' is unknown"), std::string::npos);
}

TEST(Machine, SourceMayOnlyExplainFields) {
  Json json = tiny();
  json["source"]["sram"] = "measured";
  EXPECT_NE(refusal(json).find("field 'source.sram' explains no field"), std::string::npos);
}

TEST(Machine, TextThatIsNotJsonIsRefused) { EXPECT_THROW(Machine::fromJson("{\"name\": ", "m.json"), MachineError); }

TEST(Machine, FieldGivenTwiceIsRefused) {
  std::string text = tiny().dump();
  text.insert(1, "\"width\": 4, ");
  EXPECT_THROW(Machine::fromJson(text, "m.json"), MachineError);
}

// The parser must not be made to recurse without bound.
TEST(Machine, DeepNestingIsRefused) { EXPECT_THROW(Machine::fromJson(std::string(1000000, '['), "m.json"), MachineError); }

TEST(Machine, UnknownPresetListsThosePresent) {
  try {
    Machine::load("medium");
    FAIL() << "an unknown machine was accepted";
  } catch (const MachineError &error) {
    std::string message = error.what();
    EXPECT_NE(message.find("unknown machine 'medium', expected one of "), std::string::npos);
    EXPECT_NE(message.find("tiny"), std::string::npos);
  }
}

TEST(Machine, FileThatIsNotThereIsNamed) {
  try {
    Machine::load("/nowhere/m.json");
    FAIL() << "a missing file was accepted";
  } catch (const MachineError &error) {
    EXPECT_NE(std::string(error.what()).find("/nowhere/m.json"), std::string::npos);
  }
}

TEST(Machine, PresetsOfTheEnvironmentComeFirst) {
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "wafer-machines-test";
  std::filesystem::create_directories(folder);
  Json json = tiny();
  json["name"] = "tiny";
  json["width"] = 2;
  std::ofstream(folder / "tiny.json") << json.dump();
  setenv("WAFER_MACHINES", folder.c_str(), 1);
  uint32_t width = Machine::load("tiny").width;
  unsetenv("WAFER_MACHINES");
  std::filesystem::remove_all(folder);
  EXPECT_EQ(width, 2u);
}

} // namespace
