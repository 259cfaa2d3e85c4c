//===- DotTest.cpp - dot products that arriving indices trigger -------------===//

#include "TestPrograms.h"

#include "wafer/Emulator/NumberFormats.h"

#include <cmath>
#include <gtest/gtest.h>

namespace wafer::test {
namespace {

using wexe::Dir;

enum Colour : unsigned { Command = 0, Input = 1, ToOdd = 2, ToEven = 3 };

constexpr unsigned rows = 3, tokens = 11, base = 4096;

/// One column of `cores` cores. Each gets the same rows and the same other row; the sum travels south.
LoadedProgram program(unsigned cores) {
  ProgramBuilder builder(testMachine(1, cores));
  builder.colour(Command, "command", true).colour(Input, "input").colour(ToOdd, "to_odd").colour(ToEven, "to_even");
  const unsigned row = base + rows * tokens * 4;
  builder.image("dots", Command)
      .mem("block", ElementType::F32, base, {(rows + 1) * tokens})
      .fabIn("input", ElementType::F32, Input, (rows + 1) * tokens)
      .mem("rows", ElementType::F32, base, {rows, 1, 1, tokens}, {tokens, 0, 0, 1})
      .mem("row", ElementType::F32, row, {1, 1, 1, tokens}, {0, 0, 0, 1})
      .fabIn("from_north", ElementType::F32, ToOdd, 1)
      .fabOut("to_south", ElementType::F32, ToOdd, 1)
      .dataTask("dot", "dotw.f32 d1, d0, d2, d3")
      .controlTask("load", 1, {"ldd d8, %block", "ldd d9, %input", "mov.f32 d8, d9 async"})
      .controlTask("begin", 2, {"ldd d0, %rows", "ldd d1, %to_south", "ldd d2, %row", "ldd d3, %from_north", "bind @dot"});
  ImageBuilder image(*builder.program.images.back());
  for (unsigned y = 0; y < cores; ++y) {
    wexe::RegionT &region = builder.core(0, y);
    region.overrides.emplace_back(image.descriptor("to_south"), wexe::DescField::Colour, y % 2 == 0 ? ToOdd : ToEven, 0, 0);
    region.overrides.emplace_back(image.descriptor("from_north"), wexe::DescField::Colour, y % 2 == 0 ? ToEven : ToOdd, 0, 0);
    if (y == 0)
      region.overrides.emplace_back(image.descriptor("from_north"), wexe::DescField::Kind, static_cast<unsigned>(wexe::DescKind::Const), 0, 0);
    const bool last = y + 1 == cores;
    for (unsigned colour : {Command, Input})
      builder.route(colour, 0, y, Dir::N, last ? std::vector{Dir::Ramp} : std::vector{Dir::Ramp, Dir::S});
    builder.route(y % 2 == 0 ? ToOdd : ToEven, 0, y, Dir::Ramp, {Dir::S});
    if (y > 0)
      builder.route(y % 2 == 0 ? ToEven : ToOdd, 0, y, Dir::N, {Dir::Ramp});
  }
  return builder.verify();
}

std::vector<float> values() {
  std::vector<float> all;
  for (unsigned i = 0; i < (rows + 1) * tokens; ++i)
    all.push_back(std::ldexp(static_cast<float>(int(i * 37 % 23) - 11), int(i * 7 % 9) - 4));
  return all;
}

/// Eight sums in turn, then pairs of them.
float dotOf(const std::vector<float> &all, unsigned index) {
  float sums[8] = {};
  for (unsigned j = 0; j < tokens; ++j)
    sums[j % 8] = std::fma(all[index * tokens + j], all[rows * tokens + j], sums[j % 8]);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

TEST(DotTest, SumsOfAColumnLeaveInOrderOfTheIndices) {
  for (unsigned cores : {1u, 2u, 5u})
    for (const char *engine : {"functional", "cycle"}) {
      LoadedProgram loaded = program(cores);
      const std::vector<float> all = values();
      std::vector<uint32_t> words;
      for (float value : all)
        words.push_back(bitsOf(value));
      ListIngress ingress;
      ingress.command(Command, 0, 1).data(Input, 0, words).command(Command, 0, 2);
      const std::vector<unsigned> indices = {2, 0, 1, 2, 2, 1};
      std::vector<uint32_t> sent;
      for (unsigned index : indices)
        sent.push_back(index << 16);
      ingress.data(Command, 0, sent);
      ListEgress egress;
      EngineStats stats = createEngine(engine, loaded, {})->run(ingress, egress);
      std::vector<uint32_t> expected;
      for (unsigned index : indices) {
        float sum = 0;
        for (unsigned y = 0; y < cores; ++y)
          sum += dotOf(all, index);
        expected.push_back(bitsOf(sum));
      }
      EXPECT_EQ(egress.words(0, cores % 2 == 1 ? ToOdd : ToEven), expected) << engine << " " << cores;
      EXPECT_EQ(stats.macs, uint64_t(indices.size()) * tokens * cores) << engine;
    }
}

TEST(DotTest, ARunOfIndicesIsOneWavelet) {
  for (const char *engine : {"functional", "cycle"}) {
    LoadedProgram loaded = program(3);
    const std::vector<float> all = values();
    std::vector<uint32_t> words;
    for (float value : all)
      words.push_back(bitsOf(value));
    ListIngress ingress;
    ingress.command(Command, 0, 1).data(Input, 0, words).command(Command, 0, 2).data(Command, 0, {2, 1 << 16 | 1, 0});
    std::vector<uint32_t> expected;
    for (unsigned index : {0u, 1u, 2u, 1u, 2u, 0u})
      expected.push_back(bitsOf(0 + dotOf(all, index) + dotOf(all, index) + dotOf(all, index)));
    ListEgress egress;
    EngineStats stats = createEngine(engine, loaded, {})->run(ingress, egress);
    EXPECT_EQ(egress.words(0, ToOdd), expected) << engine;
    EXPECT_EQ(stats.macs, 6u * tokens * 3) << engine;
  }
}

TEST(DotTest, ARunBeyondTheRowsTraps) {
  for (const char *engine : {"functional", "cycle"}) {
    LoadedProgram loaded = program(2);
    ListIngress ingress;
    ingress.command(Command, 0, 2).data(Command, 0, {1 << 16 | 2});
    ListEgress egress;
    try {
      createEngine(engine, loaded, {})->run(ingress, egress);
      ADD_FAILURE() << engine;
    } catch (const Trap &trap) {
      EXPECT_NE(std::string(trap.what()).find("indices 1 to 3, but the source has 3 rows"), std::string::npos) << trap.what();
    }
  }
}

TEST(DotTest, AnIndexBeyondTheRowsTraps) {
  for (const char *engine : {"functional", "cycle"}) {
    LoadedProgram loaded = program(2);
    ListIngress ingress;
    ingress.command(Command, 0, 2).data(Command, 0, {rows << 16});
    ListEgress egress;
    try {
      createEngine(engine, loaded, {})->run(ingress, egress);
      ADD_FAILURE() << engine;
    } catch (const Trap &trap) {
      EXPECT_NE(std::string(trap.what()).find("index 3, but the source has 3 rows"), std::string::npos) << trap.what();
    }
  }
}

} // namespace
} // namespace wafer::test
