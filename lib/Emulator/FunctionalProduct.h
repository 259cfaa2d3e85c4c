//===- FunctionalProduct.h - a matrix product in the order of the wafer -------===//
//
// Rows of a weight against the tokens of all cores: each column's products in the order of arrival, the columns from both edges to the row's owner. Threads share
// the tokens, and may be at it while the next rows are read.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALPRODUCT_H
#define WAFER_LIB_EMULATOR_FUNCTIONALPRODUCT_H

#include "FunctionalPanels.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace wafer {

/// A column of cores: what its weights multiply, and where its cores keep what they own.
struct ProductColumn {
  const std::vector<FunctionalCore *> *cores = nullptr;
  size_t each = 0; ///< tokens of a core
  const PackedRows *rows = nullptr, *ones = nullptr; ///< `ones`: what a bias multiplies, if there may be one
  bool skipsZeros = false;
  Descriptor result;    ///< of any row
  Descriptor totals[2]; ///< sums from the west and their own, by turns
};

struct ProductRow {
  size_t owner = 0;        ///< column
  uint32_t resultBase = 0; ///< byte address in the owner's cores
  uint64_t number = 0;     ///< of those that the owner has
  bool keepsTotal = false; ///< in the place that is its turn
  bool hasBias = false;
  std::vector<Weights> weights; ///< by column
  Weights bias;                 ///< one
};

class FunctionalProduct {
public:
  explicit FunctionalProduct(unsigned threads) : threads_(threads) {}
  ~FunctionalProduct() { join(); }

  /// Multiplies the first `count` rows, now or while the caller does other things. What came before is complete. Rows and columns are the product's until then;
  /// in return `rows` becomes some that are done with, for their room.
  void begin(std::vector<ProductColumn> columns, std::vector<ProductRow> &rows, size_t count);
  /// Helps until all is done. Throws what went wrong.
  void complete();

private:
  void work();
  void guardedWork();
  void multiplyTile(size_t tile, float *sums, float *total, float *result);
  void finishRow(const ProductRow &row, size_t firstToken, size_t count, const float *total, const float *result);
  void join();
  size_t rowsAtOnce() const;
  bool isIndexed(const ProductRow &row) const;

  const unsigned threads_;
  std::vector<ProductColumn> columns_;
  std::vector<ProductRow> rows_;
  size_t count_ = 0, tiles_ = 0, tokens_ = 0;
  std::atomic<size_t> nextTile_{0};
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::exception_ptr error_;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALPRODUCT_H
