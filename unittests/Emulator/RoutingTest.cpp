//===- RoutingTest.cpp - which cores a thread of the functional engine has ----===//

#include "../../lib/Emulator/FunctionalRouting.h"

#include "TestPrograms.h"

#include <gtest/gtest.h>
#include <set>

namespace wafer::test {
namespace {

using wexe::Dir;

constexpr unsigned width = 4, height = 2;

/// Cores in columns of which each sends to the next one east, but for those of which `isLast` is true.
LoadedProgram programOf(bool (*isLast)(unsigned column)) {
  ProgramBuilder builder(testMachine(width, height));
  builder.colour(0, "command", true).colour(1, "even").colour(2, "odd");
  ImageBuilder image = builder.image("image", 0);
  image.mem("number", ElementType::F32, 4096, {1});
  std::vector<std::string> code = {"ldd d0, %number"};
  for (unsigned colour : {1u, 2u}) {
    const std::string name = std::to_string(colour);
    image.fabIn("from_" + name, ElementType::F32, colour, 1).fabOut("to_" + name, ElementType::F32, colour, 1);
    code.insert(code.end(), {"ldd d1, %to_" + name, "mov.f32 d1, d0", "ldd d1, %from_" + name, "mov.f32 d0, d1"});
  }
  image.controlTask("task", 1, code);
  for (unsigned y = 0; y < height; ++y)
    for (unsigned x = 0; x < width; ++x) {
      builder.route(0, x, y, Dir::N, y == 0 ? std::vector{Dir::Ramp, Dir::S} : std::vector{Dir::Ramp});
      if (isLast(x))
        continue;
      builder.route(1 + x % 2, x, y, Dir::Ramp, {Dir::E}).route(1 + x % 2, x + 1, y, Dir::W, {Dir::Ramp});
    }
  builder.region("image", wexe::Rect(0, 0, width, height, 1, 1));
  return builder.verify();
}

/// For each column the domains of its cores.
std::vector<std::set<unsigned>> domainsOf(const FunctionalRouting &routing) {
  std::vector<std::set<unsigned>> domains(width);
  for (uint32_t batch = 0; batch < routing.batches().size(); ++batch)
    for (uint32_t core : routing.batches()[batch])
      domains[routing.at(core).first].insert(routing.domainOf(batch));
  return domains;
}

using Domains = std::vector<std::set<unsigned>>;

TEST(RoutingTest, ThreadsHaveColumnsThatNoOthersSendTo) {
  const LoadedProgram program = programOf([](unsigned column) { return column % 2 == 1; });
  const FunctionalRouting routing(program, 2);
  EXPECT_EQ(domainsOf(routing), (Domains{{0}, {0}, {1}, {1}}));
}

TEST(RoutingTest, ThreadsHaveRowsWhereThereAreTooFewOfSuchColumns) {
  const LoadedProgram two = programOf([](unsigned column) { return column % 2 == 1; }), one = programOf([](unsigned column) { return column == width - 1; });
  EXPECT_EQ(domainsOf(FunctionalRouting(two, 3)), Domains(width, {0, 1}));
  EXPECT_EQ(domainsOf(FunctionalRouting(one, 2)), Domains(width, {0, 1}));
}

TEST(RoutingTest, AThreadAloneHasAll) {
  const LoadedProgram program = programOf([](unsigned column) { return column % 2 == 1; });
  EXPECT_EQ(domainsOf(FunctionalRouting(program, 1)), Domains(width, {0}));
}

} // namespace
} // namespace wafer::test
