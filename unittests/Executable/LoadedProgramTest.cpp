//===- LoadedProgramTest.cpp - what engines ask a program -------------------===//

#include "TestProgram.h"

using namespace wafer;
using namespace wafer::test;

namespace {

TEST(LoadedProgram, KnowsTheRegionOfACore) {
  LoadedProgram program = LoadedProgram::verify(linearProgram());
  EXPECT_EQ(program.regionAt(1, 1), 0);
  EXPECT_EQ(program.regionAt(2, 1), -1);
}

TEST(LoadedProgram, AppliesOverridesPerCore) {
  wexe::ProgramT source = linearProgram();
  LoadedProgram program = LoadedProgram::verify(source);
  unsigned eastIn = descriptorIndex(source, "east_in"), restIn = descriptorIndex(source, "rest_in");
  EXPECT_EQ(program.descriptorAt(0, 0, eastIn).elements(), 0u);
  EXPECT_EQ(program.descriptorAt(1, 0, eastIn).elements(), 2u);
  EXPECT_EQ(program.descriptorAt(0, 0, restIn).elements(), 1u);
  EXPECT_EQ(program.descriptorAt(0, 1, restIn).elements(), 0u);
}

// A region with steps: its third core is at x = 1 + 2*2.
TEST(LoadedProgram, CountsPlacesInRegionsWithSteps) {
  wexe::ProgramT source = assembleProgram(R"(wexe
machine odd
image i command=0 {
  descriptor d mem f32 base=1024 shape=[4]
}
region r image=i at=[1, 1] size=[3, 2] step=[2, 3] {
  override d base=1024 dx=16 dy=64
}
)");
  LoadedProgram program = LoadedProgram::verify(std::move(source));
  EXPECT_EQ(program.regionAt(5, 4), 0);
  EXPECT_EQ(program.regionAt(4, 4), -1);
  EXPECT_EQ(program.descriptorAt(5, 4, 0).base, 1024u + 2 * 16 + 64);
}

TEST(LoadedProgram, OverriddenKindAndColourReachTheDescriptor) {
  wexe::ProgramT source = assembleProgram(R"(wexe
machine tiny
image i command=0 {
  descriptor d fabin f32 colour=1 extents=[1, 1, 1, 4] imm=7
}
region r image=i at=[0, 0] {
  override d kind=const
  override d colour=2
}
)");
  LoadedProgram program = LoadedProgram::verify(std::move(source));
  Descriptor d = program.descriptorAt(0, 0, 0);
  EXPECT_EQ(d.kind, wexe::DescKind::Const);
  EXPECT_EQ(d.colour, 2);
  EXPECT_EQ(d.imm, 7u);
}

TEST(LoadedProgram, ExpandsRoutes) {
  LoadedProgram program = LoadedProgram::verify(linearProgram());
  RouteEntry entry = program.routeAt(1, 0, 3);
  EXPECT_EQ(entry.rx, wexe::Dir::W);
  EXPECT_EQ(entry.tx, 1u << unsigned(wexe::Dir::Ramp));
  EXPECT_EQ(program.routeAt(2, 0, 3).tx, 0);
  EXPECT_EQ(program.routeAt(0, 0, 23).tx, 0);
}

TEST(LoadedProgram, NamesColoursForMessages) {
  LoadedProgram program = LoadedProgram::verify(linearProgram());
  EXPECT_EQ(program.colourName(3), "east (colour 3)");
  EXPECT_EQ(program.colourName(20), "colour 20");
}

TEST(LoadedProgram, FindsTheSourceLineOfAnInstruction) {
  wexe::ProgramT source = linearProgram();
  LoadedProgram program = LoadedProgram::verify(source);
  EXPECT_EQ(program.locationOf(0, 0), "");
  EXPECT_EQ(program.locationOf(0, task(source, "begin").pc), "linear.py:2");
  EXPECT_EQ(program.locationOf(0, task(source, "own").pc), "linear.py:2");
}

TEST(LoadedProgram, HasDecodedCode) {
  LoadedProgram program = LoadedProgram::verify(linearProgram());
  ASSERT_EQ(program.code(0).size(), 42u);
  EXPECT_EQ(print(program.code(0)[0]), "fmacw.f16 d1, d0");
}

// One column channel and one row channel over every core of the largest machine.
TEST(LoadedProgram, HoldsAWholeWafer) {
  wexe::ProgramT source = assembleProgram(R"(wexe
machine wse3
colour 0 command weight
colour 1 east
image i command=command {
  descriptor in fabin f32 colour=east extents=[1, 1, 1, 8]
  descriptor out fabout f32 colour=east extents=[1, 1, 1, 8]
  descriptor acc acc f32 shape=[8]
  control 1 first:
    ldd d0, %in
    ldd d1, %out
    ldd d2, %acc
    add.f32 d2, d2, d0
    mov.f32 d1, d2
    end
}
region even image=i at=[0, 0] size=[381, 1172] step=[2, 1] {
  override in extent3=0
}
region odd image=i at=[1, 0] size=[381, 1172] step=[2, 1] {
  override out extent3=0
}
route command colour=command at=[0, 0] size=[762, 1171] rx=N tx=[S, RAMP]
route command colour=command at=[0, 1171] size=[762, 1] rx=N tx=[RAMP]
route east colour=east at=[0, 0] size=[381, 1172] step=[2, 1] rx=RAMP tx=[E]
route east colour=east at=[1, 0] size=[381, 1172] step=[2, 1] rx=W tx=[RAMP]
)");
  LoadedProgram program = LoadedProgram::verify(std::move(source));
  EXPECT_EQ(program.regionAt(761, 1171), 1);
  EXPECT_EQ(program.routeAt(761, 1171, 1).rx, wexe::Dir::W);
}

} // namespace
