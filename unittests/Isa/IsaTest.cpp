//===- IsaTest.cpp - the instruction table, encoder and decoder -------------===//

#include "RandomInstructions.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

using namespace wafer;
using namespace wafer::isa;
using wafer::test::randomInstruction;

namespace {

uint64_t coveredBits(const InsnInfo &info) {
  uint64_t covered = 0xff;
  for (const FieldInfo &field : info)
    covered |= field.mask() << field.lo;
  return covered;
}

std::string refusal(const std::function<void()> &action) {
  try {
    action();
  } catch (const IsaError &error) {
    return error.what();
  }
  return "accepted";
}

std::string refusal(uint64_t word) {
  return refusal([&] { decode(word); });
}

/// `word` with `value` in the field.
uint64_t with(uint64_t word, const FieldInfo &field, uint64_t value) { return (word & ~(field.mask() << field.lo)) | value << field.lo; }

} // namespace

TEST(Isa, NoTwoInstructionsShareAnOpcodeOrAMnemonic) {
  std::set<Opcode> opcodes;
  std::set<std::string_view> names;
  for (const InsnInfo &info : insnTable) {
    EXPECT_TRUE(opcodes.insert(info.opcode).second) << info.name;
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(mnemonic(info.opcode), info.name);
    EXPECT_EQ(insnClass(info.opcode), info.insnClass) << info.name;
  }
  EXPECT_FALSE(opcodes.count(Opcode::None));
}

TEST(Isa, TheFieldsOfAnInstructionAreDisjoint) {
  for (const InsnInfo &info : insnTable) {
    uint64_t covered = 0xff;
    for (const FieldInfo &field : info) {
      EXPECT_EQ(covered & field.mask() << field.lo, 0u) << info.name << " " << field.name;
      covered |= field.mask() << field.lo;
    }
  }
}

// Otherwise the properties below say nothing about that kind.
TEST(Isa, EveryKindOfFieldIsUsed) {
  std::set<FieldKind> kinds;
  for (const InsnInfo &info : insnTable)
    for (const FieldInfo &field : info)
      kinds.insert(field.kind);
  EXPECT_EQ(kinds, (std::set<FieldKind>{FieldKind::descriptorKind, FieldKind::typeKind, FieldKind::flagKind, FieldKind::templateKind, FieldKind::pcKind,
                                        FieldKind::signedKind}));
}

TEST(Isa, EveryInstructionSurvivesEncodingAndDecoding) {
  std::mt19937_64 random(1);
  for (const InsnInfo &info : insnTable)
    for (int i = 0; i < 500; ++i) {
      Instruction insn = randomInstruction(info, random);
      ASSERT_EQ(validate(insn), "");
      EXPECT_TRUE(decode(encode(insn)) == insn) << print(insn);
    }
}

TEST(Isa, AnAcceptedWordIsTheOnlyEncodingOfItsInstruction) {
  std::mt19937_64 random(2);
  for (const InsnInfo &info : insnTable) {
    unsigned accepted = 0;
    for (int i = 0; i < 1000; ++i) {
      // Registers and types may still be out of range; every other bit pattern is an instruction.
      uint64_t word = (random() & coveredBits(info) & ~uint64_t(0xff)) | static_cast<uint64_t>(info.opcode);
      if (refusal(word) != "accepted")
        continue;
      ++accepted;
      EXPECT_EQ(encode(decode(word)), word) << info.name;
    }
    EXPECT_GT(accepted, 0u) << info.name;
  }
}

TEST(Isa, RandomWordsAreRefusedOrComeBackUnchanged) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20000; ++i) {
    uint64_t word = random() & random();
    if (refusal(word) == "accepted")
      EXPECT_EQ(encode(decode(word)), word);
  }
}

TEST(Isa, EveryBitThatNoFieldCoversIsRefused) {
  std::mt19937_64 random(4);
  for (const InsnInfo &info : insnTable)
    for (unsigned bit = 0; bit < 64; ++bit)
      if (!(coveredBits(info) >> bit & 1)) {
        EXPECT_EQ(refusal(encode(randomInstruction(info, random)) | uint64_t(1) << bit),
                  "bit " + std::to_string(bit) + " is set, but no field of '" + std::string(info.name) + "' covers it");
      }
}

