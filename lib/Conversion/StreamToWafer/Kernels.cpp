//===- Kernels.cpp - send, receive, contract, scale, reduce -----------------===//

#include "Kernels.h"

#include <cmath>
#include <limits>

using namespace mlir;

namespace wafer {

namespace {

// Registers of the streamed kernels. `rows` is what an arriving weight multiplies, `sum` the accumulator it adds to; from `passedRow` on those of a row that passes
// the columns of a contraction, its mask's.
enum Register : uint8_t { rows = 0, sum, otherSum, eastIn, eastOut, westIn, westOut, result, total, otherTotal, ones, one, zero, passedRow };

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// 8-bit elements are not sent; they travel as wider ones.
Type onFabric(Type element) { return element.isInteger(8) ? IntegerType::get(element.getContext(), 16) : element; }

/// Wavelets of a block on the fabric: 16-bit elements travel in pairs.
int64_t waveletsOf(const Block &block) {
  int64_t elements = block.rows * block.tokens;
  return onFabric(block.element).getIntOrFloatBitWidth() == 16 ? ceilDiv(elements, 2) : elements;
}

/// Of products of `element`.
Type sumOf(Type element) { return element.isInteger(8) ? Type(IntegerType::get(element.getContext(), 32)) : Float32Type::get(element.getContext()); }

/// The features of a value that goes from or to a tensor with another last dimension, else 0.
template <typename TransferOp> IntegerAttr featuresUnlessLast(SegmentContext &ctx, TransferOp op, const Block &block) {
  auto tensor = op->template getParentOfType<stream::ProgramOp>().template lookupSymbol<stream::TensorOp>(op.getTensorAttr().getAttr());
  ArrayRef<int64_t> shape = cast<RankedTensorType>(tensor.getType()).getShape();
  return ctx.steps.getI64IntegerAttr(!shape.empty() && shape.back() == block.features ? 0 : block.features);
}

std::string named(StringRef prefix, FlatSymbolRefAttr symbol) { return (prefix + "_" + symbol.getValue()).str(); }

Opcode triggerFor(stream::WireFormat wire, bool isMasked) {
  switch (wire) {
  case stream::WireFormat::Dense32:
    return isMasked ? Opcode::Fmacdm : Opcode::Fmacd;
  case stream::WireFormat::Packed16:
    return isMasked ? Opcode::Fmacpm : Opcode::Fmacp;
  case stream::WireFormat::Packed8:
    return isMasked ? Opcode::Fmacqm : Opcode::Fmacq;
  case stream::WireFormat::Indexed32:
    return isMasked ? Opcode::Fmacxm : Opcode::Fmacx;
  case stream::WireFormat::Indexed16:
    return isMasked ? Opcode::Fmacwm : Opcode::Fmacw;
  }
  llvm_unreachable("every wire format has a trigger");
}

/// Rows of a block, from their owner to all columns, one after another: registers from `first` on, and the tasks that pass them. There is room for two rows, the
/// one that comes and the one before, which is at work.
struct PassedRow {
  PassedRow(uint8_t first, StringRef eastChannel, StringRef westChannel)
      : eastChannel(eastChannel), westChannel(westChannel), comes(first), atWork(first + 1), eastIn(first + 2), eastOut(first + 3), westIn(first + 4), westOut(first + 5), ownRow(first + 6), toEast(first + 7),
        otherToEast(first + 8), toWest(first + 9), otherToWest(first + 10) {}
  const StringRef eastChannel, westChannel;
  const uint8_t comes, atWork, eastIn, eastOut, westIn, westOut, ownRow, toEast, otherToEast, toWest, otherToWest;

