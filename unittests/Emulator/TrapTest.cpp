//===- TrapTest.cpp - what a program must not do ------------------------------===//
//
// Each rule that only the running program can break: the engines stop, with the rule's label, the place and what was found. What the loader
// can tell it refuses before.
//
//===----------------------------------------------------------------------===//

#include "TestPrograms.h"

#include <gtest/gtest.h>

using namespace wafer;
using namespace wafer::test;
using wexe::Dir;

namespace {

constexpr auto F16 = ElementType::F16, F32 = ElementType::F32;
constexpr unsigned commands = 0, sent = 1;

/// One core that MemoryX commands.
class OneCore {
public:
  OneCore() : builder(testMachine(1, 1)), image(builder.colour(commands, "command").image("image", commands)) {
    builder.core(0, 0);
    builder.route(commands, 0, 0, Dir::N, {Dir::Ramp});
  }
  ProgramBuilder builder;
  ImageBuilder image;
};

class TrapTest : public testing::TestWithParam<const char *> {
protected:
  /// The trap's message; empty when the program ran to its end.
  std::string run(const ProgramBuilder &builder, ListIngress in, const std::string &label) {
    LoadedProgram program = builder.verify();
    auto engine = createEngine(GetParam(), program, {});
    ListEgress out;
    try {
      engine->run(in, out);
    } catch (const Trap &trap) {
      EXPECT_EQ(trap.label(), label) << trap.what();
      return trap.what();
    }
    ADD_FAILURE() << "the program ran to its end, expected " << label;
    return "";
  }

