//===- AdditionTest.cpp - what arrives is added to a sum on its way ---------===//
//
// Cores that nobody commands: a task that runs when they are loaded fills their registers, and addw adds what arrives from the north to what comes from the west.
//
//===----------------------------------------------------------------------===//

#include "TestPrograms.h"

#include "wafer/Emulator/NumberFormats.h"

#include <cmath>
#include <gtest/gtest.h>

namespace wafer::test {
namespace {

using wexe::Dir;

enum Colour : unsigned { North = 0, ToOdd = 1, ToEven = 2 };

/// One row of cores. Each gets numbers from the north; the sum travels east and leaves below the last one.
ProgramBuilder program(unsigned cores, const std::vector<std::string> &start = {"ldd d0, %from_west", "ldd d1, %to_east", "bind @add"}) {
  ProgramBuilder builder(testMachine(cores, 1));
  builder.colour(North, "north").colour(ToOdd, "to_odd").colour(ToEven, "to_even");
  builder.image("adder", North)
      .mem("word", ElementType::F32, 4096, {1})
      .fabIn("from_west", ElementType::F32, ToOdd, 1)
      .fabOut("to_east", ElementType::F32, ToOdd, 1)
      .dataTask("add", "addw.f32 d1, d0")
      .controlTask("begin", 3, start);
  builder.program.images.back()->start = 3;
  ImageBuilder image(*builder.program.images.back());
  for (unsigned x = 0; x < cores; ++x) {
    wexe::RegionT &region = builder.core(x, 0);
    region.overrides.emplace_back(image.descriptor("from_west"), wexe::DescField::Colour, x % 2 == 0 ? ToEven : ToOdd, 0, 0);
    region.overrides.emplace_back(image.descriptor("to_east"), wexe::DescField::Colour, x % 2 == 0 ? ToOdd : ToEven, 0, 0);
    if (x == 0)
      region.overrides.emplace_back(image.descriptor("from_west"), wexe::DescField::Kind, static_cast<unsigned>(wexe::DescKind::Const), 0, 0);
    builder.route(North, x, 0, Dir::N, {Dir::Ramp});
    builder.route(x % 2 == 0 ? ToOdd : ToEven, x, 0, Dir::Ramp, {x + 1 == cores ? Dir::S : Dir::E});
    if (x > 0)
      builder.route(x % 2 == 0 ? ToEven : ToOdd, x, 0, Dir::W, {Dir::Ramp});
  }
  return builder;
}

TEST(AdditionTest, SumsPassTheCoresInOrder) {
  for (unsigned cores : {1u, 2u, 5u})
    for (const char *engine : {"functional", "cycle"}) {
      const LoadedProgram loaded = program(cores).verify();
      ListIngress ingress;
      std::vector<uint32_t> expected(40);
      for (unsigned x = 0; x < cores; ++x) {
        std::vector<uint32_t> words;
        for (unsigned i = 0; i < expected.size(); ++i) {
          const float value = std::ldexp(static_cast<float>(int(i * 37 + x * 11) % 23 - 11), int(i * 7 + x * 5) % 31 - 15);
          words.push_back(bitsOf(value));
          expected[i] = bitsOf(floatOf(expected[i]) + value);
        }
        ingress.data(North, x, words);
      }
      ListEgress egress;
      auto running = createEngine(engine, loaded, {});
      EngineStats stats = running->run(ingress, egress);
      EXPECT_EQ(egress.words(cores - 1, cores % 2 ? ToOdd : ToEven), expected) << engine << " " << cores;
      EXPECT_EQ(stats.macs, 0u) << engine;
      // The first task, once, and two for each number.
      EXPECT_EQ(stats.instructions, cores * (4 + 2 * expected.size())) << engine;
      ListIngress again;
      for (unsigned x = 0; x < cores; ++x)
        again.data(North, x, {bitsOf(1)});
      EXPECT_EQ(running->run(again, egress).instructions, 2 * cores) << engine;
      EXPECT_EQ(egress.words(cores - 1, cores % 2 ? ToOdd : ToEven).back(), bitsOf(static_cast<float>(cores))) << engine;
    }
}

TEST(AdditionTest, ASumWithoutANumberIsTheMachinesNaN) {
  for (const char *engine : {"functional", "cycle"}) {
    const LoadedProgram loaded = program(1).verify();
    ListIngress ingress;
    ingress.data(North, 0, {0xffc12345, 0x7fa00000, 0x80000000});
    ListEgress egress;
    createEngine(engine, loaded, {})->run(ingress, egress);
    EXPECT_EQ(egress.words(0, ToOdd), (std::vector<uint32_t>{0x7fc00000, 0x7fc00000, 0})) << engine;
  }
}

TEST(AdditionTest, TheSumOnItsWayIsWaitedFor) {
  for (const char *engine : {"functional", "cycle"}) {
    const LoadedProgram loaded = program(2).verify();
    ListIngress ingress;
    ingress.data(North, 1, {bitsOf(1)});
    ListEgress egress;
    try {
      createEngine(engine, loaded, {})->run(ingress, egress);
      ADD_FAILURE() << engine;
    } catch (const Trap &trap) {
      EXPECT_EQ(trap.label(), "progress_c1") << trap.what();
    }
  }
}

TEST(AdditionTest, TakesATriggerAndAnAddition) {
  auto cycles = [](unsigned numbers) {
    const LoadedProgram loaded = program(1).verify();
    ListIngress ingress;
    ingress.data(North, 0, std::vector<uint32_t>(numbers, bitsOf(1)));
    ListEgress egress;
    return createEngine("cycle", loaded, {})->run(ingress, egress).cycles;
  };
  EXPECT_EQ(cycles(200) - cycles(100), 200u);
}

TEST(AdditionTest, TheFirstTaskRunsThoughNothingArrives) {
  for (const char *engine : {"functional", "cycle"}) {
    const LoadedProgram loaded = program(3).verify();
    ListIngress ingress;
    ListEgress egress;
    EXPECT_EQ(createEngine(engine, loaded, {})->run(ingress, egress).instructions, 12u) << engine;
  }
}

TEST(AdditionTest, GoesToTheFabric) {
  ProgramBuilder builder = program(1, {"ldd d0, %from_west", "ldd d1, %word", "bind @add"});
  // The verifier sees what is in the register if it can be one thing only.
  ImageBuilder(*builder.program.images.back()).controlTask("other", 4, {"ldd d1, %to_east"});
  for (const char *engine : {"functional", "cycle"}) {
    const LoadedProgram loaded = builder.verify();
    ListIngress ingress;
    ingress.data(North, 0, {bitsOf(1)});
    ListEgress egress;
    try {
      createEngine(engine, loaded, {})->run(ingress, egress);
      ADD_FAILURE() << engine;
    } catch (const Trap &trap) {
      EXPECT_EQ(trap.label(), "desc_c3") << trap.what();
      EXPECT_NE(std::string(trap.what()).find("goes to the fabric"), std::string::npos) << trap.what();
    }
  }
}

TEST(AdditionTest, WithoutATaskAtTheStartNothingIsBound) {
  for (const char *engine : {"functional", "cycle"}) {
    ProgramBuilder builder = program(1);
    builder.program.images.back()->start = -1;
    const LoadedProgram loaded = builder.verify();
    ListIngress ingress;
    ingress.data(North, 0, {bitsOf(1)});
    ListEgress egress;
    try {
      createEngine(engine, loaded, {})->run(ingress, egress);
      ADD_FAILURE() << engine;
    } catch (const Trap &trap) {
      EXPECT_EQ(trap.label(), "task_c2") << trap.what();
    }
  }
}

} // namespace
} // namespace wafer::test
