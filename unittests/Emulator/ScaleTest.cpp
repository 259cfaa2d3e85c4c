//===- ScaleTest.cpp - features that are scaled one command each --------------===//

#include "TestPrograms.h"

#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace wafer::test {
namespace {

using wexe::Dir;

enum Colour : unsigned { Command = 0, Input = 1, Output = 2, Sums = 3 };
enum Task : unsigned { Load = 1, Begin, Beta, Own, Show, ShowSums };

constexpr unsigned columns = 3, groups = 2, features = 8, tokens = 5, each = 3, base = 4096; ///< each: features of a column
constexpr unsigned ones = base + each * tokens * 4, results = ones + tokens * 4;

struct Code {
  const char *name;
  std::vector<std::string> own, beta;
  bool withBeta, isTaken;
};

std::vector<std::string> usual(const std::string &bytes) { return {"add.f32 d7, d12, d1 async clear1", "addd d7, " + bytes, "swapd d1, d2", "swapd d0, d10", "addd d0, " + bytes}; }

/// One row of cores, each with the features of its column.
LoadedProgram program(const Code &code, ElementType type) {
  ProgramBuilder builder(testMachine(columns * groups, 1));
  const std::string T = "." + std::string(typeName(type));
  builder.colour(Command, "command", true).colour(Input, "input").colour(Output, "output").colour(Sums, "sums");
  builder.image("scale", Command)
      .mem("block", type, base, {each * tokens})
      .fabIn("input", type, Input, each * tokens)
      .mem("row", type, base, {1, 1, 1, tokens}, {tokens, 0, 0, 1})
      .mem("result", type, results, {1, 1, 1, tokens}, {0, 0, 0, 1})
      .mem("results", type, results, {each * tokens})
      .mem("ones", type, ones, {1, 1, 1, tokens}, {0, 0, 0, 1})
      .acc("sum", ElementType::F32, 0, {tokens})
      .acc("other_sum", ElementType::F32, 4 * tokens, {tokens})
      .constant("zero", ElementType::F32, 0)
      .constant("one", ElementType::F32, bits(1.0f))
      .fabOut("output", type, Output, each * tokens)
      .fabOut("sums", ElementType::F32, Sums, tokens)
      .dataTask("weights", (type == ElementType::F32 ? "fmacd" : "fmacp") + T + " d1, d0")
      .controlTask("load", Load, {"ldd d20, %block", "ldd d21, %input", "mov" + T + " d20, d21 async"})
      .controlTask("begin", Begin,
                   {"ldd d0, %row", "ldd d1, %sum", "ldd d2, %other_sum", "ldd d7, %result", "ldd d10, %ones", "ldd d11, %one",
                    "ldd d12, %zero", "mov" + T + " d10, d11", "bind @weights"})
      .controlTask("beta", Beta, code.beta)
      .controlTask("own", Own, code.own)
      .controlTask("show", Show, {"ldd d22, %output", "ldd d23, %results", "mov" + T + " d22, d23 async"})
      .controlTask("show_sums", ShowSums,
                   {"ldd d24, %sums", "ldd d25, %sum", "ldd d26, %other_sum", "add.f32 d24, d12, d25 clear1", "add.f32 d24, d12, d26 clear1"});
  for (unsigned x = 0; x < columns * groups; ++x) {
    builder.core(x, 0);
    builder.route(Command, x, 0, Dir::N, {Dir::Ramp}).route(Input, x, 0, Dir::N, {Dir::Ramp}).route(Output, x, 0, Dir::Ramp, {Dir::S}).route(Sums, x, 0, Dir::Ramp, {Dir::S});
  }
  return builder.verify();
}

/// `shows`: the results, and, behind one more weight, in which accumulator it is.
ListIngress schedule(const Code &code, ElementType type, bool shows) {
  std::mt19937 random(7);
  auto value = [&] { return roundTo(static_cast<float>(static_cast<int>(random() % 4001) - 2000) / 512, type); };
  ListIngress ingress;
  ingress.multicast(Command, 0, columns * groups, Load);
  for (unsigned x = 0; x < columns * groups; ++x) {
    std::vector<float> block;
    for (unsigned i = 0; i < each * tokens; ++i)
      block.push_back(i == 4 ? std::numeric_limits<float>::quiet_NaN() : value());
    ingress.data(Input, x, pack(block, type));
  }
  ingress.multicast(Command, 0, columns * groups, Begin);
  for (unsigned f = 0; f < features; ++f)
    for (unsigned part = 0; part <= code.withBeta; ++part) {
      Burst burst;
      burst.colour = Command;
      burst.firstPort = static_cast<uint16_t>(f % columns);
      burst.portStep = columns;
      burst.portCount = groups;
      burst.data = pack({value()}, type);
      burst.control = part == 0 && code.withBeta ? Beta : Own;
      ingress.bursts.push_back(std::move(burst));
    }
  if (!shows)
    return ingress;
  ingress.multicast(Command, 0, columns * groups, Show);
  for (unsigned x = 0; x < columns * groups; ++x)
    ingress.data(Command, x, pack({3}, type));
  ingress.multicast(Command, 0, columns * groups, ShowSums);
  return ingress;
}

// Engines agree in bits and in counts, also of a second run on the same cores; what is no scale is left to the cores.
TEST(ScaleTest, FeaturesAreScaledWithoutGoingThroughEveryInstruction) {
  for (ElementType type : {ElementType::F16, ElementType::F32, ElementType::BF16}) {
    const std::string bytes = std::to_string(tokens * byteSize(type));
    const std::vector<std::string> own = usual(bytes), beta = {"swapd d0, d10"}, alone = {own[0], own[1], own[2], own[4]};
    auto with = [&](size_t place, const std::string &code) {
      std::vector<std::string> other = own;
      other[place] = code;
      return other;
    };
    const Code codes[] = {
        {"WithBeta", own, beta, true, true},
        {"WithoutBeta", alone, beta, false, true},
        {"Synchronous", with(0, "add.f32 d7, d12, d1 clear1"), beta, true, true},
        {"SumsThatStay", with(0, "add.f32 d7, d12, d1 async"), beta, true, false},
        {"Differences", with(0, "sub.f32 d7, d12, d1 async clear1"), beta, true, false},
        {"AddedToOne", with(0, "add.f32 d7, d11, d1 async clear1"), beta, true, false},
        {"OneAccumulator", with(2, "swapd d0, d0"), beta, true, false},
        {"RowsThatStay", with(4, "addd d10, 0"), beta, true, false},
        // The second one would be where the ones are.
        {"ResultsThatMeetOnes", with(1, "addd d7, " + std::to_string(static_cast<int>(ones) - static_cast<int>(results))), beta, true, false},
    };
    for (const Code &code : codes) {
      LoadedProgram loaded = program(code, type);
      std::unique_ptr<Engine> functional, cycle;
      for (int run = 0; run < 3; ++run) {
        if (run != 1) { // the first run of its cores, the second, and one that leaves results where they are
          functional = createEngine("functional", loaded, {});
          cycle = createEngine("cycle", loaded, {});
        }
        ListIngress first = schedule(code, type, run < 2), second = schedule(code, type, run < 2);
        ListEgress expected, found;
        const EngineStats counted = cycle->run(first, expected), stats = functional->run(second, found);
        EXPECT_EQ(found.byChannel, expected.byChannel) << code.name << typeName(type);
        EXPECT_EQ(stats.instructions, counted.instructions) << code.name;
        EXPECT_EQ(stats.macs, counted.macs) << code.name;
        EXPECT_EQ(stats.elementOps, counted.elementOps) << code.name;
        EXPECT_EQ(stats.waveletsIn, counted.waveletsIn) << code.name;
        EXPECT_EQ(stats.sramHighWater, counted.sramHighWater) << code.name;
        if (type == ElementType::BF16)
          EXPECT_EQ(stats.featuresTogether, 0u) << code.name;
        else if (code.isTaken)
          EXPECT_EQ(stats.featuresTogether, features) << code.name << typeName(type);
        else
          EXPECT_LT(stats.featuresTogether, features) << code.name << typeName(type);
      }
    }
  }
}

} // namespace
} // namespace wafer::test
