//===- LayoutTest.cpp - blocks of cores that are copied together --------------===//

#include "Layout.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>

using namespace wafer;

namespace {

/// A tensor's 16-bit elements, all different, on a grid of 2 groups of `columns` columns and 3 rows.
struct Tokens {
  Tokens(uint32_t columns, uint32_t tokenBlock, uint32_t featureBlock, uint64_t tokens) : shape{tokens, uint64_t(columns) * featureBlock} {
    grid.columns = static_cast<uint16_t>(columns);
    grid.rows = 3;
    grid.groups = 2;
    grid.token_block = tokenBlock;
    grid.tokens = static_cast<uint32_t>(tokens);
    grid.batches = 1;
    grid.batches_at_once = 1;
    grid.micro_batches = 1;
    grid.bands = 1;
    step.feature_block = featureBlock;
    elements.resize(tokens * shape[1]);
    std::iota(elements.begin(), elements.end(), uint16_t(1));
  }
  BlockLayout layout(uint32_t group, uint32_t column, uint32_t row) const { return {grid, step, shape, 0, group, column, row}; }

  wexe::GridT grid;
  wexe::StepT step;
  Shape shape;
  std::vector<uint16_t> elements;
};

const uint8_t *bytes(const std::vector<uint16_t> &elements) { return reinterpret_cast<const uint8_t *>(elements.data()); }
uint8_t *bytes(std::vector<uint16_t> &elements) { return reinterpret_cast<uint8_t *>(elements.data()); }

// Columns and tokens that are a whole number of the host's vectors, and some more of them.
TEST(LayoutTest, BlocksCopiedTogetherAreThoseCopiedOneByOne) {
  for (auto [columns, tokenBlock, featureBlock] : {std::array<uint32_t, 3>{8, 8, 3}, {16, 16, 2}, {11, 13, 5}, {8, 9, 1}, {2, 8, 32}, {3, 9, 5}}) {
    const Tokens from(columns, tokenBlock, featureBlock, 6 * tokenBlock);
    std::vector<uint16_t> back(from.elements.size());
    for (uint32_t group = 0; group < 2; ++group)
      for (uint32_t row = 0; row < 3; ++row) {
        const BlockLayout first = from.layout(group, 0, row);
        ASSERT_TRUE(first.together());
        std::vector<uint16_t> together(columns * first.size()), apart(first.size());
        first.pickTogether(from.elements.data() + *first.together(), first.tokenPitch(), together.data());
        for (uint32_t column = 0; column < columns; ++column) {
          from.layout(group, column, row).pick(bytes(from.elements), bytes(apart), 2);
          EXPECT_TRUE(std::equal(apart.begin(), apart.end(), together.begin() + static_cast<long>(column * first.size()))) << columns << " columns, " << column;
        }
        first.placeTogether(together.data(), back.data() + *first.together(), first.tokenPitch());
      }
    EXPECT_EQ(back, from.elements) << columns << " columns";
  }
}

TEST(LayoutTest, BlocksWithPlacesThatHaveNoElementAreCopiedOneByOne) {
  const Tokens some(8, 8, 3, 6 * 8 - 1);
  EXPECT_TRUE(some.layout(0, 0, 0).together());
  EXPECT_FALSE(some.layout(1, 0, 2).together()) << "a token is missing";
  Tokens fewer(8, 8, 3, 6 * 8);
  fewer.shape[1] = 23;
  EXPECT_FALSE(fewer.layout(0, 0, 0).together()) << "a feature is missing";
  EXPECT_FALSE(Tokens(2, 8, 3, 6 * 8).layout(0, 0, 0).together()) << "features that are no gain";
}

} // namespace
