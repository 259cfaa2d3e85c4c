//===- VerifyImageTest.cpp - rules of code, descriptors and regions ---------===//
//
// Each test breaks one rule of docs/spec/machine.md sections 2 to 4, or of docs/spec/executable.md, in a program that is valid otherwise.
//
//===----------------------------------------------------------------------===//

#include "TestProgram.h"

using namespace wafer;
using namespace wafer::test;
using wexe::DescField;
using wexe::Rect;

namespace {

TEST(Verify, task_c3_TaskBeginsInsideTheCode) {
  wexe::ProgramT program = linearProgram();
  task(program, "own").pc = 500;
  expectRefused(program, "task_c3", "task 'own': begins at @500, but the code has 42 instructions");
}

TEST(Verify, task_c3_TaskReachesItsEnd) {
  wexe::ProgramT program = linearProgram();
  image(program).code.pop_back();
  expectRefused(program, "task_c3", "task 'give_output': runs off the end of the code");
}

TEST(Verify, task_c4_DataTaskIsOneTrigger) {
  wexe::ProgramT program = linearProgram();
  patch(program, "weights", 0, "add.f32 d1, d0, d0");
  expectRefused(program, "task_c4", "task 'weights': is a data task that begins with 'add.f32 d1, d0, d0'");
}

TEST(Verify, task_c4_NothingFollowsTheTrigger) {
  wexe::ProgramT program = linearProgram();
  patch(program, "weights", 1, "swapd d0, d1");
  expectRefused(program, "task_c4", "then 'end'");
}

TEST(Verify, task_c4_TriggerOutsideADataTask) {
  wexe::ProgramT program = linearProgram();
  patch(program, "own", 0, "fmacw.f16 d1, d0");
  expectRefused(program, "task_c4", "'fmacw.f16 d1, d0': is not the first instruction of a data task");
}

TEST(Verify, task_c4_ControlTaskDoesNotRunIntoADataTask) {
  wexe::ProgramT program = linearProgram();
  task(program, "own").pc = 0;
  expectRefused(program, "task_c4", "task 'own': is a control task that runs into the data task at @0");
}

TEST(Verify, task_c4_BindNamesADataTask) {
  wexe::ProgramT program = linearProgram();
  patch(program, "begin", 4, "bind @5");
  expectRefused(program, "task_c4", "binds @5, where no data task begins");
}

TEST(Verify, task_c5_NumberOfControlTasksIsLimited) {
  wexe::ProgramT program = linearProgram();
  for (unsigned n = 0; n < 64; ++n) {
    image(program).tasks.push_back(std::make_unique<wexe::TaskT>(task(program, "own")));
    image(program).tasks.back()->number = uint16_t(100 + n);
  }
  expectRefused(program, "task_c5", "has 70 control tasks, but the machine has room for 64");
}

TEST(Verify, task_c6_AnImageStartsWithAControlTask) {
  wexe::ProgramT program = linearProgram();
  image(program).start = task(program, "begin").number;
  EXPECT_EQ(refusal(program), "");
  for (int32_t number : {0, 77, -2, 65538}) {
    image(program).start = number;
    expectRefused(program, "task_c6", "starts with control task " + std::to_string(number) + ", but has no such task");
  }
}

// What the schedule never commands is looked at too.
TEST(Verify, route_c7_TheTaskAtTheStartSendsWhereRoutesBegin) {
  wexe::ProgramT program = linearProgram();
  image(program).start = task(program, "pass_east").number;
  expectRefused(program, "route_c7", "start of section 'images' entry 0 ('linear')");
}

TEST(Verify, desc_c1_ElementsLieAboveCodeAndTemplates) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "x_rows").base = 1000;
  expectRefused(program, "desc_c1", "addresses bytes 1000 to 1004, expected a multiple of 2 inside data SRAM, bytes 1040 to 49152");
}

TEST(Verify, desc_c1_ElementsLieBelowTheEndOfSram) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "y").base = 49148;
  expectRefused(program, "desc_c1", "addresses bytes 49148 to 49156");
}

TEST(Verify, desc_c1_NegativeStridesCount) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "x_rows").extents = {8, 1, 1, 2};
  descriptor(program, "x_rows").strides = {-100, 0, 0, 1};
  expectRefused(program, "desc_c1", "addresses bytes 648 to 2052");
}

TEST(Verify, desc_c1_ElementsLieInsideTheAccumulator) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "sum").base = 508;
  expectRefused(program, "desc_c1", "addresses bytes 508 to 516, expected a multiple of 4 inside the accumulator cache, bytes 0 to 512");
}

