//===- GroupSums.h - sums of column groups, added below their grid ------------===//
//
// Column c of every group sends its sums south to row c below the grid, where a core adds them to those that come from the group before and sends the sum on to the
// next group, or, behind the last one, to the output port. docs/spec/kernels.md shows the code.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_DIALECT_WAFER_TRANSFORMS_GROUPSUMS_H
#define WAFER_LIB_DIALECT_WAFER_TRANSFORMS_GROUPSUMS_H

#include "Progression.h"

#include "wafer/Dialect/Wafer/Wafer.h"

#include "mlir/IR/Builders.h"

namespace wafer::wfr {

class GroupSums {
public:
  /// Colors of a group_sums channel: two for the chain in the grid's columns, by row parity as elsewhere, and one more for the way past the groups, which takes turns
  /// with that of the two which does not come out of the grid.
  static constexpr int64_t numColors = 3;

  GroupSums(GridAttr grid, int64_t height) : grid_(grid), height_(height) {}

  int64_t rowsBelow() const { return height_ - firstRow(); }
  bool hasRoom() const { return grid_.getGroups() > 1 && rowsBelow() >= grid_.getColumns(); }
  /// On which the sums of all groups leave the wafer.
  int64_t leavingColor() const { return eastColor(grid_.getGroups()); }

  /// Entries of the routers below the grid; `columns` and `rows` are those of the machine.
  using AddRoute = llvm::function_ref<void(int64_t color, Progression columns, Progression rows, Direction from, Direction to)>;
  void layRoutes(AddRoute add) const;
  /// The image of the adding cores, and their regions. `colors` are names, in order. Returns how many regions there are.
  unsigned makeCores(mlir::OpBuilder &builder, mlir::Location loc, int64_t load, llvm::ArrayRef<std::string> colors) const;

private:
  int64_t firstRow() const { return grid_.getY0() + grid_.getRows(); }
  int64_t southColor() const { return (grid_.getRows() - 1) % 2; }
  /// On which a group receives from the one before it.
  int64_t eastColor(int64_t group) const { return group % 2 ? 2 : 1 - southColor(); }
  /// Column `column` of `groups`.
  Progression inGroups(int64_t column, Progression groups) const;

  GridAttr grid_;
  int64_t height_;
};

} // namespace wafer::wfr

#endif // WAFER_LIB_DIALECT_WAFER_TRANSFORMS_GROUPSUMS_H
