//===- SeveralSumsTest.cpp - an index says which sum a weight adds to ---------===//

#include "TestPrograms.h"

#include "wafer/Emulator/NumberFormats.h"

#include <gtest/gtest.h>

namespace wafer::test {
namespace {

using wexe::Dir;

enum Colour : unsigned { Command = 0, Input = 1, Output = 2 };
enum Task : unsigned { Load = 1, Begin, Show };

constexpr unsigned rows = 3, sums = 2, tokens = 2, base = 4096;
const std::vector<float> x = {1, 2, 3, 4, 5, 6}; // three rows of two tokens

/// One core with three rows of tokens and two sums.
LoadedProgram program(const std::string &trigger, ElementType type) {
  ProgramBuilder builder(testMachine(1, 1));
  builder.colour(Command, "command", true).colour(Input, "input").colour(Output, "output");
  builder.image("sums", Command)
      .mem("sum", ElementType::F32, base + 64, {sums, 1, 1, tokens}, {tokens, 0, 0, 1})
      .mem("block", type, base, {rows * tokens})
      .fabIn("input", ElementType::F32, Input, rows * tokens)
      .mem("rows", type, base, {rows, 1, 1, tokens}, {tokens, 0, 0, 1})
      .fabOut("output", ElementType::F32, Output, sums * tokens)
      .dataTask("weights", trigger)
      .controlTask("load", Load, {"ldd d8, %block", "ldd d9, %input", "mov.f32 d8, d9 async"})
      .controlTask("begin", Begin, {"ldd d0, %rows", "ldd d1, %sum", "bind @weights"})
      .controlTask("show", Show, {"ldd d10, %output", "mov.f32 d10, d1"});
  builder.core(0, 0);
  builder.route(Command, 0, 0, Dir::N, {Dir::Ramp}).route(Input, 0, 0, Dir::N, {Dir::Ramp}).route(Output, 0, 0, Dir::Ramp, {Dir::S});
  return builder.verify();
}

std::vector<uint32_t> bits(const std::vector<float> &values) {
  std::vector<uint32_t> all;
  for (float value : values)
    all.push_back(bitsOf(value));
  return all;
}

ListIngress schedule(const std::vector<uint32_t> &weights) {
  ListIngress ingress;
  ingress.command(Command, 0, Load).data(Input, 0, bits(x)).command(Command, 0, Begin).data(Command, 0, weights).command(Command, 0, Show);
  return ingress;
}

void expectSums(const LoadedProgram &loaded, const std::vector<uint32_t> &weights, const std::vector<float> &expected) {
  for (const char *engine : {"functional", "cycle"}) {
    ListIngress ingress = schedule(weights);
    ListEgress egress;
    createEngine(engine, loaded, {})->run(ingress, egress);
    EXPECT_EQ(egress.words(0, Output), bits(expected)) << engine;
  }
}

constexpr uint32_t one = 0x3c00, two = 0x4000, three = 0x4200; // f16

TEST(SeveralSumsTest, IndicesCountThroughTheRowsForEachSum) {
  expectSums(program("fmacw.f16 d1, d0", ElementType::F16), {0u << 16 | one, 2u << 16 | two, 4u << 16 | three}, {11, 14, 9, 12});
  expectSums(program("fmacx.f32 d1, d0", ElementType::F32), {5, bitsOf(2.0f), 1, bitsOf(1.0f)}, {3, 4, 10, 12});
}

TEST(SeveralSumsTest, WeightsInOrderGoOnWithTheNextSum) {
  expectSums(program("fmacd.f32 d1, d0", ElementType::F32), bits({1, 0, 0, 0, 1, 1}), {1, 2, 8, 10});
}

// Three rows: the second wavelet of each sum has room for one weight more than there are.
TEST(SeveralSumsTest, EachSumBeginsWithAWaveletOfItsOwn) {
  expectSums(program("fmacp.f16 d1, d0", ElementType::F16), {one << 16 | one, one, two << 16, three << 16 | one}, {9, 12, 11, 14});
}

TEST(SeveralSumsTest, AnIndexBehindTheLastSumTraps) {
  const LoadedProgram loaded = program("fmacw.f16 d1, d0", ElementType::F16);
  for (const char *engine : {"functional", "cycle"}) {
    ListIngress ingress = schedule({6u << 16 | one});
    ListEgress egress;
    try {
      createEngine(engine, loaded, {})->run(ingress, egress);
      ADD_FAILURE() << engine;
    } catch (const Trap &trap) {
      EXPECT_EQ(trap.label(), "index_c1");
      EXPECT_NE(std::string(trap.what()).find("index 6, but the source has 3 rows for each of 2 sums"), std::string::npos) << trap.what();
    }
  }
}

} // namespace
} // namespace wafer::test
