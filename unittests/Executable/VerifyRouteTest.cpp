//===- VerifyRouteTest.cpp - rules of routes and of weight colours ----------===//
//
// Each test breaks one rule of docs/spec/machine.md section 1 or weight_c1 in a program that is valid otherwise.
//
//===----------------------------------------------------------------------===//

#include "TestProgram.h"

using namespace wafer;
using namespace wafer::test;
using wexe::Dir;
using wexe::Rect;

namespace {

TEST(Verify, TheTestProgramIsValid) { EXPECT_EQ(refusal(linearProgram()), ""); }

TEST(Verify, route_c1_SecondSenderNamesBothEntries) {
  wexe::ProgramT program = linearProgram();
  addRoute(program, "other", 3, Rect(1, 1, 1, 1, 1, 1), Dir::Ramp, {Dir::S});
  expectRefused(program, "route_c1",
                "entry 13 ('other'): is a second sender into east (colour 3) at router (1, 1), which section 'routes' entry 6 ('east')");
}

TEST(Verify, route_c1_SendingBackIsRefused) {
  wexe::ProgramT program = linearProgram();
  route(program, "command").tx |= 1u << unsigned(Dir::N);
  expectRefused(program, "route_c1", "sends back to N");
}

TEST(Verify, route_c1_EntryThatSendsNowhereIsRefused) {
  wexe::ProgramT program = linearProgram();
  route(program, "command").tx = 0;
  expectRefused(program, "route_c1", "has tx bits 0");
}

TEST(Verify, route_c1_RectOutsideTheMachineIsRefused) {
  wexe::ProgramT program = linearProgram();
  route(program, "command").rect = std::make_unique<Rect>(3, 0, 2, 1, 1, 1);
  expectRefused(program, "route_c1", "reaches core (4, 0), but machine 'tiny' has 4x4 cores");
}

TEST(Verify, route_c1_RectWithoutCoresIsRefused) {
  wexe::ProgramT program = linearProgram();
  route(program, "command").rect = std::make_unique<Rect>(0, 0, 0, 1, 1, 1);
  expectRefused(program, "route_c1", "has 0x1 cores");
}

// The message has the channel, both cores and what to add.
TEST(Verify, route_c2_MissingRouteIsNamed) {
  wexe::ProgramT program = linearProgram();
  removeRoute(program, "east", 1);
  expectRefused(program, "route_c2",
                "router (0, 0) sends east (colour 3) to E, but router (1, 0) has no entry for it; add a route with rx W there");
}

TEST(Verify, route_c2_NeighbourThatListensElsewhereIsNamed) {
  wexe::ProgramT program = linearProgram();
  route(program, "east", 1).rx = Dir::S;
  expectRefused(program, "route_c2", "but router (1, 0) receives it from S by section 'routes' entry 6 ('east'), expected rx W");
}

TEST(Verify, route_c2_OnlyTheSouthEdgeHasOutputPorts) {
  wexe::ProgramT program = linearProgram();
  addRoute(program, "out", 7, Rect(3, 0, 1, 1, 1, 1), Dir::Ramp, {Dir::E});
  expectRefused(program, "route_c2", "off the wafer");
}

TEST(Verify, route_c3_RouterThatNobodySendsToIsNamed) {
  wexe::ProgramT program = linearProgram();
  removeRoute(program, "west", 0);
  expectRefused(program, "route_c3",
                "router (0, 0) receives west (colour 6) from E, but router (1, 0) has no entry for it; add a route with W in tx there");
}

TEST(Verify, route_c3_NeighbourThatSendsElsewhereIsNamed) {
  wexe::ProgramT program = linearProgram();
  addRoute(program, "a", 7, Rect(2, 0, 1, 1, 1, 1), Dir::N, {Dir::S});
  addRoute(program, "b", 7, Rect(2, 1, 1, 3, 1, 1), Dir::N, {Dir::S});
  addRoute(program, "c", 7, Rect(3, 3, 1, 1, 1, 1), Dir::W, {Dir::S});
  expectRefused(program, "route_c3", "router (2, 3) does not send it there by section 'routes' entry 14 ('b'), expected E in tx");
}

TEST(Verify, route_c3_OnlyTheNorthEdgeHasInputPorts) {
  wexe::ProgramT program = linearProgram();
  addRoute(program, "in", 7, Rect(3, 3, 1, 1, 1, 1), Dir::E, {Dir::S});
  expectRefused(program, "route_c3", "off the wafer");
}

TEST(Verify, route_c4_ColoursAreBelowTheMachines) {
  wexe::ProgramT program = linearProgram();
  route(program, "east").colour = 24;
  expectRefused(program, "route_c4", "uses colour 24, expected less than the machine's 24");

  program = linearProgram();
  program.colours[0]->number = 24;
  expectRefused(program, "route_c4", "section 'colours' entry 0 ('command')");

  program = linearProgram();
  image(program).command_colour = 200;
  expectRefused(program, "route_c4", "command colour 200");

  program = linearProgram();
  descriptor(program, "east_out").colour = 30;
  expectRefused(program, "route_c4", "descriptor 10");
}

TEST(Verify, route_c5_RouteFromACoreThatNeverSends) {
  wexe::ProgramT program = linearProgram();
  addRoute(program, "idle", 7, Rect(0, 0, 1, 1, 1, 1), Dir::Ramp, {Dir::S});
  addRoute(program, "idle", 7, Rect(0, 1, 1, 3, 1, 1), Dir::N, {Dir::S});
  expectRefused(program, "route_c5",
                "takes colour 7 from RAMP at core (0, 0), but no instruction of image 'linear' of region 'all' sends on it");
}

TEST(Verify, route_c5_RouteToACoreThatNeverReceives) {
  wexe::ProgramT program = linearProgram();
  addRoute(program, "idle", 7, Rect(0, 0, 1, 1, 1, 1), Dir::N, {Dir::Ramp});
  expectRefused(program, "route_c5", "delivers colour 7 to RAMP at core (0, 0)");
}

TEST(Verify, route_c5_RouteToACoreWithoutProgram) {
  wexe::ProgramT program = linearProgram();
  addRoute(program, "idle", 7, Rect(3, 0, 1, 1, 1, 1), Dir::N, {Dir::Ramp});
  expectRefused(program, "route_c5", "where no region runs a program");
}

TEST(Verify, route_c6_RingIsRefused) {
  wexe::ProgramT program = linearProgram();
  addRoute(program, "ring", 7, Rect(2, 0, 1, 1, 1, 1), Dir::S, {Dir::E});
  addRoute(program, "ring", 7, Rect(3, 0, 1, 1, 1, 1), Dir::W, {Dir::S});
  addRoute(program, "ring", 7, Rect(3, 1, 1, 1, 1, 1), Dir::N, {Dir::W});
  addRoute(program, "ring", 7, Rect(2, 1, 1, 1, 1, 1), Dir::E, {Dir::N});
  expectRefused(program, "route_c6", "colour 7 comes back to router (2, 0)");
}

// The first column has no neighbour in the west; the schedule makes it receive from there nevertheless.
TEST(Verify, route_c7_ReceivingWhereNothingIsDelivered) {
  wexe::ProgramT program = linearProgram();
  override(program, "y_east", wexe::DescField::Extent3, 2);
  override(program, "east_in", wexe::DescField::Extent3, 2);
  expectRefused(program, "route_c7",
                "receives on east (colour 3) at core (0, 0), whose router does not deliver it; add a route with RAMP in tx there");
}

TEST(Verify, route_c7_SendingWhereNothingIsTaken) {
  wexe::ProgramT program = linearProgram();
  override(program, "y_first", wexe::DescField::Extent3, 2);
  override(program, "out_first", wexe::DescField::Extent3, 2);
  expectRefused(program, "route_c7", "sends on output_south (colour 5) at core (0, 1), whose router does not take it from RAMP");
}

TEST(Verify, weight_c1_NoTemplateReceivesAWeightColour) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "in_first").colour = 0;
  expectRefused(program, "weight_c1",
                "descriptor 5 ('in_first'): receives command (colour 0), which is marked weight, so a core could store a weight");
}

