//===- LinkCodecTest.cpp - rows of weights without their zeros -------------===//

#include "LinkCodec.h"

#include "gtest/gtest.h"

#include <cstring>
#include <random>

using namespace wafer;

namespace {

struct Row {
  LinkForm form;
  unsigned elementBytes;
  size_t count;
  double density;
  unsigned block = 1; ///< neighbours that are zero together
  unsigned most = ~0u; ///< kept of the form's groups
};

uint32_t maskOf(unsigned elementBytes) { return elementBytes == 4 ? 0x7fffffff : elementBytes == 2 ? 0x7fff : 0xff; }

std::vector<uint8_t> elementsOf(const Row &row, std::mt19937 &random) {
  std::vector<uint8_t> bytes(row.count * row.elementBytes);
  bool isKept = false;
  unsigned inGroup = 0;
  for (size_t k = 0; k < row.count; ++k) {
    if (row.form.kind == LinkForm::Structured && k % row.form.size == 0)
      inGroup = 0;
    if (k % row.block == 0)
      isKept = std::uniform_real_distribution<>()(random) < row.density;
    // What is not kept is a zero of either sign.
    uint32_t value = random() % 7 == 0 ? ~maskOf(row.elementBytes) : 0;
    if (isKept && inGroup < row.most) {
      value = uint32_t(random()) | 1;
      ++inGroup;
    }
    std::memcpy(&bytes[k * row.elementBytes], &value, row.elementBytes);
  }
  return bytes;
}

class LinkCodecTest : public testing::TestWithParam<Row> {};

TEST_P(LinkCodecTest, GivesWhatIsNotZeroInOrder) {
  const Row row = GetParam();
  std::mt19937 random(7);
  for (int i = 0; i < 20; ++i) {
    const std::vector<uint8_t> elements = elementsOf(row, random);
    LinkCodec codec(row.form, row.elementBytes, maskOf(row.elementBytes));
    std::vector<uint32_t> words;
    codec.encode(elements.data(), row.count, words);
    LinkCodec::Row found, expected;
    codec.decode(words, row.count, found);
    for (size_t k = 0; k < row.count; ++k) {
      uint32_t value = 0;
      std::memcpy(&value, &elements[k * row.elementBytes], row.elementBytes);
      if (!(value & maskOf(row.elementBytes)))
        continue;
      expected.positions.push_back(static_cast<uint32_t>(k));
      expected.values.push_back(value);
    }
    EXPECT_EQ(found.positions, expected.positions);
    EXPECT_EQ(found.values, expected.values);
    // Blocks may hold zeros among their numbers; the others are as long as the form says.
    if (row.form.kind == LinkForm::Bitmask || row.most <= row.form.kept)
      EXPECT_EQ(words.size(), row.form.words(row.count, expected.values.size(), row.elementBytes * 8));
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, LinkCodecTest,
                         testing::Values(Row{{LinkForm::Bitmask, 0, 0}, 2, 100, 0.25}, Row{{LinkForm::Bitmask, 0, 0}, 1, 33, 0.5}, Row{{LinkForm::Bitmask, 0, 0}, 4, 64, 0.1},
                                         Row{{LinkForm::Bitmask, 0, 0}, 2, 1, 1}, Row{{LinkForm::Bitmask, 0, 0}, 2, 31, 0}, Row{{LinkForm::Bitmask, 0, 0}, 2, 0, 0},
                                         Row{{LinkForm::Structured, 2, 4}, 2, 64, 1, 1, 2}, Row{{LinkForm::Structured, 1, 4}, 1, 30, 0.5, 1, 1},
                                         Row{{LinkForm::Structured, 3, 16}, 4, 48, 1, 1, 3}, Row{{LinkForm::Structured, 2, 5}, 2, 23, 1, 1, 2},
                                         // A row that does not have the structure
                                         Row{{LinkForm::Structured, 1, 4}, 2, 64, 0.7}, Row{{LinkForm::Blocks, 0, 16}, 2, 128, 0.3, 16}, Row{{LinkForm::Blocks, 0, 4}, 1, 30, 0.5, 4},
                                         Row{{LinkForm::Blocks, 0, 8}, 4, 77, 0.2}));

TEST(LinkForm, IsAsLongAsTheTableOfTheSpecSays) {
  // 4096 weights of 16 bits, a quarter of them kept: 5 bits, 4.5 bits and a word, 4.25 bits for each.
  EXPECT_EQ((LinkForm{LinkForm::Bitmask, 0, 0}.words(4096, 1024, 16)), 4096u * 5 / 32);
  EXPECT_EQ((LinkForm{LinkForm::Structured, 1, 4}.words(4096, 1024, 16)), 1 + 4096u * 9 / 64);
  EXPECT_EQ((LinkForm{LinkForm::Blocks, 0, 4}.words(4096, 1024, 16)), 4096u * 17 / 128);
}

} // namespace
