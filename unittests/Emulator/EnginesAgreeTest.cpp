//===- EnginesAgreeTest.cpp - random programs, one meaning --------------------===//
//
// One core, memory full of random bits, and a task of random instructions over random descriptors, which overlap as often as not. Whatever
// the engines do to be fast, what is in memory afterwards is the same.
//
//===----------------------------------------------------------------------===//

#include "TestPrograms.h"

#include <gtest/gtest.h>

#include <random>

using namespace wafer;
using namespace wafer::test;
using wexe::Dir;

namespace {

constexpr auto F32 = ElementType::F32, F16 = ElementType::F16, I32 = ElementType::I32;
constexpr unsigned commands = 0, input = 1, output = 2;
constexpr unsigned base = 8192, areaBytes = 512, areaWords = areaBytes / 4;

class RandomProgram {
public:
  RandomProgram(unsigned seed, bool overlapping) : random_(seed), overlapping_(overlapping) {}

  /// Memory after the program has run on the engine.
  static std::vector<uint32_t> run(const LoadedProgram &program, const char *engineName, const ListIngress &schedule) {
    ListIngress in = schedule;
    ListEgress out;
    createEngine(engineName, program, {})->run(in, out);
    return out.words(0, output);
  }

  /// Vector and function instructions.
  ProgramBuilder vectors();
  /// A run of weights.
  ProgramBuilder weights();
  ListIngress schedule;

private:
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
  /// Bits with many small numbers, zeros, infinities and NaNs among them.
  uint32_t word() {
    switch (below(8)) {
    case 0:
      return 0;
    case 1:
      return bits(static_cast<float>(below(9)) - 4);
    case 2:
      return 0x7f800000 | (below(2) << 31) | (below(2) ? below(1u << 23) : 0);
    case 3:
      return pack({static_cast<float>(below(100)) / 8, -static_cast<float>(below(100))}, F16)[0];
    default:
      return static_cast<uint32_t>(random_());
    }
  }
  ImageBuilder begin(ProgramBuilder &builder);
  void finish(ProgramBuilder &builder, ImageBuilder &image);

