//===- AssemblerTest.cpp - instructions as text -----------------------------===//

#include "RandomInstructions.h"

#include <gtest/gtest.h>

using namespace wafer;
using namespace wafer::isa;

namespace {

std::string refusal(std::string_view text) {
  try {
    parse(text);
  } catch (const IsaError &error) {
    return error.what();
  }
  return "accepted";
}

} // namespace

TEST(Assembler, EveryInstructionSurvivesPrintingAndParsing) {
  std::mt19937_64 random(1);
  for (const InsnInfo &info : insnTable)
    for (int i = 0; i < 500; ++i) {
      Instruction insn = test::randomInstruction(info, random);
      EXPECT_TRUE(parse(print(insn)) == insn) << print(insn);
    }
}

// The form of every kind of field, as docs/spec/isa.md gives it.
TEST(Assembler, PrintsTheDocumentedForms) {
  for (const char *text : {"add.f32 d4, d3, d1 async clear1", "ldd d3, %7", "ldd d47, %65535", "bind @12", "addd d7, -64", "addd d7, 32767", "addd d7, -32768",
                           "swapd d1, d2", "end"})
    EXPECT_EQ(print(parse(text)), text);
}

TEST(Assembler, WhitespaceAndTheOrderOfFlagsAreFree) {
  EXPECT_EQ(print(parse("\t add . f32   d4,d3 ,\td1  clear1   async \r\n")), "add.f32 d4, d3, d1 async clear1");
  EXPECT_EQ(print(parse("ldd d3,%7")), "ldd d3, %7");
}

TEST(Assembler, SaysWhatItFoundAndWhatItExpected) {
  EXPECT_EQ(refusal(""), "found the end, expected an instruction, at column 1 of ''");
  EXPECT_EQ(refusal("jump d1"), "found 'jump', expected an instruction, at column 1 of 'jump d1'");
  EXPECT_EQ(refusal("add d1, d2, d3"), "found 'd1', expected a type, as in add.f32, at column 5 of 'add d1, d2, d3'");
  EXPECT_EQ(refusal("div.i32 d1, d2, d3"), "found 'i32', expected a type that 'div' takes: f32, f16, bf16, at column 5 of 'div.i32 d1, d2, d3'");
  EXPECT_EQ(refusal("mov.f32 d1"), "found the end, expected ',' before src0, at column 11 of 'mov.f32 d1'");
  EXPECT_EQ(refusal("mov.f32 d1, x"), "found 'x', expected a register d0..d47 for src0, at column 13 of 'mov.f32 d1, x'");
  EXPECT_EQ(refusal("mov.f32 d1, d48"), "found 'd48', expected a register d0..d47 for src0, at column 13 of 'mov.f32 d1, d48'");
  EXPECT_EQ(refusal("ldd d3, 7"), "found '7', expected a template such as %3, at column 9 of 'ldd d3, 7'");
  EXPECT_EQ(refusal("bind 12"), "found '12', expected an instruction number such as @12, at column 6 of 'bind 12'");
  EXPECT_EQ(refusal("mov.f32 d1, d2 clear1"), "found 'clear1', expected 'async' or the end of 'mov', at column 16 of 'mov.f32 d1, d2 clear1'");
  EXPECT_EQ(refusal("mov.f32 d1, d2 async async"), "found 'async', expected the end of 'mov', at column 22 of 'mov.f32 d1, d2 async async'");
  EXPECT_EQ(refusal("end d1"), "found 'd1', expected the end of 'end', at column 5 of 'end d1'");
}

TEST(Assembler, NumbersThatDoNotFitAreRefusedAndNotTruncated) {
  EXPECT_EQ(refusal("addd d1, 32768"), "found '32768', expected a byte offset in -32768..32767, at column 10 of 'addd d1, 32768'");
  EXPECT_EQ(refusal("addd d1, -32769"), "found '-32769', expected a byte offset in -32768..32767, at column 10 of 'addd d1, -32769'");
  EXPECT_EQ(refusal("bind @65536"), "found '65536', expected an instruction number in 0..65535, at column 7 of 'bind @65536'");
  EXPECT_EQ(refusal("ldd d1, %-1"), "found '-1', expected a template number in 0..65535, at column 10 of 'ldd d1, %-1'");
  EXPECT_EQ(refusal("bind @18446744073709551617"),
            "found '18446744073709551617', expected an instruction number in 0..65535, at column 7 of 'bind @18446744073709551617'");
}

// Whatever is cut from or put into a line, the answer is an instruction or an IsaError.
TEST(Assembler, DamagedTextNeverCrashes) {
  std::mt19937_64 random(2);
  for (const InsnInfo &info : insnTable)
    for (int i = 0; i < 200; ++i) {
      std::string text = print(test::randomInstruction(info, random));
      text.resize(random() % (text.size() + 1));
      if (!text.empty() && random() % 2)
        text[random() % text.size()] = static_cast<char>(random());
      std::string answer = refusal(text);
      EXPECT_TRUE(answer == "accepted" || answer.rfind("found ", 0) == 0) << answer;
    }
}
