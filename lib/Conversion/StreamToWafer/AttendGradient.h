//===- AttendGradient.h - the gradient of attention --------------------------===//
//
// Behind the forward pass, blocks of keys and values go around once more, and with them the sums of their gradients, to which each core adds what its queries say.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_CONVERSION_STREAMTOWAFER_ATTENDGRADIENT_H
#define WAFER_LIB_CONVERSION_STREAMTOWAFER_ATTENDGRADIENT_H

#include "AttendKernel.h"

namespace wafer {

class AttentionGradient : public Attention {
public:
  using Attention::Attention;
  /// After emitForward: from the gradient of what was attended to those of queries, keys and values.
  void emitGradient(const Block &gradient, const Block &result);

private:
  mlir::SymbolRefAttr prepare(const Block &gradient);
  mlir::SymbolRefAttr begin(const Block &gradient);
  mlir::SymbolRefAttr step();
  mlir::SymbolRefAttr end(const Block &result);
  void takeHead(TaskBuilder &task, Pointers &at);
  /// Which of two buffers is that of the block at work, after as many steps as there are rows.
  int atHome() const { return passes() ? static_cast<int>(rows_ % 2) : 0; }

  // Of the first block: sums for its values and for its keys, and the place for the next ones. By query, the sum of gradient * result.
  mlir::FlatSymbolRefAttr sums_[3], means_;
};

} // namespace wafer

#endif // WAFER_LIB_CONVERSION_STREAMTOWAFER_ATTENDGRADIENT_H
