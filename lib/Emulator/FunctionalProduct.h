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

#include <atomic>

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
  FunctionalProduct() = default;
  FunctionalProduct(const FunctionalProduct &) = delete;
  FunctionalProduct &operator=(const FunctionalProduct &) = delete;
  ~FunctionalProduct() {
    if (crew_)
      crew_->wait();
  }

  /// Multiplies rows, now or, with a crew of many, while the caller does other things. What came before is complete. Rows and columns are the product's until then;
  /// in return `rows` becomes some that are done with, for their room.
  void begin(std::vector<ProductColumn> columns, ProductRows &rows, Crew *crew);
  /// Helps until all is done. Throws what went wrong.
  void complete();

private:
  /// Rows whose sums are near while their columns are added, in the order of owners.
  struct Chunk {
    size_t begin, end;
    size_t size() const { return end - begin; }
  };

  void orderRows();
  Chunk chunkAt(size_t begin) const;
  void arrange(const Chunk &chunk, size_t placed);
  void arrange(const Chunk &chunk, size_t column, size_t &placed);
  void work();
  void multiplyTile(size_t tile, float *totals, float *wests);
  void addColumn(size_t column, size_t tile, size_t begin, size_t end, bool withBias, float *sums) const;
  void finishRow(const ProductRow &row, size_t firstToken, size_t count, float *total, float *west) const;
  /// The first row of a chunk whose owner is no column before this one.
  size_t firstFrom(size_t column, const Chunk &chunk) const { return std::clamp(ownersFrom_[column], chunk.begin, chunk.end); }
  /// The first of those whose owner this column is that has a bias.
  size_t firstWithBias(size_t column, const Chunk &chunk) const { return std::clamp(biasesFrom_[column], firstFrom(column, chunk), firstFrom(column + 1, chunk)); }

  Crew *crew_ = nullptr; ///< that is at it
  std::vector<ProductColumn> columns_;
  ProductRows rows_;
  std::vector<uint32_t> order_;      ///< rows in order of their owners, those with a bias last
  std::vector<size_t> ownersFrom_;   ///< by column: place in `order_` of the first row that it or one behind it owns
  std::vector<size_t> biasesFrom_;   ///< by column: place of the first row that it owns and that has a bias
  std::vector<PlacedWeight> placed_; ///< in the order of the runs whose they are
  std::vector<RowRun> runs_;         ///< by column, then in the order in which it multiplies them
  size_t tiles_ = 0, tokens_ = 0;
  std::atomic<size_t> nextTile_{0};
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALPRODUCT_H