TEST(Verify, weight_c1_NoOverrideReceivesAWeightColour) {
  wexe::ProgramT program = linearProgram();
  override(program, "in_second", wexe::DescField::Colour, 0);
  expectRefused(program, "weight_c1", "section 'regions' entry 0 ('all') descriptor 9 ('in_second')");
}

// A template that is a destination as it is written, and a receiver of weights in one region.
TEST(Verify, weight_c1_NoOverriddenKindReceivesAWeightColour) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "zero").extents = {1, 1, 1, 2};
  override(program, "zero", wexe::DescField::Kind, unsigned(wexe::DescKind::FabIn));
  expectRefused(program, "weight_c1", "descriptor 3 ('zero')");
}

// Forgetting the mark does not help: what a contract step streams on is a weight colour.
TEST(Verify, weight_c1_CommandColourOfAContractionCountsWithoutTheMark) {
  wexe::ProgramT program = linearProgram();
  program.colours[0]->weight = false;
  EXPECT_EQ(LoadedProgram::verify(program).provedWeightColours(), 1u);
  descriptor(program, "in_first").colour = 0;
  expectRefused(program, "weight_c1", "on which section 'entries' entry 0 ('main') phase 0 step 2 ('fc') streams weights");
}

// Another image, commanded on colour 7, gets weights on its ramp all the same.
TEST(Verify, weight_c1_WeightColourReachesCommandInputsOnly) {
  wexe::ProgramT program = linearProgram();
  auto other = std::make_unique<wexe::ImageT>(image(program));
  other->command_colour = 7;
  program.images.push_back(std::move(other));
  auto region = std::make_unique<wexe::RegionT>();
  region->rect = std::make_unique<Rect>(2, 0, 1, 1, 1, 1);
  region->image = 1;
  program.regions.push_back(std::move(region));
  addRoute(program, "stray", 0, Rect(2, 0, 1, 1, 1, 1), Dir::N, {Dir::Ramp});
  expectRefused(program, "weight_c1", "deliver command (colour 0), which is marked weight, to core (2, 0), whose command colour is 7");

  program.routes.back()->colour = 7;
  EXPECT_EQ(refusal(program), "");
}