// The field has room for 64 registers, the machine has 48.
TEST(Isa, RegistersThatDoNotExistAreRefusedInEveryPlace) {
  std::mt19937_64 random(5);
  for (const InsnInfo &info : insnTable)
    for (const FieldInfo &field : info) {
      if (field.kind != FieldKind::descriptorKind)
        continue;
      uint64_t word = encode(randomInstruction(info, random));
      EXPECT_EQ(refusal(with(word, field, numDescriptorRegisters - 1)), "accepted") << info.name << " " << field.name;
      for (unsigned reg = numDescriptorRegisters; reg <= field.mask(); ++reg)
        EXPECT_EQ(refusal(with(word, field, reg)),
                  "register d" + std::to_string(reg) + " in '" + std::string(info.name) + "', but there are d0..d" + std::to_string(numDescriptorRegisters - 1));
    }
}

TEST(Isa, ExactlyTheTypesOfTheTableAreAccepted) {
  std::mt19937_64 random(6);
  for (const InsnInfo &info : insnTable)
    for (const FieldInfo &field : info) {
      if (field.kind != FieldKind::typeKind)
        continue;
      uint64_t word = encode(randomInstruction(info, random));
      for (uint64_t type = 0; type <= field.mask(); ++type)
        EXPECT_EQ(refusal(with(word, field, type)) == "accepted", (info.typeMask >> type & 1) != 0) << info.name << " type " << type;
    }
  EXPECT_EQ(refusal(with(encode(parse("div.f32 d0, d1, d2")), fieldsOfDiv[0], 4)), "type i32 in 'div', which takes f32, f16, bf16");
  EXPECT_EQ(refusal(with(encode(parse("div.f32 d0, d1, d2")), fieldsOfDiv[0], 15)), "type 15 in 'div', which takes f32, f16, bf16");
}

TEST(Isa, UnknownOpcodesAreRefused) {
  std::set<unsigned> opcodes;
  for (const InsnInfo &info : insnTable)
    opcodes.insert(static_cast<unsigned>(info.opcode));
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    if (opcodes.count(opcode))
      continue;
    std::string message = "opcode " + std::to_string(opcode) + " is not an instruction";
    Instruction insn;
    insn.opcode = static_cast<Opcode>(opcode);
    EXPECT_EQ(refusal(opcode), message);
    EXPECT_EQ(validate(insn), message);
    EXPECT_EQ(refusal([&] { encode(insn); }), message);
    EXPECT_EQ(refusal([&] { print(insn); }), message);
  }
}

// A lost flag would be a program that does something else than was asked for.
TEST(Isa, AValueWithoutAFieldIsRefusedAndNotDropped) {
  Instruction insn = parse("mov.f32 d1, d2");
  insn.clear1 = true;
  EXPECT_EQ(validate(insn), "'clear1' is set, but 'mov' has no such field");
  EXPECT_EQ(refusal([&] { encode(insn); }), "'clear1' is set, but 'mov' has no such field");
}

TEST(Isa, OperandCountsComeFromTheTable) {
  EXPECT_EQ(numSources(Opcode::End), 0u);
  EXPECT_EQ(numSources(Opcode::Mov), 1u);
  EXPECT_EQ(numSources(Opcode::Add), 2u);
  EXPECT_EQ(numSources(Opcode::Fma), 3u);
  EXPECT_TRUE(hasDst(Opcode::Ldd));
  EXPECT_FALSE(hasDst(Opcode::Bind));
}

TEST(Isa, TypesHaveANameAndASize) {
  for (const TypeInfo &type : typeTable) {
    EXPECT_EQ(parseType(typeName(type.type)), type.type);
    EXPECT_EQ(byteSize(type.type), type.bytes);
  }
  EXPECT_EQ(byteSize(ElementType::BF16), 2u);
  EXPECT_EQ(typeName(ElementType::None), "none");
  EXPECT_EQ(byteSize(ElementType::None), 0u);
  EXPECT_FALSE(parseType("none"));
  EXPECT_FALSE(parseType("f64"));
}

// weight_c1 rests on this: a trigger has no operand beside its rows, and a mask that is memory like them, that an arriving wavelet's payload could come from or go
// to. What triggers a dot product is an index and no weight, and addw, which sends on what arrives, may not stand where weights do (the verifier's part).
TEST(Isa, ATriggerReadsOnlyItsRowsAndAMask) {
  for (const InsnInfo &info : insnTable)
    if (info.insnClass == InsnClass::Trigger && info.opcode != Opcode::Dotw && info.opcode != Opcode::Addw) {
      EXPECT_EQ(numSources(info.opcode), info.name.back() == 'm' ? 2u : 1u) << info.name;
    }
}
