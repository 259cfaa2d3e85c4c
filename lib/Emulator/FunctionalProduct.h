//===- FunctionalProduct.h - a matrix product in the order of the wafer -------===//
//
// Rows of a weight against the tokens of all cores: each column's products in the order of arrival, the columns from both edges to the row's owner. Threads share
// the tokens, and may be at it while the next rows are read.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALPRODUCT_H
#define WAFER_LIB_EMULATOR_FUNCTIONALPRODUCT_H

#include "FunctionalCrew.h"
#include "FunctionalProductRows.h"

namespace wafer {

/// A column of cores: what its weights multiply, and where its cores keep what they own.
struct ProductColumn {
  const std::vector<FunctionalCore *> *cores = nullptr;
  size_t each = 0; ///< tokens of a core
  const FunctionalPanels *panels = nullptr;
  PackedRows *rows = nullptr, *ones = nullptr; ///< whose tiles are packed when they are multiplied; `ones`: what a bias multiplies, if there may be one
  bool skipsZeros = false;
  Descriptor result;    ///< of any row
  Descriptor totals[2]; ///< sums from the west and their own, by turns
};

class FunctionalProduct {
public:
  FunctionalProduct();
  FunctionalProduct(const FunctionalProduct &) = delete;
  FunctionalProduct &operator=(const FunctionalProduct &) = delete;
  ~FunctionalProduct();

  /// Multiplies rows, now or, with a crew of many, while the caller does other things. What came before is complete. Rows and columns are the product's until then;
  /// in return `rows` becomes some that are done with, for their room.
  void begin(std::vector<ProductColumn> columns, ProductRows &rows, Crew *crew);
  /// Helps until all is done. Throws what went wrong.
  void complete();

  // Of the rows that were begun with last, for a column:
  /// Weights without a bias, and wavelets of two weights that they would fill.
  uint64_t weightsOf(size_t column) const { return order_->weights[column]; }
  uint64_t pairsOf(size_t column) const { return order_->pairs[column]; }
  /// Rows that it owns and that have a bias.
  uint64_t biasesOf(size_t column) const { return order_->ownersFrom[column + 1] - order_->biasesFrom[column]; }

private:
  /// Rows whose sums are near while their columns are added, in the order of owners.
  struct Chunk {
    size_t begin, end;
    size_t size() const { return end - begin; }
  };

  /// In which order rows are multiplied, which depends on their owners and numbers of weights; and their weights in that order.
  struct Order final : SortedRows::Arrangement {
    std::vector<size_t> kept;         ///< which of the rows that stay from run to run they are, in the order in which they came
    std::vector<uint32_t> rows;       ///< in order of their owners, those with a bias last
    std::vector<size_t> ownersFrom;   ///< by column: place in `rows` of the first row that it or one behind it owns
    std::vector<size_t> biasesFrom;   ///< by column: place of the first row that it owns and that has a bias
    std::vector<uint64_t> weights, pairs; ///< by column: what counts depend on
    std::vector<PlacedWeight> placed; ///< in the order of the runs whose they are
    std::vector<RowRun> runs;         ///< by column, then in the order in which it multiplies them

    size_t bytes() const override { return kept.size() * sizeof(size_t) + rows.size() * sizeof(uint32_t) + placed.size() * sizeof(PlacedWeight) + runs.size() * sizeof(RowRun); }
    /// The first row of a chunk whose owner is no column before this one.
    size_t firstFrom(size_t column, const Chunk &chunk) const { return std::clamp(ownersFrom[column], chunk.begin, chunk.end); }
    /// The first of those whose owner this column is that has a bias.
    size_t firstWithBias(size_t column, const Chunk &chunk) const { return std::clamp(biasesFrom[column], firstFrom(column, chunk), firstFrom(column + 1, chunk)); }
  };

  void findOrder();
  void makeOrder(Order &order) const;
  void orderRows(Order &order) const;
  Chunk chunkAt(size_t begin) const;
  void arrange(Order &order, const Chunk &chunk, size_t placed) const;
  void arrange(Order &order, const Chunk &chunk, size_t column, size_t &placed) const;
  struct Sums;
  void multiplyTile(size_t tile, size_t member);
  void addColumn(size_t column, size_t tile, const Chunk &chunk, size_t begin, size_t end, bool withBias, float *sums) const;
  void finishRows(const Chunk &chunk, size_t tile, Sums &sums) const;
  void keepTotal(const ProductRow &row, size_t tile, float *total) const;
  /// Calls `use` with each core that has tokens of a tile: the core, the first of its tokens in the core and in the tile, and how many.
  template <typename Use> void forEachCore(const ProductColumn &column, size_t tile, Use use) const;

  Crew *crew_ = nullptr; ///< that is at it
  std::vector<ProductColumn> columns_;
  ProductRows rows_;
  std::shared_ptr<const Order> order_;
  std::shared_ptr<Order> spare_; ///< whose room is used for rows that do not stay
  std::vector<float> biases_;    ///< in the order of `order_->rows`
  size_t tiles_ = 0, tokens_ = 0;
  std::vector<std::unique_ptr<Sums>> sums_; ///< by member of the crew
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALPRODUCT_H
