//===- MaskTest.cpp - weights multiply only what a mask wants ----------------===//

#include "TestPrograms.h"

#include "wafer/Emulator/NumberFormats.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace wafer::test {
namespace {

using wexe::Dir;

enum Colour : unsigned { Command = 0, Input = 1, Output = 2 };
enum Task : unsigned { Load = 1, Begin, Show };

constexpr unsigned rows = 2, base = 4096;
const std::vector<float> x = {1, 0, 3, -2, 5, 7, 0.5f, 0, 4, -1}; // two rows of five tokens
const std::vector<float> mask = {1, 1, 0, -0.0f, 2};
constexpr unsigned tokens = 5;

/// One core that gets two rows and a mask, all in f32.
LoadedProgram program(const std::string &trigger, unsigned maskTokens = tokens, bool sumIsMask = false) {
  ProgramBuilder builder(testMachine(1, 1));
  builder.colour(Command, "command", true).colour(Input, "input").colour(Output, "output");
  ImageBuilder image = builder.image("masked", Command);
  if (sumIsMask)
    image.mem("sum", ElementType::F32, base + rows * tokens * 4, {tokens});
  else
    image.acc("sum", ElementType::F32, 0, {tokens});
  image
      .mem("block", ElementType::F32, base, {(rows + 1) * tokens})
      .fabIn("input", ElementType::F32, Input, (rows + 1) * tokens)
      .mem("rows", ElementType::F32, base, {rows, 1, 1, tokens}, {tokens, 0, 0, 1})
      .mem("mask", ElementType::F32, base + rows * tokens * 4, {1, 1, 1, static_cast<uint16_t>(maskTokens)}, {0, 0, 0, 1})
      .fabOut("output", ElementType::F32, Output, tokens)
      .dataTask("weights", trigger)
      .controlTask("load", Load, {"ldd d8, %block", "ldd d9, %input", "mov.f32 d8, d9 async"})
      .controlTask("begin", Begin, {"ldd d0, %rows", "ldd d1, %sum", "ldd d2, %mask", "bind @weights"})
      .controlTask("show", Show, {"ldd d10, %output", "mov.f32 d10, d1"});
  builder.core(0, 0);
  builder.route(Command, 0, 0, Dir::N, {Dir::Ramp}).route(Input, 0, 0, Dir::N, {Dir::Ramp}).route(Output, 0, 0, Dir::Ramp, {Dir::S});
  return builder.verify();
}

std::vector<uint32_t> words(std::vector<float> values) {
  std::vector<uint32_t> all;
  for (float value : values)
    all.push_back(bitsOf(value));
  return all;
}

ListIngress schedule(const std::vector<float> &weights) {
  std::vector<float> all = x;
  all.insert(all.end(), mask.begin(), mask.end());
  ListIngress ingress;
  ingress.command(Command, 0, Load).data(Input, 0, words(all)).command(Command, 0, Begin).data(Command, 0, words(weights)).command(Command, 0, Show);
  return ingress;
}

TEST(MaskTest, SumsThatAMaskHidesStayWhatTheyAre) {
  for (const char *engine : {"functional", "cycle"}) {
    ListIngress ingress = schedule({2, 3});
    ListEgress egress;
    LoadedProgram loaded = program("fmacdm.f32 d1, d0, d2");
    EngineStats stats = createEngine(engine, loaded, {})->run(ingress, egress);
    EXPECT_EQ(egress.words(0, Output), words({23, 1.5f, 0, 0, 7})) << engine;
    EXPECT_EQ(stats.macs, 2 * 3u) << engine;
    ASSERT_EQ(stats.skippingMacs.size(), 1u) << engine;
    EXPECT_EQ(stats.skippingMacs.begin()->second, 2 * 3u) << engine;
  }
}

// Hidden or 0: either is reason enough.
TEST(MaskTest, ZerosOfTheRowArePassedOverAsWell) {
  for (const char *engine : {"functional", "cycle"}) {
    ListIngress ingress = schedule({2, 3});
    ListEgress egress;
    LoadedProgram loaded = program("fmacdm.f32 d1, d0, d2 skip0");
    EngineStats stats = createEngine(engine, loaded, {})->run(ingress, egress);
    EXPECT_EQ(egress.words(0, Output), words({23, 1.5f, 0, 0, 7})) << engine;
    EXPECT_EQ(stats.macs, 5u) << engine;
  }
}

TEST(MaskTest, AWeightThatIsNoNumberDoesNotReachHiddenSums) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const char *engine : {"functional", "cycle"}) {
    ListIngress ingress = schedule({nan});
    ListEgress egress;
    LoadedProgram loaded = program("fmacdm.f32 d1, d0, d2");
    createEngine(engine, loaded, {})->run(ingress, egress);
    EXPECT_EQ(egress.words(0, Output), words({nan, nan, 0, 0, nan})) << engine;
  }
}

TEST(MaskTest, HiddenProductsTakeNoTime) {
  std::vector<float> weights(rows);
  auto cycles = [&](const char *trigger) {
    ListIngress ingress = schedule(weights);
    ListEgress egress;
    LoadedProgram loaded = program(trigger);
    return createEngine("cycle", loaded, {})->run(ingress, egress).cycles;
  };
  // One lane for f32: two tokens less for each of two weights.
  EXPECT_EQ(cycles("fmacdm.f32 d1, d0, d2") + 4, cycles("fmacd.f32 d1, d0"));
}

void expectTrap(const LoadedProgram &loaded, const std::string &label, const std::string &message) {
  for (const char *engine : {"functional", "cycle"}) {
    ListIngress ingress = schedule({1});
    ListEgress egress;
    try {
      createEngine(engine, loaded, {})->run(ingress, egress);
      ADD_FAILURE() << engine;
    } catch (const Trap &trap) {
      EXPECT_EQ(trap.label(), label);
      EXPECT_NE(std::string(trap.what()).find(message), std::string::npos) << trap.what();
    }
  }
}

TEST(MaskTest, AMaskOfOtherExtentsTraps) {
  expectTrap(program("fmacdm.f32 d1, d0, d2", tokens - 1), "vec_c1", "the mask's extent[3] is 4, but the destination's is 5");
}

TEST(MaskTest, AMaskInTheWayOfTheSumsTraps) {
  expectTrap(program("fmacdm.f32 d1, d0, d2", tokens, /*sumIsMask=*/true), "skip_c1", "the mask in d2 reaches bytes 4136..4155 of the SRAM, which products change");
}

} // namespace
} // namespace wafer::test