  void load(SegmentContext &ctx, Location loc, const Block &block, TaskBuilder &begin) const;
  /// Tasks that bring the next row: of its owner, of the columns east and west of it, and of all when there is no next row.
  struct Tasks {
    SymbolRefAttr own, east, west, last;
  };
  Tasks tasks(SegmentContext &ctx, Location loc, const Block &block) const;
};

void PassedRow::load(SegmentContext &ctx, Location loc, const Block &block, TaskBuilder &begin) const {
  ImageBuilder &image = ctx.image;
  const Type element = onFabric(block.element);
  const int64_t t = ctx.tokens;
  const Extents row = {1, 1, 1, t}, rowStrides = {0, 0, 0, 1};
  wfr::PerCoreAttr notLast = image.perCore(wfr::PerCoreKind::NotLastColumn, 3), notFirst = image.perCore(wfr::PerCoreKind::NotFirstColumn, 3);
  FlatSymbolRefAttr buffers[2];
  for (FlatSymbolRefAttr &buffer : buffers)
    buffer = image.buffer(loc, "row", t * element.getIntOrFloatBitWidth() / 8, {ctx.step, ctx.step});
  auto rowIn = [&](unsigned which, wfr::PerCoreAttr where) { return image.memory("row", element, buffers[which], row, rowStrides, where); };
  begin.load(comes, rowIn(0, {}))
      .load(atWork, rowIn(1, {}))
      .load(eastIn, image.receive("row_east_in", element, eastChannel, row))
      .load(eastOut, image.send("row_east_out", element, eastChannel, row))
      .load(westIn, image.receive("row_west_in", element, westChannel, row))
      .load(westOut, image.send("row_west_out", element, westChannel, row))
      .load(ownRow, ctx.firstRow(block))
      .load(toEast, rowIn(0, notLast))
      .load(otherToEast, rowIn(1, notLast))
      .load(toWest, rowIn(0, notFirst))
      .load(otherToWest, rowIn(1, notFirst));
}

PassedRow::Tasks PassedRow::tasks(SegmentContext &ctx, Location loc, const Block &block) const {
  const ElementType type = elementTypeOf(onFabric(block.element));
  auto next = [&](StringRef name) {
    TaskBuilder builder(ctx.image, loc, name);
    builder.swap(comes, atWork).swap(toEast, otherToEast).swap(toWest, otherToWest);
    return builder;
  };
  auto passing = [&](bool east) {
    return next(east ? "row_east" : "row_west")
        .emit(asAsync(vectorInsn(Opcode::Mov, type, comes, east ? eastIn : westIn)))
        .emit(asAsync(vectorInsn(Opcode::Mov, type, east ? eastOut : westOut, east ? toEast : toWest)))
        .finish();
  };
  Tasks tasks;
  tasks.own = next("row_own")
                  .emit(vectorInsn(Opcode::Mov, type, comes, ownRow))
                  .emit(asAsync(vectorInsn(Opcode::Mov, type, eastOut, toEast)))
                  .emit(asAsync(vectorInsn(Opcode::Mov, type, westOut, toWest)))
                  .advance(ownRow, block.rowBytes())
                  .finish();
  tasks.east = passing(true);
  tasks.west = passing(false);
  tasks.last = next("row_last").finish();
  return tasks;
}

} // namespace

SegmentContext::SegmentContext(ImageBuilder &image, OpBuilder &steps, int64_t tokenBlock, int64_t mostTogether, LiveRange live)
    : image(image), steps(steps), tokens(tokenBlock), mostTogether_(mostTogether), live_(live) {}

FlatSymbolRefAttr SegmentContext::whole(const Block &block) { return firstRows(block, block.rows); }

FlatSymbolRefAttr SegmentContext::firstRows(const Block &block, int64_t rows) {
  return image.memory(block.buffer.getValue(), block.element, block.buffer, {1, 1, rows, tokens}, {0, 0, tokens, 1});
}

FlatSymbolRefAttr SegmentContext::row(StringRef hint, Type type, FlatSymbolRefAttr buffer, int64_t rows, bool inAccumulator) {
  return image.memory(hint, type, buffer, {rows, 1, 1, tokens}, {rows > 1 ? tokens : 0, 0, 0, 1}, {}, inAccumulator);
}

FlatSymbolRefAttr SegmentContext::resultRows(const Block &block, int64_t together) {
  return together == 1 ? firstRow(block) : row(block.buffer.getValue(), block.element, block.buffer, together);
}

FlatSymbolRefAttr SegmentContext::accumulator(unsigned index, Type type, int64_t together) {
  if (!accumulatorBuffers_[index])
    accumulatorBuffers_[index] = image.buffer(image.loc(), "accumulator", mostTogether_ * tokens * 4, live_, /*inAccumulator=*/true);
  return row("sum", type, accumulatorBuffers_[index], together, /*inAccumulator=*/true);
}

FlatSymbolRefAttr SegmentContext::ownerSum(unsigned index, Type type, int64_t together) {
  if (!sumBuffers_[index])
    sumBuffers_[index] = image.buffer(image.loc(), "owner_sum", mostTogether_ * tokens * 4, live_);
  return row("total", type, sumBuffers_[index], together);
}

FlatSymbolRefAttr SegmentContext::ones(Type type) {
  FlatSymbolRefAttr &buffer = onesBuffers_[type.isF32() ? "f32" : type.isF16() ? "f16" : "bf16"];
  if (!buffer)
    buffer = image.buffer(image.loc(), "ones", tokens * type.getIntOrFloatBitWidth() / 8, live_);
  return row("ones", type, buffer);
}

Block SegmentContext::blockOfOnes(Type type) {
  ones(type);
  return {onesBuffers_[type.isF32() ? "f32" : type.isF16() ? "f16" : "bf16"], type, /*rows=*/1, tokens, /*features=*/1, /*featureBlock=*/1};
}

FlatSymbolRefAttr SegmentContext::chainIn(bool east, Type type, int64_t together) {
  return image.receive(east ? "east_in" : "west_in", type, east ? channels::chainEast : channels::chainWest, {together, 1, 1, tokens}, {}, 0);
}

FlatSymbolRefAttr SegmentContext::chainOut(bool east, Type type, int64_t together) {
  return image.send(east ? "east_out" : "west_out", type, east ? channels::chainEast : channels::chainWest, {together, 1, 1, tokens});
}

FlatSymbolRefAttr SegmentContext::dataTask(Location loc, stream::WireFormat wire, Type type, bool skipsZeros, bool isMasked) {
  ElementType element = elementTypeOf(type);
  Opcode opcode = triggerFor(wire, isMasked);
  std::string key = (Twine(mnemonic(opcode)) + "_" + typeName(element) + (skipsZeros ? "_skip0" : "")).str();
  FlatSymbolRefAttr &task = dataTasks_[key];
  if (!task) {
    TaskBuilder builder(image, loc, "weights_" + key, wfr::TaskKind::Data);
    Instruction insn = vectorInsn(opcode, element, sum, rows, isMasked ? passedRow + 1 : 0);
    insn.skip0 = skipsZeros;
    builder.emit(insn).finish();
    task = builder.symbol();
  }
  return task;
}

SymbolRefAttr SegmentContext::passSum(Location loc, bool east, Type type) {
  SymbolRefAttr &task = passSum_[east][!type.isF32()];
  if (!task)
    task = TaskBuilder(image, loc, east ? "pass_east" : "pass_west")
               .emit(asAsync(clearing(vectorInsn(Opcode::Add, elementTypeOf(type), east ? eastOut : westOut, east ? eastIn : westIn, sum))))
               .swap(sum, otherSum)
               .finish();
  return task;
}

// The core keeps the first block that arrives and passes the later ones south; both go on while the next commands are taken.
void emitSend(SegmentContext &ctx, stream::SendOp op, const Block &whole, int64_t first, int64_t rows) {
  Block block = whole;
  block.rows = rows;
  ImageBuilder &image = ctx.image;
  Type i32 = image.builder().getI32Type();
  wfr::PerCoreAttr after = image.perCore(wfr::PerCoreKind::RowsAfter, 2);
  Extents rest = {1, 1, 1, waveletsOf(block)};
  SymbolRefAttr task = TaskBuilder(image, op.getLoc(), named("input", op.getTensorAttr()))
                           .load(0, image.memoryAt(first * block.rowBytes(), block.buffer.getValue(), block.element, block.buffer, {1, 1, rows, block.tokens}, {0, 0, block.tokens, 1}))
                           .load(1, image.receive("input_block", onFabric(block.element), channels::input, {1, 1, block.rows, block.tokens}))
                           .load(2, image.send("input_rest_out", i32, channels::input, rest, after))
                           .load(3, image.receive("input_rest", i32, channels::input, rest, after))
                           .emit(asAsync(vectorInsn(Opcode::Mov, elementTypeOf(onFabric(block.element)), 0, 1)))
                           .emit(asAsync(vectorInsn(Opcode::Mov, ElementType::I32, 2, 3)))
                           .finish();
  wfr::SendOp::create(ctx.steps, op.getLoc(), op.getTensorAttr(), featuresUnlessLast(ctx, op, block), TypeAttr::get(onFabric(block.element)), ctx.steps.getI64IntegerAttr(rows),
                      ctx.steps.getI64IntegerAttr(first), task, FlatSymbolRefAttr::get(op.getContext(), channels::input), ctx.steps.getI64IntegerAttr(0));
}

void emitReceive(SegmentContext &ctx, stream::ReceiveOp op, const Block &block) {
  ImageBuilder &image = ctx.image;
  Type i32 = image.builder().getI32Type();
  wfr::PerCoreAttr before = image.perCore(wfr::PerCoreKind::RowsBefore, 2);
  Extents rest = {1, 1, 1, waveletsOf(block)};
  SymbolRefAttr task = TaskBuilder(image, op.getLoc(), named("output", op.getTensorAttr()))
                           .load(0, ctx.whole(block))
                           .load(1, image.send("output_block", onFabric(block.element), channels::output, {1, 1, block.rows, block.tokens}))
                           .load(2, image.send("output_rest_out", i32, channels::output, rest, before))
                           .load(3, image.receive("output_rest", i32, channels::output, rest, before))
                           .emit(asAsync(vectorInsn(Opcode::Mov, elementTypeOf(onFabric(block.element)), 1, 0)))
                           .emit(asAsync(vectorInsn(Opcode::Mov, ElementType::I32, 2, 3)))
                           .finish();
  wfr::ReceiveOp::create(ctx.steps, op.getLoc(), op.getTensorAttr(), featuresUnlessLast(ctx, op, block), TypeAttr::get(onFabric(block.element)), ctx.steps.getI64IntegerAttr(block.rows), task,
                         FlatSymbolRefAttr::get(op.getContext(), channels::output));
}

void emitContract(SegmentContext &ctx, stream::ContractOp op, const Block &input, const Block *mask, const Block &output) {
  ImageBuilder &image = ctx.image;
  Location loc = op.getLoc();
  stream::WireFormat wire = *op.getWire();
  // Packed weights of an odd column end in padding, which the row count of this column's descriptor tells from a weight.
  wfr::PerCoreAttr valid = image.perCore(wfr::PerCoreKind::ValidFeatures, 0, input.features);
  FlatSymbolRefAttr inputRows =
      image.memory(input.buffer.getValue().str() + "_rows", input.element, input.buffer, {input.rows, 1, 1, ctx.tokens}, {ctx.tokens, 0, 0, 1}, valid);

  TaskBuilder begin(image, loc, named("begin", op.getWeightAttr()));
  Type sumType = sumOf(input.element);
  const int64_t together = op.getRowsTogether().value_or(1);
  begin.load(rows, inputRows).load(sum, ctx.accumulator(0, sumType, together)).load(otherSum, ctx.accumulator(1, sumType, together));
  begin.load(eastIn, ctx.chainIn(true, sumType, together)).load(eastOut, ctx.chainOut(true, sumType, together));
  begin.load(westIn, ctx.chainIn(false, sumType, together)).load(westOut, ctx.chainOut(false, sumType, together));
  begin.load(result, ctx.resultRows(output, together)).load(total, ctx.ownerSum(0, sumType, together)).load(otherTotal, ctx.ownerSum(1, sumType, together));
  if (op.getBias())
    begin.load(ones, ctx.ones(input.element)).load(one, image.constant("one", 1.0f)).emit(vectorInsn(Opcode::Mov, ElementType::F32, ones, one));
  // Not on the chains of the sums, behind which it would wait for all columns of the row before.
  const PassedRow maskRow(passedRow, channels::maskEast, channels::maskWest);
  if (mask)
    maskRow.load(ctx, loc, *mask, begin);
  SymbolRefAttr beginTask = begin.bind(ctx.dataTask(loc, wire, input.element, op.getInputZeros().has_value(), mask != nullptr)).finish();
  const PassedRow::Tasks maskTasks = mask ? maskRow.tasks(ctx, loc, *mask) : PassedRow::Tasks();

  SymbolRefAttr biasTask;
  if (op.getBias())
    biasTask = TaskBuilder(image, loc, named("bias", op.getWeightAttr())).swap(rows, ones).finish();

  // (from the west + own) + from the east; the second sum converts to the result's type.
  TaskBuilder own(image, loc, named("own", op.getWeightAttr()));
  own.emit(asAsync(clearing(vectorInsn(Opcode::Add, elementTypeOf(sumType), total, eastIn, sum))))
      .emit(asAsync(vectorInsn(Opcode::Add, elementTypeOf(sumType), result, total, westIn)))
      .advance(result, together * output.rowBytes())
      .swap(sum, otherSum)
      .swap(total, otherTotal);
  if (op.getBias())
    own.swap(rows, ones);
  SymbolRefAttr ownTask = own.finish();

  wfr::CommandOp::create(ctx.steps, loc, beginTask);
  OpBuilder &b = ctx.steps;
  auto i64 = [&](int64_t n) { return b.getI64IntegerAttr(n); };
  wfr::ContractOp::create(b, loc, op.getWeightAttr(), op.getBiasAttr(), TypeAttr::get(input.element), stream::WireFormatAttr::get(b.getContext(), wire),
                          op.getLinkAttr(), i64(output.features), i64(input.features), op.getRowStrideAttr(), op.getColumnStrideAttr(), op.getOffsetAttr(), op.getBatchSizesAttr(),
                          op.getBatchStridesAttr(), i64(input.rows),
                          i64(output.rows), ctx.passSum(loc, true, sumType), ctx.passSum(loc, false, sumType), ownTask, biasTask, op.getInputZerosAttr(), op.getGuardAttr(),
                          op.getOutputZerosAttr(), maskTasks.east, maskTasks.west, maskTasks.own, maskTasks.last, i64(together));
}

// y[n] = gamma[n] * x[n] + beta * 1: `rows` is a pointer to row n, exchanged with the ones for beta.
void emitScale(SegmentContext &ctx, stream::ScaleOp op, const Block &input, const Block &output) {
  ImageBuilder &image = ctx.image;
  Location loc = op.getLoc();
  stream::WireFormat wire = *op.getWire();
  FlatSymbolRefAttr name = op.getGammaAttr() ? op.getGammaAttr() : op.getBetaAttr();

  TaskBuilder begin(image, loc, named("begin", name));
  begin.load(rows, ctx.firstRow(input)).load(result, ctx.firstRow(output));
  Type f32 = image.builder().getF32Type();
  begin.load(sum, ctx.accumulator(0, f32)).load(otherSum, ctx.accumulator(1, f32));
  begin.load(zero, image.constant("zero", 0.0f));
  if (op.getBeta())
    begin.load(ones, ctx.ones(input.element)).load(one, image.constant("one", 1.0f)).emit(vectorInsn(Opcode::Mov, ElementType::F32, ones, one));
  SymbolRefAttr beginTask = begin.bind(ctx.dataTask(loc, wire, input.element)).finish();

  SymbolRefAttr biasTask;
  if (op.getBeta())
    biasTask = TaskBuilder(image, loc, named("beta", name)).swap(rows, ones).finish();

  TaskBuilder own(image, loc, named("own", name));
  own.emit(asAsync(clearing(vectorInsn(Opcode::Add, ElementType::F32, result, zero, sum)))).advance(result, output.rowBytes()).swap(sum, otherSum);
  if (op.getBeta())
    own.swap(rows, ones);
  SymbolRefAttr ownTask = own.advance(rows, input.rowBytes()).finish();

  wfr::CommandOp::create(ctx.steps, loc, beginTask);
  OpBuilder &b = ctx.steps;
  wfr::ScaleOp::create(b, loc, op.getGammaAttr(), op.getBetaAttr(), TypeAttr::get(input.element), stream::WireFormatAttr::get(b.getContext(), wire),
                       b.getI64IntegerAttr(output.features), b.getI64IntegerAttr(output.rows), ownTask, biasTask);
}

// A row of the one operand passes all columns, from its owner to both sides; arriving indices tell which rows of the other one it meets. Without the other one, a row of ones meets all of the one.
void emitSample(SegmentContext &ctx, stream::SampleOp op, const Block &rows, const Block *input) {
  enum SampleRegister : uint8_t { inputRows = 0, sumIn, sumOut, ownOnes, theOne, passed };
  const PassedRow row(passed, channels::chainEast, channels::chainWest);
  ImageBuilder &image = ctx.image;
  Location loc = op.getLoc();
  Type element = rows.element, f32 = image.builder().getF32Type();
  const ElementType type = elementTypeOf(element);
  const int64_t t = ctx.tokens;

  const Block passing = input ? rows : ctx.blockOfOnes(element);
  const Block &staying = input ? *input : rows;
  wfr::PerCoreAttr valid = image.perCore(wfr::PerCoreKind::ValidFeatures, 0, staying.features);
  FlatSymbolRefAttr dots;
  {
    TaskBuilder builder(image, loc, ("dots_" + Twine(typeName(type))).str(), wfr::TaskKind::Data);
    builder.emit(vectorInsn(Opcode::Dotw, type, sumOut, inputRows, row.atWork, sumIn)).finish();
    dots = builder.symbol();
  }
  TaskBuilder begin(image, loc, named("begin", op.getTensorAttr()));
  begin.load(inputRows, image.memory(staying.buffer.getValue().str() + "_rows", element, staying.buffer, {staying.rows, 1, 1, t}, {t, 0, 0, 1}, valid));
  if (!input)
    begin.load(ownOnes, ctx.ones(element)).load(theOne, image.constant("one", 1.0f)).emit(vectorInsn(Opcode::Mov, ElementType::F32, ownOnes, theOne));
  const StringRef way = op.getGroupsAdded() ? channels::groupSums : channels::chainSouth;
  begin.load(sumIn, image.receive("sum_in", f32, way, {1, 1, 1, 1}, {}, 0)).load(sumOut, image.send("sum_out", f32, way, {1, 1, 1, 1}));
  row.load(ctx, loc, passing, begin);
  SymbolRefAttr beginTask = begin.bind(dots).finish();
  const PassedRow::Tasks tasks = row.tasks(ctx, loc, passing);

  wfr::CommandOp::create(ctx.steps, loc, beginTask);
  OpBuilder &b = ctx.steps;
  auto i64 = [&](int64_t n) { return b.getI64IntegerAttr(n); };
  wfr::SampleOp::create(b, loc, op.getTensorAttr(), op.getPatternAttr(), TypeAttr::get(element), i64(passing.features), i64(staying.features), input ? op.getRowStrideAttr() : op.getColumnStrideAttr(),
                        input ? op.getColumnStrideAttr() : op.getRowStrideAttr(), op.getOffsetAttr(), op.getBatchSizesAttr(), op.getBatchStridesAttr(), i64(staying.rows), i64(passing.rows), tasks.east, tasks.west,
                        tasks.own, tasks.last, FlatSymbolRefAttr::get(op.getContext(), way), op.getGroupsAddedAttr());
}

// Each core combines its rows; a chain combines the columns from the west; the last column sends the result back to all.
void emitReduce(SegmentContext &ctx, stream::ReduceOp op, const Block &input, const Block &output) {
  ImageBuilder &image = ctx.image;
  Opcode opcode = op.getCombiner() == stream::Combiner::Add ? Opcode::Add : op.getCombiner() == stream::Combiner::Max ? Opcode::Max : Opcode::Min;
  float infinity = std::numeric_limits<float>::infinity();
  float neutral = op.getCombiner() == stream::Combiner::Add ? 0.0f : op.getCombiner() == stream::Combiner::Max ? -infinity : infinity;
  uint32_t neutralBits = op.getCombiner() == stream::Combiner::Add ? 0 : op.getCombiner() == stream::Combiner::Max ? 0xff800000 : 0x7f800000;
  ElementType type = elementTypeOf(output.element);
  int64_t t = ctx.tokens;
  Type f32 = image.builder().getF32Type();

  FlatSymbolRefAttr partial = image.buffer(op.getLoc(), "partial", output.rowBytes(), {ctx.step, ctx.step});
  wfr::PerCoreAttr valid = image.perCore(wfr::PerCoreKind::ValidFeatures, 2, input.features);
  wfr::PerCoreAttr last = image.perCore(wfr::PerCoreKind::LastColumn, 3), notLast = image.perCore(wfr::PerCoreKind::NotLastColumn, 3);
  wfr::PerCoreAttr sender = image.perCore(wfr::PerCoreKind::LastOfSeveral, 3);
  Extents row = {1, 1, 1, t}, rowStrides = {0, 0, 0, 1}, all = {1, 1, input.rows, t};
  auto rowOf = [&](StringRef hint, FlatSymbolRefAttr buffer, wfr::PerCoreAttr where) { return image.memory(hint, output.element, buffer, row, rowStrides, where); };
  auto chain = [&](wfr::PerCoreAttr where) { return image.receive("reduce_in", f32, channels::chainEast, row, where, neutralBits); };

  // The columns differ in extents only: what a column does not do has no elements there.
  SymbolRefAttr task = TaskBuilder(image, op.getLoc(), "reduce")
                           .load(0, rowOf("partial", partial, {}))
                           .load(1, image.constant("neutral", neutral))
                           .emit(vectorInsn(Opcode::Mov, type, 0, 1))
                           .load(2, image.memory("partial_rows", output.element, partial, all, rowStrides, valid))
                           .load(3, image.memory("reduced_rows", input.element, input.buffer, all, {0, 0, t, 1}, valid))
                           .emit(vectorInsn(opcode, type, 2, 2, 3))
                           .load(4, image.send("reduce_out", f32, channels::chainEast, row, notLast))
                           .load(5, chain(notLast))
                           .load(6, rowOf("partial_sent", partial, notLast))
                           .emit(vectorInsn(opcode, type, 4, 5, 6))
                           .load(7, rowOf("reduced_last", output.buffer, last))
                           .load(8, chain(last))
                           .load(9, rowOf("partial_last", partial, last))
                           .emit(vectorInsn(opcode, type, 7, 8, 9))
                           .load(10, image.send("cast_out", f32, channels::castWest, row, sender))
                           .load(13, rowOf("reduced_sent", output.buffer, sender))
                           .emit(vectorInsn(Opcode::Mov, type, 10, 13))
                           .load(11, rowOf("reduced_others", output.buffer, notLast))
                           .load(12, image.receive("cast_in", f32, channels::castWest, row, notLast))
                           .emit(vectorInsn(Opcode::Mov, type, 11, 12))
                           .finish();
  wfr::CommandOp::create(ctx.steps, op.getLoc(), task);
}

} // namespace wafer