  static ListIngress tasks(std::vector<unsigned> numbers) {
    ListIngress in;
    for (unsigned number : numbers)
      in.command(commands, 0, number);
    return in;
  }
};

void expectPart(const std::string &message, const std::string &part) { EXPECT_NE(message.find(part), std::string::npos) << message; }

TEST_P(TrapTest, task_c1_CommandForATaskThatIsNotThere) {
  OneCore one;
  one.image.controlTask("only", 1, {});
  expectPart(run(one.builder, tasks({9}), "task_c1"),
             "core (0, 0): a command for control task 9 arrived, but image 'image' has no such task");
}

TEST_P(TrapTest, task_c2_DataWaveletBeforeBind) {
  OneCore one;
  one.image.controlTask("only", 1, {});
  expectPart(run(one.builder, ListIngress().data(commands, 0, {7}), "task_c2"),
             "core (0, 0): a data wavelet arrived on command (colour 0), but no data task is bound");
}

OneCore eightRows(const char *trigger, ElementType rows) {
  OneCore one;
  one.image.mem("rows", rows, 2048, {8, 1, 1, 4}, {4, 0, 0, 1}).acc("sum", F32, 0, {4}).dataTask("weights", trigger);
  one.image.controlTask("begin", 1, {"ldd d0, %rows", "ldd d1, %sum", "bind @weights"});
  return one;
}

TEST_P(TrapTest, index_c1_WaveletNamesARowThatIsNotThere) {
  std::string message = run(eightRows("fmacw.f16 d1, d0", F16).builder, tasks({1}).data(commands, 0, {9u << 16}), "index_c1");
  expectPart(message, "core (0, 0), pc 0 'fmacw.f16 d1, d0' (test:0): index 9, but the source has 8 rows");
}

TEST_P(TrapTest, index_c1_MoreWeightsThanRows) {
  run(eightRows("fmacd.f32 d1, d0", F32).builder, tasks({1}).data(commands, 0, std::vector<uint32_t>(9)), "index_c1");
  run(eightRows("fmacp.f16 d1, d0", F16).builder, tasks({1}).data(commands, 0, std::vector<uint32_t>(5)), "index_c1");
}

// The last pair of an odd number of weights has a half too much.
TEST_P(TrapTest, PaddingOfFmacpIsNoTrap) {
  OneCore one;
  one.image.mem("rows", F16, 2048, {3, 1, 1, 4}, {4, 0, 0, 1}).acc("sum", F32, 0, {4}).dataTask("weights", "fmacp.f16 d1, d0");
  one.image.controlTask("begin", 1, {"ldd d0, %rows", "ldd d1, %sum", "bind @weights"});
  LoadedProgram program = one.builder.verify();
  ListIngress in = tasks({1}).data(commands, 0, {0, 0});
  ListEgress out;
  EXPECT_EQ(createEngine(GetParam(), program, {})->run(in, out).macs, 3u * 4);
}

OneCore walksBy(int bytes) {
  OneCore one;
  one.image.mem("block", F32, 49152 - 16, {4}).constant("zero", F32, 0);
  one.image.controlTask("load", 1, {"ldd d0, %block", "ldd d1, %zero"});
  one.image.controlTask("step", 2, {"mov.f32 d0, d1", "addd d0, " + std::to_string(bytes)});
  return one;
}

TEST_P(TrapTest, desc_c1_DescriptorWalksOutOfSram) {
  expectPart(run(walksBy(16).builder, tasks({1, 2, 2}), "desc_c1"), "'mov.f32 d0, d1' (test:2): d0 reaches bytes 49152..49167 of the SRAM");
}

TEST_P(TrapTest, desc_c1_DescriptorWalksIntoTheCode) { run(walksBy(-32767).builder, tasks({1, 2, 2, 2}), "desc_c1"); }

TEST_P(TrapTest, desc_c1_DescriptorLosesItsAlignment) {
  expectPart(run(walksBy(-2).builder, tasks({1, 2, 2}), "desc_c1"), "not aligned to f32");
}

TEST_P(TrapTest, desc_c2_RegisterIsUsedBeforeItIsLoaded) {
  expectPart(run(walksBy(0).builder, tasks({2}), "desc_c2"),
             "core (0, 0), pc 3 'mov.f32 d0, d1' (test:2): d0 is used before a ldd into it");
}

/// d0 is one of two descriptors by the time task 3 uses it; the loader accepts it because one fits.
OneCore eitherOf() {
  OneCore one;
  one.image.mem("good", F32, 2048, {2, 3}).mem("source", F32, 4096, {2, 3}).mem("short", F32, 2048, {5}).mem("flat", F32, 2048, {6});
  one.image.constant("constant", F32, 0);
  return one;
}

TEST_P(TrapTest, desc_c3_ConstantAsDestination) {
  OneCore one = eitherOf();
  one.image.controlTask("good", 1, {"ldd d0, %good", "ldd d1, %source"}).controlTask("bad", 2, {"ldd d0, %constant"});
  one.image.controlTask("use", 3, {"mov.f32 d0, d1"});
  expectPart(run(one.builder, tasks({1, 3, 2, 3}), "desc_c3"), "the destination d0 is a constant");
}

TEST_P(TrapTest, desc_c3_TwoFabricInputs) {
  OneCore one = eitherOf();
  one.builder.colour(sent, "sent").route(sent, 0, 0, Dir::N, {Dir::Ramp});
  one.image.fabIn("in", F32, sent, 6);
  one.image.controlTask("good", 1, {"ldd d0, %good", "ldd d1, %source", "ldd d2, %in"}).controlTask("bad", 2, {"ldd d1, %in"});
  one.image.controlTask("use", 3, {"add.f32 d0, d1, d2"});
  expectPart(run(one.builder, tasks({1, 2, 3}), "desc_c3"), "the source d2 is a second fabric input");
}

TEST_P(TrapTest, vec_c1_DifferentNumberOfElements) {
  OneCore one = eitherOf();
  one.image.controlTask("good", 1, {"ldd d0, %good", "ldd d1, %source"}).controlTask("bad", 2, {"ldd d0, %short"});
  one.image.controlTask("use", 3, {"mov.f32 d0, d1"});
  expectPart(run(one.builder, tasks({1, 3, 2, 3}), "vec_c1"), "the source d1 has 6 elements, but the destination has 5");
}

TEST_P(TrapTest, vec_c1_DifferentExtents) {
  OneCore one = eitherOf();
  one.image.controlTask("good", 1, {"ldd d0, %good", "ldd d1, %source"}).controlTask("bad", 2, {"ldd d0, %flat"});
  one.image.controlTask("use", 3, {"mov.f32 d0, d1"});
  expectPart(run(one.builder, tasks({1, 3, 2, 3}), "vec_c1"), "extent[2] of the source d1 is 2, but the destination's is 1");
}

/// d0 sends on a colour that the router does not take from this core; only a stream that runs task 2 finds out.
TEST_P(TrapTest, route_c7_ColourHasNoWayOut) {
  OneCore one;
  one.builder.colour(sent, "sent").colour(2, "nowhere").route(sent, 0, 0, Dir::Ramp, {Dir::S});
  one.image.fabOut("out", F32, sent, 1).fabOut("lost", F32, 2, 1).constant("zero", F32, 0);
  one.image.controlTask("good", 1, {"ldd d0, %out", "ldd d1, %zero"}).controlTask("bad", 2, {"ldd d0, %lost"});
  one.image.controlTask("use", 3, {"mov.f32 d0, d1"});
  expectPart(run(one.builder, tasks({1, 3, 2, 3}), "route_c7"),
             "'mov.f32 d0, d1' (test:3): sends on nowhere (colour 2), which the router does not take from RAMP");
}

TEST_P(TrapTest, route_c7_ColourIsNotDelivered) {
  OneCore one = eitherOf();
  one.builder.colour(2, "nowhere");
  one.image.fabIn("lost", F32, 2, 6);
  one.image.controlTask("good", 1, {"ldd d0, %good", "ldd d1, %source"}).controlTask("bad", 2, {"ldd d1, %lost"});
  one.image.controlTask("use", 3, {"mov.f32 d0, d1"});
  expectPart(run(one.builder, tasks({1, 3, 2, 3}), "route_c7"),
             "receives on nowhere (colour 2), which the router does not deliver to RAMP");
}

INSTANTIATE_TEST_SUITE_P(Engines, TrapTest, testing::Values("cycle", "functional"),
                         [](const auto &info) { return std::string(info.param); });

class CycleTrapTest : public TrapTest {};
INSTANTIATE_TEST_SUITE_P(Engine, CycleTrapTest, testing::Values("cycle"), [](const auto &info) { return std::string(info.param); });

TEST_P(CycleTrapTest, TellsTheCycle) {
  OneCore one;
  one.image.controlTask("only", 1, {});
  expectPart(run(one.builder, tasks({1, 9}), "task_c1"), "task_c1: at cycle ");
}

// MemoryX may not be a second sender into a colour, nor send where nothing takes it.
TEST_P(CycleTrapTest, route_c3_MemoryXSendsWhereNoRouteBegins) {
  OneCore one;
  one.builder.colour(sent, "sent").route(sent, 0, 0, Dir::Ramp, {Dir::S});
  one.image.fabOut("out", F32, sent, 1)
      .constant("zero", F32, 0)
      .controlTask("send", 1, {"ldd d0, %out", "ldd d1, %zero", "mov.f32 d0, d1"});
  const std::string expected = "to column 0, where no route takes it from the north edge";
  expectPart(run(one.builder, ListIngress().data(sent, 0, {1}), "route_c3"), "MemoryX sends sent (colour 1) " + expected);
  expectPart(run(one.builder, ListIngress().data(5, 0, {1}), "route_c3"), "MemoryX sends colour 5 " + expected);
  expectPart(run(one.builder, ListIngress().data(commands, 3, {1}), "route_c3"), "to column 3");
}

std::string refusal(const ProgramBuilder &builder) {
  try {
    builder.verify();
    return "accepted";
  } catch (const ExecutableError &error) {
    return error.what();
  }
}

// What engines rely on: a channel has one sender and no gaps.
TEST(RefusedProgramTest, FanInAndMissingRoutes) {
  Contraction shape;
  shape.columns = shape.rows = 2;
  ProgramBuilder good = contractionProgram(shape, testMachine(2, 2));
  EXPECT_EQ(refusal(good), "accepted");

  ProgramBuilder fanIn = contractionProgram(shape, testMachine(2, 2));
  fanIn.route(4, 1, 0, Dir::Ramp, {Dir::S}); // the router receives this chain from the west already
  expectPart(refusal(fanIn), "(route_c1)");

  ProgramBuilder gap = contractionProgram(shape, testMachine(2, 2));
  for (size_t i = 0; i < gap.program.routes.size(); ++i)
    if (gap.program.routes[i]->colour == 4 && gap.program.routes[i]->rx == Dir::W) {
      gap.program.routes.erase(gap.program.routes.begin() + static_cast<long>(i));
      break;
    }
  expectPart(refusal(gap), "(route_c2)");
}

TEST(EngineTest, NamesTheEnginesThereAre) {
  OneCore one;
  one.image.controlTask("only", 1, {});
  LoadedProgram program = one.builder.verify();
  EXPECT_EQ(createEngine("cycle", program, {})->name(), "cycle");
  EXPECT_THROW(createEngine("quantum", program, {}), std::invalid_argument);
}

} // namespace