TEST(Verify, desc_c1_ElementsAreAligned) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "y").base = 2058;
  expectRefused(program, "desc_c1", "expected a multiple of 4");
}

// The base grows to the south, and leaves SRAM in the second row only.
TEST(Verify, desc_c1_HoldsAtEveryCoreOfARegion) {
  wexe::ProgramT program = linearProgram();
  override(program, "y", DescField::Base, 49144, 0, 8);
  expectRefused(program, "desc_c1", "addresses bytes 49152 to 49160 at core (0, 1)");
}

// Core (1, 1) would address bytes outside of SRAM, but has no elements.
TEST(Verify, desc_c1_AsksNothingOfEmptyDescriptors) {
  wexe::ProgramT program = linearProgram();
  override(program, "y_first", DescField::Base, 49144, 0, 8);
  EXPECT_EQ(refusal(program), "");
}

TEST(Verify, desc_c2_RegisterIsLoadedSomewhere) {
  wexe::ProgramT program = linearProgram();
  patch(program, "own", 0, "add.f32 d2, d3, d40 clear1");
  expectRefused(program, "desc_c2", "uses d40, which no task of the image loads; add a 'ldd d40, ...' before it");
}

TEST(Verify, desc_c3_DestinationIsNotAnInput) {
  wexe::ProgramT program = linearProgram();
  patch(program, "pass_east", 1, "add.f32 d3, d3, d1");
  expectRefused(program, "desc_c3",
                "image 'linear' task 'pass_east' instruction @19 'add.f32 d3, d3, d1': has a destination that is not memory");
}

TEST(Verify, desc_c3_SourceIsNotAnOutput) {
  wexe::ProgramT program = linearProgram();
  patch(program, "pass_east", 1, "add.f32 d2, d4, d1");
  expectRefused(program, "desc_c3", "has a source that is not memory");
}

TEST(Verify, desc_c3_OneFabricInputPerInstruction) {
  wexe::ProgramT program = linearProgram();
  patch(program, "own", 6, "add.f32 d6, d5, d7");
  expectRefused(program, "desc_c3", "receives from the fabric with 2 of its sources");
}

TEST(Verify, desc_c3_HoldsForOverriddenKinds) {
  wexe::ProgramT program = linearProgram();
  override(program, "east_in", DescField::Kind, unsigned(wexe::DescKind::FabOut));
  removeRoute(program, "east", 1);
  removeRoute(program, "east", 0);
  step(program, "fc").rows = 1;
  expectRefused(program, "desc_c3", "step 2 ('fc') in region 'all': image 'linear' task 'own'");
}

TEST(Verify, vec_c1_OperandsHaveAsManyElements) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "sum").extents = {1, 1, 1, 1};
  expectRefused(program, "vec_c1", "writes 2 elements from a source of 1, expected as many");
}

TEST(Verify, vec_c1_MemoryOperandsHaveTheSameExtents) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "sum").extents = {1, 1, 2, 1};
  expectRefused(program, "vec_c1", "has memory operands of different extents");
}

TEST(Verify, vec_c1_HoldsAtEveryCoreThatTheScheduleCommands) {
  wexe::ProgramT program = linearProgram();
  override(program, "y_east", DescField::Extent3, 1, 1);
  expectRefused(program, "vec_c1", "writes 1 elements from a source of 0 at core (0, 0), expected as many");
}

TEST(Verify, exe_c4_UnknownValuesAreRefused) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "sum").kind = static_cast<wexe::DescKind>(9);
  expectRefused(program, "exe_c4", "has unknown kind 9");

  program = linearProgram();
  descriptor(program, "sum").type = wexe::ElemType::None;
  expectRefused(program, "exe_c4", "has unknown type 0");

  program = linearProgram();
  image(program).code[3] = 0xff;
  expectRefused(program, "exe_c4", "instruction @3");
}

TEST(Verify, exe_c4_IndicesNameWhatIsThere) {
  wexe::ProgramT program = linearProgram();
  region(program).image = 1;
  expectRefused(program, "exe_c4", "names image 1, but there are 1");

  program = linearProgram();
  patch(program, "own", 1, "ldd d4, %99");
  expectRefused(program, "exe_c4", "names a template that is not there");

  program = linearProgram();
  region(program).overrides.emplace_back(99, DescField::Base, 0, 0, 0);
  expectRefused(program, "exe_c4", "overrides template 99");

  program = linearProgram();
  image(program).locations[0]->pc = 42;
  expectRefused(program, "exe_c4", "location 0");
}

