//===- GroupSums.cpp - sums of column groups, added below their grid ----------===//

#include "GroupSums.h"

#include "wafer/Dialect/PE/PE.h"

using namespace mlir;

namespace wafer::wfr {

Progression GroupSums::inGroups(int64_t column, Progression groups) const {
  return {grid_.getX0() + column + groups.first * grid_.getColumns(), groups.count, groups.step * grid_.getColumns()};
}

void GroupSums::layRoutes(AddRoute add) const {
  constexpr Direction N = Direction::N, E = Direction::E, S = Direction::S, W = Direction::W, ramp = Direction::Ramp;
  const int64_t columns = grid_.getColumns(), groups = grid_.getGroups(), below = firstRow();
  for (int64_t c = 0; c < columns; ++c) {
    // Rows of this column where sums of the columns west of it pass, the row of its own core, and rows for the columns east of it.
    const Progression before = {below, c, 1}, own = {below + c, 1, 1}, behind = {below + c + 1, columns - 1 - c, 1};
    add(southColor(), inGroups(c, {0, groups, 1}), before, N, S);
    add(southColor(), inGroups(c, {0, groups, 1}), own, N, ramp);
    for (int64_t parity : {0, 1}) {
      const Progression sending = inGroups(c, parityClass(0, groups - 1, parity)), receiving = inGroups(c, parityClass(1, groups, parity));
      add(eastColor(parity + 1), sending, before, W, E);
      add(eastColor(parity + 1), sending, own, ramp, E);
      add(eastColor(parity), receiving, own, W, ramp);
      add(eastColor(parity), receiving, behind, W, E);
    }
    const Progression last = inGroups(c, {groups - 1, 1, 1});
    add(leavingColor(), last, own, ramp, S);
    add(leavingColor(), last, {below + c + 1, height_ - below - c - 1, 1}, N, S);
  }
}

unsigned GroupSums::makeCores(OpBuilder &builder, Location loc, int64_t load, ArrayRef<std::string> colors) const {
  MLIRContext *context = builder.getContext();
  auto symbol = [&](StringRef name) { return FlatSymbolRefAttr::get(context, name); };
  auto color = [&](int64_t which) { return symbol(colors[which]); };
  const std::string name = load == 0 ? "wafer.group_sums_core" : ("wafer.group_sums_core_" + Twine(load)).str();

  auto image = ImageOp::create(builder, loc, name, colors[southColor()], load);
  image.setStartAttr(symbol("begin_group_sums"));
  OpBuilder inside = OpBuilder::atBlockBegin(&image.getBody().emplaceBlock());
  // As in a group of odd number; others override.
  for (auto [end, kind, which] : {std::tuple("sum_in", DescriptorKind::Receive, eastColor(1)), std::tuple("sum_out", DescriptorKind::Send, eastColor(0))})
    DescriptorOp::create(inside, loc, inside.getStringAttr(end), DescriptorKindAttr::get(context, kind), TypeAttr::get(inside.getF32Type()), color(which), IntegerAttr(),
                         inside.getDenseI64ArrayAttr({1, 1, 1, 1}), DenseI64ArrayAttr(), IntegerAttr(), PerCoreAttr());
  auto task = [&](StringRef taskName, TaskKind kind, ArrayRef<std::pair<Instruction, StringRef>> code) {
    OpBuilder body = OpBuilder::atBlockBegin(&TaskOp::create(inside, loc, taskName, kind, /*number=*/0).getBody().emplaceBlock());
    for (const auto &[insn, operand] : code)
      pe::createInstruction(body, loc, insn, operand.empty() ? FlatSymbolRefAttr() : symbol(operand));
  };
  enum : uint8_t { sumIn, sumOut };
  Instruction add, load0, load1, bind, end;
  add.opcode = Opcode::Addw, add.type = ElementType::F32, add.dst = sumOut, add.src0 = sumIn;
  load0.opcode = load1.opcode = Opcode::Ldd, load0.dst = sumIn, load1.dst = sumOut;
  bind.opcode = Opcode::Bind;
  end.opcode = Opcode::End;
  task("add_group", TaskKind::Data, {{add, ""}, {end, ""}});
  task("begin_group_sums", TaskKind::Control, {{load0, "sum_in"}, {load1, "sum_out"}, {bind, "add_group"}, {end, ""}});

  unsigned regions = 0;
  auto region = [&](int64_t column, Progression groups, const Twine &which, bool isFirst, bool isEven) {
    const Progression columns = inGroups(column, groups);
    if (columns.count == 0)
      return;
    auto rect = RectAttr::get(context, columns.first, firstRow() + column, columns.count, 1, columns.step, 1);
    auto op = RegionOp::create(builder, loc, builder.getStringAttr(name + "_column_" + Twine(column) + which), rect, symbol(name));
    OpBuilder overrides = OpBuilder::atBlockBegin(&op.getBody().emplaceBlock());
    auto override = [&](StringRef descriptor, StringRef field, FlatSymbolRefAttr value, IntegerAttr base) {
      OverrideOp::create(overrides, loc, symbol(descriptor), overrides.getStringAttr(field), value, base, IntegerAttr(), IntegerAttr());
    };
    if (isFirst)
      override("sum_in", "const", {}, overrides.getI64IntegerAttr(0));
    else if (isEven)
      override("sum_in", "color", color(eastColor(0)), {});
    if (isEven)
      override("sum_out", "color", color(eastColor(1)), {});
    ++regions;
  };
  for (int64_t c = 0; c < grid_.getColumns(); ++c) {
    region(c, {0, 1, 1}, "_first_group", true, true);
    region(c, parityClass(1, grid_.getGroups(), 1), "_odd_groups", false, false);
    region(c, parityClass(2, grid_.getGroups(), 0), "_even_groups", false, true);
  }
  return regions;
}

} // namespace wafer::wfr
