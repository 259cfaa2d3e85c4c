//===- TransferTest.cpp - values that come to all cores, or leave them --------===//

#include "TestPrograms.h"

#include <gtest/gtest.h>
#include <random>

namespace wafer::test {
namespace {

using wexe::Dir;

/// Cores of odd rows take from the second of two colours.
enum Colour : unsigned { Command = 0, Input = 1, Output = 3 };
enum Task : unsigned { Take = 1, Give, GiveAgain };

constexpr unsigned columns = 2, rows = 3, elements = 5, base = 4096;

struct Code {
  const char *name;
  std::vector<std::string> take, give;
  unsigned taken; ///< of the two transfers
  enum Bursts { OfOneCore, OfOneColumn, ForAllColumns } bursts = OfOneCore;
};

LoadedProgram program(const Code &code, ElementType type) {
  ProgramBuilder builder(testMachine(columns, rows));
  builder.colour(Command, "command", true).colour(Input, "input").colour(Input + 1, "input_1").colour(Output, "output").colour(Output + 1, "output_1");
  ImageBuilder image = builder.image("transfer", Command);
  image.mem("block", type, base, {elements})
      .mem("other_block", type, base + 64, {elements})
      .fabIn("input", type, Input, elements)
      .fabIn("input_rest", ElementType::I32, Input, 0)
      .fabOut("input_south", ElementType::I32, Input, 0)
      .fabOut("output", type, Output, elements)
      .fabIn("output_rest", ElementType::I32, Output, 0)
      .fabOut("output_south", ElementType::I32, Output, 0)
      .controlTask("take", Take, code.take)
      .controlTask("give", Give, code.give)
      .controlTask("give_again", GiveAgain, {code.give[2], code.give.back()});
  const unsigned words = static_cast<unsigned>(pack(std::vector<float>(elements), type).size());
  for (unsigned x = 0; x < columns; ++x)
    for (unsigned y = 0; y < rows; ++y) {
      wexe::RegionT &region = builder.region("core", wexe::Rect(x, y, 1, 1, 1, 1));
      auto set = [&](const char *name, wexe::DescField field, unsigned value) { region.overrides.emplace_back(image.descriptor(name), field, value, 0, 0); };
      const unsigned in = y % 2, out = (y + 1) % 2;
      for (const char *name : {"input", "input_rest"})
        set(name, wexe::DescField::Colour, Input + in);
      set("input_south", wexe::DescField::Colour, Input + out);
      set("output_rest", wexe::DescField::Colour, Output + in);
      for (const char *name : {"output", "output_south"})
        set(name, wexe::DescField::Colour, Output + out);
      for (const char *name : {"input_rest", "input_south"})
        set(name, wexe::DescField::Extent3, (rows - 1 - y) * words);
      for (const char *name : {"output_rest", "output_south"})
        set(name, wexe::DescField::Extent3, y * words);
      builder.route(Command, x, y, Dir::N, y + 1 < rows ? std::vector{Dir::Ramp, Dir::S} : std::vector{Dir::Ramp});
      builder.route(Input + in, x, y, Dir::N, {Dir::Ramp});
      if (y + 1 < rows)
        builder.route(Input + out, x, y, Dir::Ramp, {Dir::S});
      if (y > 0)
        builder.route(Output + in, x, y, Dir::N, {Dir::Ramp});
      builder.route(Output + out, x, y, Dir::Ramp, {Dir::S});
    }
  return builder.verify();
}

/// Blocks of any bits, signalling NaNs among them; and what leaves is asked for twice, the second time with the registers of the first.
ListIngress schedule(const Code &code, ElementType type, unsigned seed) {
  std::mt19937 random(seed);
  ListIngress ingress;
  ingress.multicast(Command, 0, columns, Take);
  const size_t words = pack(std::vector<float>(elements), type).size();
  auto block = [&] {
    std::vector<uint32_t> block(words);
    for (uint32_t &word : block)
      word = random() % 3 == 0 ? 0x7d01ff81 : static_cast<uint32_t>(random());
    return block;
  };
  if (code.bursts == Code::OfOneColumn) {
    for (unsigned x = 0; x < columns; ++x) {
      std::vector<uint32_t> all;
      for (unsigned y = 0; y < rows; ++y)
        for (uint32_t word : block())
          all.push_back(word);
      ingress.data(Input, x, all);
    }
  } else {
    for (unsigned y = 0; y < rows; ++y)
      for (unsigned x = 0; x < (code.bursts == Code::ForAllColumns ? 1 : columns); ++x) {
        ingress.data(Input, x, block());
        if (code.bursts == Code::ForAllColumns)
          ingress.bursts.back().portCount = columns;
      }
  }
  ingress.multicast(Command, 0, columns, Give);
  ingress.multicast(Command, 0, columns, GiveAgain);
  return ingress;
}

// Engines agree in bits and in counts, also of a second run on the same cores; what is no transfer is left to the cores.
TEST(TransferTest, BlocksDoNotPassEveryCore) {
  for (ElementType type : {ElementType::F16, ElementType::BF16, ElementType::F32}) {
    const std::string T = "." + std::string(typeName(type));
    const std::vector<std::string> take = {"ldd d0, %block", "ldd d1, %input", "mov" + T + " d0, d1 async", "ldd d2, %input_south", "ldd d3, %input_rest", "mov.i32 d2, d3 async"};
    const std::vector<std::string> give = {"ldd d4, %output", "ldd d5, %block", "mov" + T + " d4, d5 async", "ldd d6, %output_south", "ldd d7, %output_rest", "mov.i32 d6, d7 async"};
    auto with = [](std::vector<std::string> code, size_t place, const std::string &other) {
      code[place] = other;
      return code;
    };
    const Code codes[] = {
        {"Usual", take, give, 2},
        {"ForAllColumns", take, give, 2, Code::ForAllColumns},
        {"OfOneColumn", take, give, 1, Code::OfOneColumn},
        {"Doubled", take, with(give, 2, "add" + T + " d4, d5, d5 async"), 1},
        {"OneAfterTheOther", with(take, 2, "mov" + T + " d0, d1"), give, 1},
        {"LoadedBySomebodyElse", take, with(with(give, 1, "addd d0, 0"), 2, "mov" + T + " d4, d0 async"), 1},
        {"AnotherBlock", with(take, 0, "ldd d0, %other_block"), give, 2},
    };
    for (const Code &code : codes) {
      LoadedProgram loaded = program(code, type);
      std::unique_ptr<Engine> functional = createEngine("functional", loaded, {}), cycle = createEngine("cycle", loaded, {});
      for (unsigned run = 0; run < 2; ++run) {
        ListIngress first = schedule(code, type, run), second = schedule(code, type, run);
        ListEgress expected, found;
        const EngineStats counted = cycle->run(first, expected), stats = functional->run(second, found);
        EXPECT_EQ(found.byChannel, expected.byChannel) << code.name << T;
        EXPECT_EQ(stats.instructions, counted.instructions) << code.name << T;
        EXPECT_EQ(stats.elementOps, counted.elementOps) << code.name << T;
        EXPECT_EQ(stats.waveletsIn, counted.waveletsIn) << code.name << T;
        EXPECT_EQ(stats.waveletsOut, counted.waveletsOut) << code.name << T;
        EXPECT_EQ(stats.sramHighWater, counted.sramHighWater) << code.name << T;
        EXPECT_EQ(stats.transfersTogether, code.taken) << code.name << T;
      }
    }
  }
}

} // namespace
} // namespace wafer::test
