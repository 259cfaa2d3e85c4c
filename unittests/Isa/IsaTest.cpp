//===- IsaTest.cpp - the instruction table round-trips ----------------------===//

#include "wafer/Isa/Isa.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

using namespace wafer;

namespace {

std::vector<Opcode> allOpcodes() {
  std::vector<Opcode> opcodes;
  for (unsigned i = 0; i < 256; ++i)
    if (Instruction insn; insn.opcode = static_cast<Opcode>(i), true) {
      try {
        mnemonic(insn.opcode);
        opcodes.push_back(insn.opcode);
      } catch (const IsaError &) {
      }
    }
  return opcodes;
}

/// Words with random fields: every legal instruction has a chance, so does every illegal one.
std::vector<uint64_t> acceptedWords(Opcode opcode, std::mt19937_64 &random) {
  // Clearing random bits makes it likely that uncovered ones are zero.
  std::vector<uint64_t> words;
  for (int i = 0; i < 20000; ++i) {
    uint64_t word = random() & (i % 3 ? random() : ~uint64_t(0)) & (i % 2 ? random() & random() : ~uint64_t(0));
    word = (word & ~uint64_t(0xff)) | static_cast<uint64_t>(opcode);
    try {
      decode(word);
      words.push_back(word);
    } catch (const IsaError &) {
    }
  }
  return words;
}

Instruction randomInstruction(Opcode opcode, std::mt19937_64 &random) {
  // Take all fields at random; those the instruction lacks vanish in the first encoding.
  Instruction insn;
  insn.opcode = opcode;
  for (unsigned type = 0; type <= 6; ++type) {
    insn.type = static_cast<ElementType>((type + random()) % 7);
    if (validate(insn).empty())
      break;
  }
  for (unsigned type = 0; type <= 6 && !validate(insn).empty(); ++type)
    insn.type = static_cast<ElementType>(type);
  insn.dst = random() % numDescriptorRegisters;
  insn.src0 = random() % numDescriptorRegisters;
  insn.src1 = random() % numDescriptorRegisters;
  insn.src2 = random() % numDescriptorRegisters;
  insn.async = random() & 1;
  insn.clear1 = random() & 1;
  insn.descriptorTemplate = static_cast<uint16_t>(random());
  insn.pc = static_cast<uint16_t>(random());
  insn.offset = static_cast<int16_t>(random());
  return decode(encode(insn));
}

std::string messageOf(uint64_t word) {
  try {
    decode(word);
  } catch (const IsaError &error) {
    return error.what();
  }
  return "accepted";
}

std::string parseMessage(const char *text) {
  try {
    parse(text);
  } catch (const IsaError &error) {
    return error.what();
  }
  return "accepted";
}

} // namespace

TEST(Isa, EveryInstructionSurvivesEncodingAndDecoding) {
  std::mt19937_64 random(1);
  for (Opcode opcode : allOpcodes())
    for (int i = 0; i < 200; ++i) {
      Instruction insn = randomInstruction(opcode, random);
      EXPECT_EQ(decode(encode(insn)), insn) << print(insn);
    }
}

TEST(Isa, EveryInstructionSurvivesPrintingAndParsing) {
  std::mt19937_64 random(2);
  for (Opcode opcode : allOpcodes())
    for (int i = 0; i < 200; ++i) {
      Instruction insn = randomInstruction(opcode, random);
      EXPECT_EQ(parse(print(insn)), insn) << print(insn);
    }
}

TEST(Isa, AnAcceptedWordIsTheOnlyEncodingOfItsInstruction) {
  std::mt19937_64 random(3);
  for (Opcode opcode : allOpcodes())
    for (uint64_t word : acceptedWords(opcode, random)) {
      EXPECT_EQ(encode(decode(word)), word);
      EXPECT_EQ(encode(parse(print(decode(word)))), word);
    }
}

TEST(Isa, NoTwoInstructionsShareAMnemonic) {
  std::set<std::string_view> names;
  for (Opcode opcode : allOpcodes())
    EXPECT_TRUE(names.insert(mnemonic(opcode)).second) << mnemonic(opcode);
  EXPECT_GE(names.size(), 35u);
}

TEST(Isa, UnknownOpcodesRegistersTypesAndUncoveredBitsAreRefused) {
  EXPECT_EQ(messageOf(0), "opcode 0 is not an instruction");
  EXPECT_EQ(messageOf(255), "opcode 255 is not an instruction");
  EXPECT_EQ(messageOf(encode(parse("end")) | uint64_t(1) << 8), "bit 8 is set, but no field of 'end' covers it");
  EXPECT_EQ(messageOf(encode(parse("mov.f32 d0, d1")) | uint64_t(48) << 12), "register d48 in 'mov', but there are d0..d47");
  EXPECT_EQ(messageOf((encode(parse("div.f32 d0, d1, d2")) & ~uint64_t(0xf00)) | 4 << 8), "type i32 in 'div', which takes f32, f16, bf16");
}

TEST(Isa, TheAssemblerSaysWhatItExpected) {
  EXPECT_EQ(print(parse("  add.f32   d4,d3 , d1  async clear1 ")), "add.f32 d4, d3, d1 async clear1");
  EXPECT_EQ(print(parse("addd d7, -64")), "addd d7, -64");
  EXPECT_EQ(print(parse("ldd d3, %7")), "ldd d3, %7");
  EXPECT_EQ(print(parse("bind @12")), "bind @12");
  EXPECT_EQ(parseMessage("jump d1"), "'jump' is not an instruction at column 5 of 'jump d1'");
  EXPECT_EQ(parseMessage("add d1, d2, d3"), "expected a type, as in add.f32 at column 5 of 'add d1, d2, d3'");
  EXPECT_EQ(parseMessage("mov.f32 d1"), "expected ',' before operand src0 at column 11 of 'mov.f32 d1'");
  EXPECT_EQ(parseMessage("mov.f32 d1, x"), "expected a register such as d3 for src0, found 'x' at column 14 of 'mov.f32 d1, x'");
  EXPECT_EQ(parseMessage("addd d1, 40000"), "found 40000, but a byte offset lies in -32768..32767 at column 15 of 'addd d1, 40000'");
  EXPECT_EQ(parseMessage("end clear1"), "'clear1' is not a flag of 'end' at column 11 of 'end clear1'");
}

TEST(Isa, OnlyTriggersHaveNoWayToStoreTheirMultiplier) {
  // weight_c1 rests on this: an arriving wavelet is the multiplier of a trigger, and a trigger's sources are its rows only.
  for (Opcode opcode : allOpcodes())
    if (insnClass(opcode) == InsnClass::Trigger)
      EXPECT_EQ(numSources(opcode), 1u) << mnemonic(opcode);
}