// What an addw sums up goes on through the fabric.
TEST(Verify, weight_c1_NoWeightIsASummand) {
  std::string text = linearText();
  auto replace = [&](const std::string &from, const std::string &to) { text.replace(text.find(from), from.size(), to); };
  replace("fmacw.f16 d1, d0", "addw.f32 d21, d20");
  replace("bind @weights", "ldd d20, %zero\n    ldd d21, %east_out\n    bind @weights");
  expectRefused(assembleProgram(text), "weight_c1", "has 'addw.f32 d21, d20', which sends on what command (colour 0), which is marked weight, brings");
}

TEST(Verify, weight_c1_WeightIsNotSentAsABlock) {
  wexe::ProgramT program = linearProgram();
  tensor(program, "x").role = wexe::Role::Weight;
  expectRefused(program, "weight_c1", "sends weight 'x' as a block that cores keep");
}

TEST(Verify, weight_c1_ProvedColoursAreCounted) {
  wexe::ProgramT program = linearProgram();
  EXPECT_EQ(LoadedProgram::verify(program).provedWeightColours(), 1u);
  auto spare = std::make_unique<wexe::ColourT>();
  spare->number = 9;
  spare->weight = true;
  program.colours.push_back(std::move(spare));
  EXPECT_EQ(LoadedProgram::verify(program).provedWeightColours(), 2u);
}

} // namespace