  std::mt19937 random_;
  bool overlapping_;
};

ImageBuilder RandomProgram::begin(ProgramBuilder &builder) {
  builder.colour(commands, "command").colour(input, "input").colour(output, "output");
  builder.route(commands, 0, 0, Dir::N, {Dir::Ramp}).route(input, 0, 0, Dir::N, {Dir::Ramp}).route(output, 0, 0, Dir::Ramp, {Dir::S});
  ImageBuilder image = builder.image("image", commands);
  image.mem("area", I32, base, {areaWords}).fabIn("in", I32, input, areaWords).fabOut("out", I32, output, areaWords);
  image.controlTask("fill", 1, {"ldd d0, %area", "ldd d1, %in", "mov.i32 d0, d1"});
  image.controlTask("show", 2, {"ldd d0, %area", "ldd d1, %out", "mov.i32 d1, d0"});
  std::vector<uint32_t> words(areaWords);
  for (uint32_t &w : words)
    w = word();
  schedule.command(commands, 0, 1).data(input, 0, words);
  return image;
}

void RandomProgram::finish(ProgramBuilder &builder, ImageBuilder &) {
  builder.core(0, 0);
  schedule.command(commands, 0, 2);
}

ProgramBuilder RandomProgram::vectors() {
  ProgramBuilder builder(testMachine(1, 1));
  ImageBuilder image = begin(builder);
  static const char *const floats[] = {"f32", "f32", "f32", "f16", "bf16"}, *const numbers[] = {"f32", "f16", "bf16", "i32", "i16", "i8"};
  static const char *const unary[] = {"mov", "neg", "abs"}, *const unaryFloat[] = {"floor", "ceil",    "round", "exp",  "log",
                                                                                   "tanh",  "sigmoid", "rsqrt", "recip"};
  static const char *const binary[] = {"add", "sub", "mul", "min", "max", "cmpeq", "cmpne", "cmplt", "cmple"};
  static const ElementType stored[] = {F32, F32, F32, F16, F16, ElementType::BF16, I32, ElementType::I16, ElementType::I8};
  const Extents shapes[] = {{16}, {4, 4}, {2, 2, 4}, {1, 16}};
  std::vector<std::string> code;
  image.constant("half", F32, bits(0.5f));
  for (unsigned i = 0; i < 10; ++i) {
    const Extents &extents = shapes[below(4)];
    auto operand = [&](unsigned reg) {
      std::string name = "m" + std::to_string(i) + "_" + std::to_string(reg);
      ElementType type = stored[below(9)];
      // Dense, or every other element, or each again; sixteen elements take at most 124 bytes.
      Strides strides;
      if (below(4) == 0)
        strides = Strides(extents.size(), static_cast<int16_t>(below(3)));
      unsigned room = overlapping_ ? areaBytes - 128 : 1, start = overlapping_ ? 0 : reg * 128;
      image.mem(name, type, base + start + below(room) / 4 * 4, extents, strides);
      code.push_back("ldd d" + std::to_string(reg) + ", %" + name);
    };
    for (unsigned reg = 0; reg < 4; ++reg)
      operand(reg);
    if (below(5) == 0)
      code.push_back("ldd d1, %half");
    const std::string async = below(2) ? " async" : "";
    switch (below(5)) {
    case 0:
      code.push_back(std::string(unary[below(3)]) + "." + numbers[below(6)] + " d0, d1" + async);
      break;
    case 1:
      code.push_back(std::string(unaryFloat[below(9)]) + "." + floats[below(5)] + " d0, d1" + async);
      break;
    case 2:
      code.push_back(std::string("select.") + numbers[below(6)] + " d0, d1, d2, d3" + async);
      break;
    case 3:
      code.push_back(std::string("fma.") + floats[below(5)] + " d0, d1, d2, d3" + async);
      break;
    default:
      code.push_back(std::string(binary[below(9)]) + "." + (below(2) ? "f32" : numbers[below(6)]) + " d0, d1, d2" + async +
                     (below(3) ? "" : " clear1"));
    }
  }
  image.controlTask("work", 3, code);
  schedule.command(commands, 0, 3);
  finish(builder, image);
  return builder;
}

ProgramBuilder RandomProgram::weights() {
  ProgramBuilder builder(testMachine(1, 1));
  ImageBuilder image = begin(builder);
  const uint16_t tokens = static_cast<uint16_t>(1 + below(12));
  static const char *const triggers[] = {"fmacw.f16", "fmacw.bf16", "fmacp.f16", "fmacp.bf16", "fmacd.f32"};
  const unsigned which = below(5);
  const ElementType rowTypes[] = {F16, F32, ElementType::BF16};
  image.mem("rows", rowTypes[below(3)], base + (overlapping_ ? below(16) * 4 : 64), {4, 1, 1, tokens},
            {static_cast<int16_t>(tokens), 0, 0, 1});
  image.mem("sum", below(3) ? F32 : F16, base + (overlapping_ ? below(32) * 4 : 0), {tokens});
  const bool isMasked = below(2);
  static const char *const masked[] = {"fmacwm.f16", "fmacwm.bf16", "fmacpm.f16", "fmacpm.bf16", "fmacdm.f32"};
  image.mem("mask", below(2) ? ElementType::I8 : rowTypes[below(3)], base + 320 + below(16) * 4, {tokens});
  image.dataTask("weights", std::string((isMasked ? masked : triggers)[which]) + (isMasked ? " d1, d0, d2" : " d1, d0") + (overlapping_ || below(3) ? "" : " skip0"));
  image.controlTask("begin", 3, {"ldd d0, %rows", "ldd d1, %sum", "ldd d2, %mask", "bind @weights"});
  for (unsigned burst = 0; burst < 3; ++burst) {
    schedule.command(commands, 0, 3);
    std::vector<uint32_t> words;
    for (unsigned i = 0; i < (which == 2 || which == 3 ? 2 : 4); ++i)
      words.push_back(which < 2 ? below(4) << 16 | (word() & 0xffff) : word());
    schedule.data(commands, 0, words);
  }
  finish(builder, image);
  return builder;
}

class EnginesAgreeTest : public testing::TestWithParam<std::tuple<bool, bool>> {};

TEST_P(EnginesAgreeTest, OnRandomPrograms) {
  const auto [isWeights, overlapping] = GetParam();
  for (unsigned seed = 0; seed < 400; ++seed) {
    RandomProgram random(seed, overlapping);
    ProgramBuilder builder = isWeights ? random.weights() : random.vectors();
    LoadedProgram program = builder.verify();
    auto expected = RandomProgram::run(program, "cycle", random.schedule);
    ASSERT_EQ(expected.size(), areaWords);
    ASSERT_EQ(RandomProgram::run(program, "functional", random.schedule), expected) << "seed " << seed << "\n"
                                                                                    << disassembleProgram(builder.program);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, EnginesAgreeTest, testing::Combine(testing::Bool(), testing::Bool()), [](const auto &info) {
  return std::string(std::get<0>(info.param) ? "Weights" : "Vectors") + (std::get<1>(info.param) ? "Overlapping" : "Apart");
});

} // namespace