TEST(Verify, exe_c5_CodeFitsSram) {
  wexe::ProgramT program = linearProgram();
  image(program).code.resize(7000, encode(parse("end")));
  expectRefused(program, "exe_c5", "needs 56704 bytes for 7000 instructions and 22 descriptor templates, but a core has 49152");
}

TEST(Verify, exe_c5_BuffersFitSram) {
  wexe::ProgramT program = linearProgram();
  image(program).buffers[0]->base = 64;
  expectRefused(program, "exe_c5", "buffer 'x': takes bytes 64 to 68 of SRAM, expected 1040 to 49152");
}

TEST(Verify, exe_c6_TaskNumbersAreUnique) {
  wexe::ProgramT program = linearProgram();
  task(program, "own").number = 3;
  expectRefused(program, "exe_c6", "task 'own': has number 3, which an earlier control task of the image has");
}

TEST(Verify, exe_c7_RegionsLieInsideTheMachine) {
  wexe::ProgramT program = linearProgram();
  region(program).rect = std::make_unique<Rect>(3, 3, 2, 2, 1, 1);
  expectRefused(program, "exe_c7", "reaches core (4, 4)");
}

TEST(Verify, exe_c7_RegionsDoNotOverlap) {
  wexe::ProgramT program = linearProgram();
  program.regions.push_back(std::make_unique<wexe::RegionT>());
  program.regions[1]->rect = std::make_unique<Rect>(1, 1, 2, 2, 2, 2);
  expectRefused(program, "exe_c7", "section 'regions' entry 1: overlaps entry 0 ('all') at core (1, 1)");
}

TEST(Verify, exe_c7_RegionHasARect) {
  wexe::ProgramT program = linearProgram();
  region(program).rect.reset();
  expectRefused(program, "exe_c7", "has no rect");
}

TEST(Verify, exe_c8_DescriptorsHaveFourExtents) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "sum").extents = {2};
  expectRefused(program, "exe_c8", "has 1 extents, expected 4");

  program = linearProgram();
  descriptor(program, "sum").strides.clear();
  expectRefused(program, "exe_c8", "has 0 strides, expected 4");
}

TEST(Verify, exe_c8_BytesAreNotSent) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "east_out").type = wexe::ElemType::I8;
  expectRefused(program, "exe_c8", "8-bit");
}

TEST(Verify, exe_c8_ConstantsHave32Bits) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "zero").type = wexe::ElemType::F16;
  expectRefused(program, "exe_c8", "constant");
}

TEST(Verify, exe_c9_ColourNumbersAreUnique) {
  wexe::ProgramT program = linearProgram();
  program.colours[1]->number = 0;
  expectRefused(program, "exe_c9", "has number 0, which an earlier entry has");
}

TEST(Verify, exe_c10_KindsAreTheSameAtAllCoresOfARegion) {
  wexe::ProgramT program = linearProgram();
  override(program, "east_in", DescField::Kind, 2, 1);
  expectRefused(program, "exe_c10", "split the region");
}

TEST(Verify, exe_c10_OverriddenValuesAreInRangeAtEveryCore) {
  wexe::ProgramT program = linearProgram();
  override(program, "east_in", DescField::Extent3, 0, -2);
  expectRefused(program, "exe_c10", "overrides extent3 with -2 at core (1, 0), expected 0 to 65535");
}

TEST(Verify, exe_c10_FieldIsOverriddenOnce) {
  wexe::ProgramT program = linearProgram();
  region(program).overrides.push_back(region(program).overrides[0]);
  expectRefused(program, "exe_c10", "overrides extent3 twice");
}

// Messages go to terminals and to Python, which takes UTF-8 only.
TEST(Verify, NamesInMessagesAreText) {
  wexe::ProgramT program = linearProgram();
  task(program, "own").pc = 500;
  task(program, "own").name = "\xc3\xa4\xe2\x82\xac \xff\xe2(\xc2\x9b\x1b[1m \xed\xa0\x80";
  expectRefused(program, "task_c3", "task '\xc3\xa4\xe2\x82\xac ??(???[1m ???': begins");

  program = linearProgram();
  task(program, "own").pc = 500;
  task(program, "own").name = std::string(79, 'x') + "\xc3\xa4";
  expectRefused(program, "task_c3", "task '" + std::string(79, 'x') + "...': begins");
}

} // namespace
