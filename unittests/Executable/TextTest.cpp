//===- TextTest.cpp - the text form of programs -----------------------------===//

#include "TestProgram.h"

using namespace wafer;
using namespace wafer::test;

namespace {

/// Assembles the disassembly; both must serialise to the same bytes.
void expectRoundTrip(const wexe::ProgramT &program) {
  std::string text = disassembleProgram(program);
  try {
    EXPECT_EQ(writeExecutable(assembleProgram(text)), writeExecutable(program)) << text;
  } catch (const ExecutableError &error) {
    ADD_FAILURE() << error.what() << "\n" << text;
  }
}

std::string assemblyError(const std::string &text) {
  try {
    assembleProgram(text);
    return "";
  } catch (const ExecutableError &error) {
    return error.what();
  }
}

TEST(Text, DisassemblyAssemblesToTheSameBytes) { expectRoundTrip(linearProgram()); }

TEST(Text, GridsWithBandsSurvive) {
  wexe::ProgramT program = linearProgram();
  program.entries[0]->phases[0]->grid->bands = 2;
  EXPECT_NE(disassembleProgram(program).find(" bands=2\n"), std::string::npos);
  expectRoundTrip(program);
}

TEST(Text, EmptyProgramSurvives) { expectRoundTrip(wexe::ProgramT()); }

TEST(Text, NamesWithAnyBytesSurvive) {
  wexe::ProgramT program = linearProgram();
  descriptor(program, "sum").name = "a \"quoted\" \\ name\n\x01\x7f \xc3\xa4 # no comment";
  descriptor(program, "y").name = "";
  image(program).name = std::string("zero\0byte", 9);
  program.colours[3]->name = "7";
  tensor(program, "x").name = "layer/0:weight";
  expectRoundTrip(program);
}

TEST(Text, NamesThatTwoThingsShareSurvive) {
  wexe::ProgramT program = linearProgram();
  for (auto &d : image(program).descriptors)
    d->name = "same";
  for (auto &t : program.tensors)
    t->name = "same";
  for (auto &c : program.colours)
    c->name = "same";
  task(program, "own").name = "pass_east";
  expectRoundTrip(program);
}

// What the verifier refuses must be visible all the same.
TEST(Text, InvalidProgramsSurvive) {
  wexe::ProgramT program = linearProgram();
  program.machine = "not a machine";
  program.format_version = 9;
  program.isa_hash = 0;
  region(program).rect.reset();
  region(program).image = 40;
  region(program).overrides.emplace_back(60000, static_cast<wexe::DescField>(77), 5, -1, 1);
  region(program).overrides.emplace_back(0, wexe::DescField::Kind, 77, 0, 0);
  route(program, "east").rx = static_cast<wexe::Dir>(9);
  route(program, "east").tx = 0xff;
  route(program, "west").rect = std::make_unique<wexe::Rect>(1, 2, 0, 0, 0, 0);
  image(program).code[0] = ~uint64_t(0);
  image(program).tasks[1]->kind = static_cast<wexe::TaskKind>(5);
  image(program).tasks[2]->pc = 60000;
  image(program).locations[0]->pc = 60000;
  descriptor(program, "y").kind = static_cast<wexe::DescKind>(8);
  descriptor(program, "y").type = static_cast<wexe::ElemType>(8);
  descriptor(program, "y").extents = {1, 2, 3, 4, 5};
  tensor(program, "x").role = static_cast<wexe::Role>(8);
  step(program, "x").kind = static_cast<wexe::StepKind>(8);
  step(program, "fc").wire = static_cast<wexe::WireFormat>(8);
  step(program, "fc").tensor = -7;
  step(program, "fc").offset = INT64_MIN;
  phase(program).function = -9;
  phase(program).grid.reset();
  program.entries[0]->inputs = {4000000000u};
  program.entries[0]->phases.push_back(std::make_unique<wexe::PhaseT>());
  program.entries[0]->phases.back()->kind = static_cast<wexe::PhaseKind>(8);
  expectRoundTrip(program);
}

TEST(Text, TasksOutOfOrderSurvive) {
  wexe::ProgramT program = linearProgram();
  std::swap(image(program).tasks[1], image(program).tasks[4]);
  std::swap(image(program).locations[0], image(program).locations[1]);
  expectRoundTrip(program);
}

TEST(Text, FunctionsKeepTheirText) {
  wexe::ProgramT program = linearProgram();
  for (const char *mlir : {"func.func @f() {\n  return\n}\n", "no end of line", "MLIR\n", "  MLIR\nmore\n", "", "tab\tand \r return\n"}) {
    program.functions.push_back(std::make_unique<wexe::FunctionT>());
    program.functions.back()->name = "f" + std::to_string(program.functions.size());
    program.functions.back()->mlir = mlir;
    program.functions.back()->reason = "no wafer kernel";
  }
  auto call = std::make_unique<wexe::PhaseT>();
  call->kind = wexe::PhaseKind::Function;
  call->function = 1;
  call->inputs = {0};
  call->outputs = {2};
  program.entries[0]->phases.push_back(std::move(call));
  expectRoundTrip(program);
}

TEST(Text, DisassemblyUsesNames) {
  std::string text = disassembleProgram(linearProgram());
  for (const char *part :
       {"ldd d0, %x_rows\n", "bind @weights\n", "colour=east", "image=linear", "tensor=fc.weight", "task_own=own", "control 5 own:\n"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
}

TEST(Text, NamesMayBeUsedBeforeTheyAreGiven) {
  wexe::ProgramT program =
      assembleProgram("wexe\nmachine tiny\nregion r image=late at=[0, 0]\nimage first command=9\nimage late command=blue\ncolour 4 blue\n");
  EXPECT_EQ(program.regions[0]->image, 1);
  EXPECT_EQ(program.images[1]->command_colour, 4);
}

TEST(Text, ShapeIsExtentsAndRowMajorStrides) {
  wexe::ProgramT program = assembleProgram("wexe\nmachine tiny\nimage i command=0 {\n  descriptor d mem f16 base=64 shape=[3, 5]\n}\n");
  EXPECT_EQ(program.images[0]->descriptors[0]->extents, (std::vector<uint16_t>{1, 1, 3, 5}));
  EXPECT_EQ(program.images[0]->descriptors[0]->strides, (std::vector<int16_t>{0, 0, 5, 1}));
}

TEST(Text, ValueIsTheBitsOfAnF32) {
  wexe::ProgramT program = assembleProgram("wexe\nmachine tiny\nimage i command=0 {\n  descriptor d const f32 value=-1.5e-1\n}\n");
  float value;
  std::memcpy(&value, &program.images[0]->descriptors[0]->imm, sizeof value);
  EXPECT_EQ(value, -0.15f);
}

TEST(Text, ErrorsHaveLineAndColumn) {
  EXPECT_EQ(assemblyError("wexe\nmachine tiny\ncolour x red\n"), "3:8: found 'x', expected a colour's number, an integer from 0 to 255");
  EXPECT_EQ(assemblyError("machine tiny\n"), "1:1: found 'machine', expected 'wexe' on the first line");
  EXPECT_EQ(assemblyError(""), "1:1: found the end of the text, expected 'wexe' on the first line");
  EXPECT_EQ(assemblyError("wexe\nroute east colour=300 rx=W\n"), "2:19: found '300', expected a colour, at most 255");
  EXPECT_EQ(assemblyError("wexe\nproducer \"open\n"), "2:15: found the end of the line in a string, expected '\"'");
  EXPECT_EQ(assemblyError("wexe\nmachine <<END\n{}\n"), "2:9: found the end of the text, expected a line 'END'");
}

TEST(Text, UnknownNamesAreReportedWhereTheyStand) {
  EXPECT_EQ(assemblyError("wexe\nmachine tiny\nregion r image=missing\n"), "3:16: found 'missing', expected the name of one image");
  EXPECT_EQ(assemblyError("wexe\nmachine tiny\nimage i command=0 {\n  control 1 t:\n    ldd d0, %gone\n    end\n}\n"),
            "5:13: found 'gone', expected the name of one descriptor of the image");
}

TEST(Text, UnknownKeysListTheKnownOnes) {
  EXPECT_EQ(assemblyError("wexe\nimage i command=0 {\n  buffer b base=0 size=4\n}\n"),
            "3:19: found 'size', expected one of base, bytes, acc");
}

TEST(Text, BadInstructionsAreReportedWhereTheyStand) {
  std::string error = assemblyError("wexe\nmachine tiny\nimage i command=0 {\n  control 1 t:\n    fly d0\n}\n");
  EXPECT_EQ(error.find("5:5: "), 0u) << error;
}

// Damaged text is an error or another program, and never more than that.
TEST(Text, DamagedTextNeverHurts) {
  std::string text = linearText();
  for (size_t i = 0; i < text.size(); i += 3)
    for (char c : {'\n', '"', '{', ']', '<', '9', '%'}) {
      std::string damaged = text;
      damaged[i] = c;
      assemblyError(damaged);
    }
}

} // namespace
