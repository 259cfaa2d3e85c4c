//===- LinkTest.cpp - several programs as one -----------------------------===//

#include "TestProgram.h"

#include <algorithm>

using namespace wafer;
using namespace wafer::test;

namespace {

wexe::ProgramT second() {
  wexe::ProgramT program = linearProgram();
  program.entries[0]->name = "second";
  return program;
}

std::vector<wexe::ProgramT> both(wexe::ProgramT other) {
  std::vector<wexe::ProgramT> programs;
  programs.push_back(linearProgram());
  programs.push_back(std::move(other));
  return programs;
}

size_t count(const wexe::ProgramT &program, wexe::Role role) {
  return std::count_if(program.tensors.begin(), program.tensors.end(), [&](const auto &tensor) { return tensor->role == role; });
}

TEST(Link, WeightsAreThereOnceAndTheRestOfEachProgram) {
  wexe::ProgramT linked = linkPrograms(both(second()));
  EXPECT_EQ(count(linked, wexe::Role::Weight), 1u);
  EXPECT_EQ(count(linked, wexe::Role::Input), 2u);
  EXPECT_EQ(linked.images.size(), 2u);
  EXPECT_EQ(linked.images[1]->load, linked.images[0]->load + 1);
  EXPECT_EQ(linked.entries[1]->name, "second");
  EXPECT_EQ(refusal(linked), "");
}

TEST(Link, ColoursHaveOneNumber) {
  wexe::ProgramT other = second();
  for (auto &colour : other.colours)
    if (colour->name == "input")
      colour->name = "else";
  wexe::ProgramT linked = linkPrograms(both(std::move(other)));
  EXPECT_EQ(linked.colours.size(), linearProgram().colours.size() + 1);
  EXPECT_EQ(refusal(linked), "");
}

TEST(Link, WeightsOfOneNameMustBeTheSame) {
  wexe::ProgramT other = second();
  tensor(other, "fc.weight").shape = {4, 1};
  EXPECT_THROW(linkPrograms(both(std::move(other))), ExecutableError);
}

TEST(Link, MachinesMustBeTheSame) {
  wexe::ProgramT other = second();
  other.machine_hash += 1;
  EXPECT_THROW(linkPrograms(both(std::move(other))), ExecutableError);
}

TEST(Link, TooManyColoursAreRefused) {
  wexe::ProgramT other = second();
  for (unsigned i = 0; i < 24; ++i) {
    auto colour = std::make_unique<wexe::ColourT>();
    colour->name = "other" + std::to_string(i);
    colour->number = i;
    other.colours.push_back(std::move(colour));
  }
  EXPECT_THROW(linkPrograms(both(std::move(other))), ExecutableError);
}

} // namespace
