//===- InStepTest.cpp - cores of a column that wait in step -------------------===//

#include "TestPrograms.h"

#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace wafer::test {
namespace {

using wexe::DescField;
using wexe::Dir;

constexpr auto F32 = ElementType::F32;
constexpr unsigned rows = 2, elements = 5, base = 4096, result = base + 64;
enum Colour : unsigned { Command = 0, Input = 1, ToSouth = 2, Output = 3, ToEast = 4, ToWest = 5 };

void expectSame(const LoadedProgram &program, const ListIngress &schedule) {
  ListIngress first = schedule, second = schedule;
  ListEgress expected, found;
  const EngineStats counted = createEngine("cycle", program, {})->run(first, expected), stats = createEngine("functional", program, {})->run(second, found);
  EXPECT_FALSE(expected.byChannel.empty());
  EXPECT_EQ(found.byChannel, expected.byChannel);
  EXPECT_EQ(stats.instructions, counted.instructions);
  EXPECT_EQ(stats.elementOps, counted.elementOps);
}

std::vector<uint32_t> numbers(std::mt19937 &random) {
  const float some[] = {0, -0.0f, 1, -3, std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()};
  std::vector<uint32_t> words(elements);
  for (uint32_t &word : words)
    word = bits(some[random() % std::size(some)]);
  return words;
}

ImageBuilder begin(ProgramBuilder &builder) {
  for (const char *name : {"command", "input", "to_south", "output", "to_east", "to_west"})
    builder.colour(static_cast<unsigned>(builder.program.colours.size()), name, builder.program.colours.empty());
  ImageBuilder image = builder.image("image", Command);
  image.mem("numbers", F32, base, {elements}).mem("result", F32, result, {elements}).constant("two", F32, bits(2.0f));
  return image;
}

// The second core of the first column waits for what comes, by way of the other column, of what the first one sends behind the instruction at which both are.
TEST(InStepTest, CoresPartWhereOneWaitsForTheOther) {
  ProgramBuilder builder(testMachine(2, rows));
  ImageBuilder image = begin(builder);
  image.fabIn("from_east", F32, ToWest, elements).fabOut("to_east", F32, ToEast, elements);
  image.fabIn("from_north", F32, Input, elements).fabOut("to_west", F32, ToWest, elements).fabIn("from_west", F32, ToEast, elements).fabOut("to_south", F32, ToSouth, elements);
  image.controlTask("add", 1,
                    {"ldd d0, %result", "ldd d1, %from_east", "ldd d2, %numbers", "ldd d3, %to_east", "ldd d4, %two", "mov.f32 d2, d4", "add.f32 d0, d1, d2",
                     "div.f32 d0, d0, d4", "mov.f32 d3, d0"});
  image.controlTask("pass", 2, {"ldd d0, %to_west", "ldd d1, %from_north", "ldd d2, %to_south", "ldd d3, %from_west", "mov.f32 d0, d1", "mov.f32 d2, d3"});
  for (unsigned y = 0; y < rows; ++y) {
    const unsigned from = y == 0 ? Input : ToSouth, to = y == 0 ? ToSouth : Output;
    for (unsigned x = 0; x < 2; ++x) {
      builder.route(Command, x, y, Dir::N, y == 0 ? std::vector{Dir::Ramp, Dir::S} : std::vector{Dir::Ramp});
      builder.route(ToEast, x, y, x == 0 ? Dir::Ramp : Dir::W, {x == 0 ? Dir::E : Dir::Ramp});
      builder.route(ToWest, x, y, x == 0 ? Dir::E : Dir::Ramp, {x == 0 ? Dir::Ramp : Dir::W});
    }
    builder.route(from, 1, y, Dir::N, {Dir::Ramp}).route(to, 1, y, Dir::Ramp, {Dir::S});
    wexe::RegionT &region = builder.region("pass", wexe::Rect(1, y, 1, 1, 1, 1));
    region.overrides.emplace_back(image.descriptor("from_north"), DescField::Colour, from, 0, 0);
    region.overrides.emplace_back(image.descriptor("to_south"), DescField::Colour, to, 0, 0);
  }
  builder.region("add", wexe::Rect(0, 0, 1, rows, 1, 1));
  std::mt19937 random(3);
  ListIngress schedule;
  for (int i = 0; i < 2; ++i)
    schedule.command(Command, 0, 1).command(Command, 1, 2).data(Input, 1, numbers(random));
  expectSame(builder.verify(), schedule);
}

// The larger numbers of two columns come back to both, which wait for them with the task half done.
TEST(InStepTest, MaximaOfColumnsComeBack) {
  ProgramBuilder builder(testMachine(2, rows));
  ImageBuilder image = begin(builder);
  image.fabIn("input", F32, Input, elements).fabOut("output", F32, Output, elements);
  // Without elements in the other column, each.
  image.fabOut("sent", F32, ToEast, 0).mem("numbers_sent", F32, base, {elements});
  image.fabIn("received", F32, ToEast, 0).mem("numbers_met", F32, base, {elements}).mem("largest", F32, result, {elements});
  image.fabOut("cast", F32, ToWest, 0).mem("largest_cast", F32, result, {elements});
  image.fabIn("from_east", F32, ToWest, 0).mem("largest_of_others", F32, result, {elements});
  image.controlTask("take", 1, {"ldd d0, %numbers", "ldd d1, %input", "mov.f32 d0, d1"});
  image.controlTask("maxima", 2,
                    {"ldd d0, %sent", "ldd d1, %numbers_sent", "mov.f32 d0, d1", "ldd d2, %largest", "ldd d3, %received", "ldd d4, %numbers_met", "max.f32 d2, d3, d4",
                     "ldd d5, %cast", "ldd d6, %largest_cast", "mov.f32 d5, d6", "ldd d7, %largest_of_others", "ldd d8, %from_east", "mov.f32 d7, d8", "ldd d9, %result",
                     "ldd d10, %numbers", "ldd d11, %two", "div.f32 d10, d9, d11", "sub.f32 d9, d10, d9"});
  image.controlTask("give", 3, {"ldd d0, %output", "ldd d1, %result", "mov.f32 d0, d1"});
  for (unsigned x = 0; x < 2; ++x)
    for (unsigned y = 0; y < rows; ++y) {
      wexe::RegionT &region = builder.region("core", wexe::Rect(x, y, 1, 1, 1, 1));
      auto set = [&](std::initializer_list<const char *> names, DescField field, unsigned value) {
        for (const char *name : names)
          region.overrides.emplace_back(image.descriptor(name), field, value, 0, 0);
      };
      set(x == 0 ? std::initializer_list<const char *>{"sent", "from_east"} : std::initializer_list<const char *>{"received", "cast"}, DescField::Extent3, elements);
      set(x == 0 ? std::initializer_list<const char *>{"numbers_met", "largest", "largest_cast"} : std::initializer_list<const char *>{"numbers_sent", "largest_of_others"},
          DescField::Extent3, 0);
      // Both rows get the same; what the first one gives passes the second.
      for (unsigned colour : {Command, Input})
        builder.route(colour, x, y, Dir::N, y == 0 ? std::vector{Dir::Ramp, Dir::S} : std::vector{Dir::Ramp});
      set({"output"}, DescField::Colour, y == 0 ? ToSouth : Output);
      builder.route(y == 0 ? ToSouth : Output, x, y, Dir::Ramp, {Dir::S});
      if (y != 0)
        builder.route(ToSouth, x, y, Dir::N, {Dir::S});
      builder.route(ToEast, x, y, x == 0 ? Dir::Ramp : Dir::W, {x == 0 ? Dir::E : Dir::Ramp});
      builder.route(ToWest, x, y, x == 0 ? Dir::E : Dir::Ramp, {x == 0 ? Dir::Ramp : Dir::W});
    }
  std::mt19937 random(5);
  ListIngress schedule;
  for (int i = 0; i < 4; ++i) {
    schedule.multicast(Command, 0, 2, 1);
    for (unsigned x = 0; x < 2; ++x)
      schedule.data(Input, x, numbers(random));
    schedule.multicast(Command, 0, 2, 2).multicast(Command, 0, 2, 3);
  }
  expectSame(builder.verify(), schedule);
}

} // namespace
} // namespace wafer::test
