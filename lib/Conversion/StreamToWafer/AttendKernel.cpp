//===- AttendKernel.cpp - the forward pass of attention ---------------------===//

#include "AttendGradient.h"

#include <limits>

using namespace mlir;

namespace wafer {

namespace {

/// Registers, in the order in which the first task loads them. Names end in what the elements of a descriptor are indexed by: Q a query, K a key, D an element of the head, R
/// all of a block; in small letters, what they do not depend on.
enum Register : uint8_t {
  ringIn, ringOut, placesIn, placesOut, pairIn, pairOut, // the fabric
  nextR, blockR, nextPlacesR, placesR,            // of blocks: the one that comes and the one at work
  nextKeysKDq, keysKDq, nextValuesDKq, valuesDKq, // the same as factors
  nextPlacesKq, placesKq,                         // and places of its tokens
  queriesKDQ, sumKdQ, sumKQ, sumDkQ, sumDQ,       // sums in the cache
  someScoresKQ, partsKQ, scoresKQ, weightsKQ, weightsDKQ, // of a block: scores, as this core makes them and as a whole, and their exponentials
  mostQ, newMostQ, newMostkQ, factorQ, factorDQ, totalQ, totalkQ,
  outDQ, ownPlacesKQ, scale, zero, lowest,
  first, second, third, // for a moment
};

} // namespace

Attention::Attention(SegmentContext &ctx, stream::AttendOp op, const Block &qkv, const Block *rotation, const Machine &machine)
    : ctx_(ctx), image_(ctx.image), op_(op), loc_(op.getLoc()), qkv_(qkv), rotation_(rotation), element_(qkv.element), f32_(Float32Type::get(op.getContext())), tokens_(ctx.tokens) {
  const auto grid = *op->getParentOfType<stream::SegmentOp>().getGrid();
  rows_ = grid.getRows() / grid.getBands();
  cores_ = grid.getColumns() * grid.getRows() * grid.getGroups();
  heads_ = op.numParts() / grid.getColumns();
  size_ = qkv.features / 3 / op.numParts();
  chunks_ = attentionChunks(tokens_, size_, op.getCausal(), machine.accumulatorBytes);
}

FlatSymbolRefAttr Attention::buffer(StringRef hint, int64_t elements, Type type) { return image_.buffer(loc_, hint, elements * bytes(type), {ctx_.step, ctx_.step}); }

FlatSymbolRefAttr Attention::sums(StringRef hint, Extents extents, Extents strides) { return image_.memory(hint, f32_, cache_, extents, strides, {}, /*inAccumulator=*/true); }

void Attention::fill(TaskBuilder &task, uint8_t with, StringRef hint, FlatSymbolRefAttr of, Type type, int64_t elements, uint8_t from) {
  task.load(with, memory(hint, of, type, {1, 1, 1, elements}, contiguous)).emit(vectorInsn(Opcode::Mov, ElementType::F32, with, from));
}

Attention::Halves Attention::halves(StringRef hint, FlatSymbolRefAttr of, Type type, int64_t offset) {
  const int64_t half = part() / 2;
  auto some = [&](StringRef name, int64_t at, int64_t halves) { return image_.memoryAt(offset + at * bytes(type), (hint + name).str(), type, of, {1, 1, halves, half}, {0, 0, half, 1}); };
  return {some("", 0, 2), some("_first", 0, 1), some("_second", half, 1)};
}

enum : uint8_t { source = 45, table, sum };
static_assert(third < source && sum < numDescriptorRegisters);

// Features lie by element of a head, so that halves of all heads are halves of the block.
void Attention::turn(TaskBuilder &task, const Halves &from, const Halves &between, const Halves &to, bool isBack) {
  if (rotation_->features < 2 * qkv_.features / 3)
    return turnByHalf(task, from, between, to, isBack);
  const Halves cosines = halves("cosines", rotation_->buffer, rotation_->element, 0), sines = halves("sines", rotation_->buffer, rotation_->element, part() * bytes(rotation_->element));
  // x[d] * c[d] + x[d'] * s[d]; back x[d] * c[d] + x[d'] * s[d'].
  task.load(source, from.all).load(table, isBack ? sines.all : cosines.all).load(sum, between.all).emit(vectorInsn(Opcode::Mul, ElementType::F32, sum, source, table));
  // Where back, what was made of one half belongs to the other.
  const FlatSymbolRefAttr first = isBack ? between.second : between.first, second = isBack ? between.first : between.second;
  auto add = [&](FlatSymbolRefAttr x, FlatSymbolRefAttr factor, FlatSymbolRefAttr to) {
    task.load(source, x).load(table, factor).load(sum, to).emit(vectorInsn(Opcode::Fma, ElementType::F32, sum, source, table, sum));
  };
  add(isBack ? from.first : from.second, isBack ? cosines.first : sines.first, first);
  add(isBack ? from.second : from.first, isBack ? cosines.second : sines.second, second);
  task.load(source, to.first).load(sum, first).emit(vectorInsn(Opcode::Mov, ElementType::F32, source, sum));
  task.load(source, to.second).load(sum, second).emit(vectorInsn(Opcode::Mov, ElementType::F32, source, sum));
}

// x[d] * c + x[d'] * s, and x[d'] * c - x[d] * s; back the other way round. What has a minus is made with the other sign.
void Attention::turnByHalf(TaskBuilder &task, const Halves &from, const Halves &between, const Halves &to, bool isBack) {
  const int64_t half = part() / 2;
  const FlatSymbolRefAttr cosines = memory("cosines", rotation_->buffer, rotation_->element, {1, 1, 2, half}, {0, 0, 0, 1});
  const FlatSymbolRefAttr sines = image_.memoryAt(half * bytes(rotation_->element), "sines", rotation_->element, rotation_->buffer, {1, 1, 1, half}, contiguous);
  const FlatSymbolRefAttr plus = isBack ? between.second : between.first, minus = isBack ? between.first : between.second;
  task.load(source, from.all).load(table, cosines).load(sum, between.all).emit(vectorInsn(Opcode::Mul, ElementType::F32, sum, source, table));
  task.load(table, sines);
  task.load(source, isBack ? from.first : from.second).load(sum, plus).emit(vectorInsn(Opcode::Fma, ElementType::F32, sum, source, table, sum));
  task.load(sum, minus).emit(vectorInsn(Opcode::Neg, ElementType::F32, sum, sum));
  task.load(source, isBack ? from.second : from.first).emit(vectorInsn(Opcode::Fma, ElementType::F32, sum, source, table, sum));
  task.load(source, isBack ? to.first : to.second).emit(vectorInsn(Opcode::Neg, ElementType::F32, source, sum));
  task.load(source, isBack ? to.second : to.first).load(sum, plus).emit(vectorInsn(Opcode::Mov, ElementType::F32, source, sum));
}

void Attention::loadPairs(TaskBuilder &task, uint8_t out, uint8_t in) {
  const Extents all = {1, 1, 1, tokens_ * tokens_};
  task.load(out, image_.send("pair_out", f32_, channels::pairs, all)).load(in, image_.receive("pair_in", f32_, channels::pairs, {1, 1, tokens_, tokens_}));
}

void Attention::addOtherPart(TaskBuilder &task, uint8_t part, uint8_t whole, uint8_t out, uint8_t in) {
  if (isAcross())
    task.emit(asAsync(vectorInsn(Opcode::Mov, ElementType::F32, out, part))).emit(vectorInsn(Opcode::Add, ElementType::F32, whole, part, in));
}

SymbolRefAttr Attention::begin() {
  const int64_t t = tokens_, part = this->part(), step = stride();
  const int64_t w = chunks_.tile, kc = chunks_.keys, dc = chunks_.elements;
  const bool isCausal = op_.getCausal();
  const Extents all = {1, 1, 1, 2 * part}, row = {1, 1, 1, t};
  TaskBuilder task(image_, loc_, "begin_attend");
  task.load(scale, image_.constant("scale", op_.getScale().convertToFloat()))
      .load(zero, image_.constant("zero", 0.0f))
      .load(lowest, image_.constant("lowest", -std::numeric_limits<float>::infinity()));

  // Keys and values of the own tokens are the first block.
  const int64_t partBytes = part * bytes(element_);
  const bool isInPlace = op_.isInPlace();
  queries_ = qkv_.buffer;
  blocks_[0] = isInPlace ? Place{qkv_.buffer, partBytes} : Place{buffer("passed", 2 * part, element_)};
  blocks_[1] = {buffer("passed", 2 * part, element_)};
  const uint8_t whole[2] = {blockR, nextR}, keys[2] = {keysKDq, nextKeysKDq}, values[2] = {valuesDKq, nextValuesDKq};
  for (int which : {0, 1})
    task.load(whole[which], memory("passed", blocks_[which], element_, all, contiguous))
        .load(keys[which], memory("keys", blocks_[which], element_, {1, kc, size_, w}, {0, 1, step, 0}))
        .load(values[which], memory("values", valuesOf(blocks_[which]), element_, {1, dc, w, w}, {0, step, 1, 0}));
  if (passes())
    task.load(ringIn, image_.receive("ring_in", element_, channels::ring, all)).load(ringOut, image_.send("ring_out", element_, channels::ring, all));
  out_ = buffer("out", part, f32_);
  if (rotation_) {
    if (!isInPlace)
      queries_ = buffer("turned", part, element_);
    const Halves between = halves("between", out_, f32_, 0);
    turn(task, halves("own_queries", qkv_.buffer, element_, 0), between, halves("turned_queries", queries_, element_, 0), /*isBack=*/false);
    turn(task, halves("own_keys", qkv_.buffer, element_, partBytes), between, halves("turned_keys", blocks_[0].buffer, element_, blocks_[0].offset), /*isBack=*/false);
    if (!isInPlace)
      task.load(first, image_.memoryAt(2 * partBytes, "own_values", element_, qkv_.buffer, {1, 1, 1, part}, contiguous))
          .load(second, memory("first_values", valuesOf(blocks_[0]), element_, {1, 1, 1, part}, contiguous))
          .emit(vectorInsn(Opcode::Mov, elementTypeOf(element_), second, first));
  } else if (!isInPlace) {
    task.load(first, image_.memoryAt(partBytes, "own_keys", element_, qkv_.buffer, all, contiguous)).emit(vectorInsn(Opcode::Mov, elementTypeOf(element_), blockR, first));
  }

  if (isCausal) {
    for (FlatSymbolRefAttr &place : places_)
      place = buffer("places", t, f32_);
    FlatSymbolRefAttr own = ownPlaces_ = buffer("own_places", t, f32_);
    const uint8_t ofBlock[2] = {placesR, nextPlacesR}, asFactor[2] = {placesKq, nextPlacesKq};
    for (int which : {0, 1})
      task.load(ofBlock[which], memory("places", places_[which], f32_, row, contiguous)).load(asFactor[which], memory("places", places_[which], f32_, {1, 1, t, t}, {0, 0, 1, 0}));
    if (passes())
      task.load(placesIn, image_.receive("places_in", f32_, channels::ring, row)).load(placesOut, image_.send("places_out", f32_, channels::ring, row));
    // Token i of row y is the one with number i * rows + y of its batch entry: rows are dealt tokens in turn.
    fill(task, first, "first_place", own, f32_, 1, zero);
    task.load(second, image_.rowNumber());
    task.emit(vectorInsn(Opcode::Mov, ElementType::F32, first, second));
    for (int64_t known = 1; known < t; known *= 2) {
      const int64_t more = std::min(known, t - known);
      task.load(first, image_.memoryAt(known * 4, "more_places", f32_, own, {1, 1, 1, more}, contiguous))
          .load(second, memory("known_places", own, f32_, {1, 1, 1, more}, contiguous))
          .load(third, image_.constant("rows", static_cast<float>(known * rows_)))
          .emit(vectorInsn(Opcode::Add, ElementType::F32, first, second, third));
    }
    task.load(first, memory("own_places", own, f32_, row, contiguous)).emit(vectorInsn(Opcode::Mov, ElementType::F32, placesR, first));
    task.load(ownPlacesKQ, memory("own_places", own, f32_, {1, 1, t, t}, {0, 0, 0, 1}));
  }

  // All kernels leave zeros in the cache, so that these sums may lie where contractions have theirs: they live at no kernel's step.
  cache_ = image_.buffer(loc_, "sums", std::max(kc, dc) * w * 4, {-1 - ctx_.step, -1 - ctx_.step}, /*inAccumulator=*/true);
  task.load(first, sums("sums", {1, 1, 1, std::max(kc, dc) * w}, contiguous)).emit(vectorInsn(Opcode::Mov, ElementType::F32, first, zero));
  task.load(queriesKDQ, memory("queries", queries_, element_, {1, kc, size_, w}, {0, 0, step, 1}))
      .load(sumKdQ, sums("products", {1, kc, size_, w}, {0, w, 0, 1}))
      .load(sumKQ, sums("scores_made", {1, 1, kc, w}, {0, 0, w, 1}))
      .load(sumDkQ, sums("weighted", {1, dc, w, w}, {0, w, 0, 1}))
      .load(sumDQ, sums("results_made", {1, 1, dc, w}, {0, 0, w, 1}));

  parts_ = scores_ = buffer("scores", t * t, f32_);
  if (isAcross()) {
    parts_ = buffer("score_parts", t * t, f32_);
    loadPairs(task, pairOut, pairIn);
    task.load(partsKQ, memory("parts", parts_, f32_, {1, 1, t, t}, {0, 0, t, 1}));
  }
  weights_ = buffer("weights", t * t, element_);
  task.load(someScoresKQ, memory("some_scores", parts_, f32_, {1, 1, kc, w}, {0, 0, t, 1}))
      .load(scoresKQ, memory("scores", scores_, f32_, {1, 1, t, t}, {0, 0, t, 1}))
      .load(weightsKQ, memory("weights", weights_, element_, {1, 1, t, t}, {0, 0, t, 1}))
      .load(weightsDKQ, memory("weights", weights_, element_, {1, dc, w, w}, {0, 0, t, 1}));

  FlatSymbolRefAttr newMost = buffer("new_most", t, f32_), factor = buffer("factor", t, f32_);
  most_ = buffer("most", step, f32_);
  totals_ = buffer("total", step, f32_);
  fill(task, first, "most", most_, f32_, step, lowest);
  fill(task, first, "total", totals_, f32_, step, zero);
  fill(task, first, "out", out_, f32_, part, zero);
  const Extents perKey = {1, 1, t, t}, repeated = {0, 0, 0, 1};
  task.load(mostQ, memory("most", most_, f32_, row, contiguous))
      .load(newMostQ, memory("new_most", newMost, f32_, row, contiguous))
      .load(newMostkQ, memory("new_most", newMost, f32_, perKey, repeated))
      .load(factorQ, memory("factor", factor, f32_, row, contiguous))
      .load(factorDQ, memory("factor", factor, f32_, {1, 1, dc, w}, repeated))
      .load(totalQ, memory("total", totals_, f32_, row, contiguous))
      .load(totalkQ, memory("total", totals_, f32_, perKey, repeated))
      .load(outDQ, memory("out", out_, f32_, {1, 1, dc, w}, {0, 0, step, 1}));
  return task.finish();
}

/// One head of the block at work. Where a mask hides whole tiles there are no products, and scores are whatever was there: the mask puts others in their place.
void Attention::attendHead(TaskBuilder &task, Pointers &at) {
  constexpr ElementType f32 = ElementType::F32;
  const int64_t t = tokens_, w = chunks_.tile, step = stride(), e = bytes(element_);
  auto fmac = [&](uint8_t sum, uint8_t a, uint8_t b) { task.emit(vectorInsn(Opcode::Fmac, f32, sum, a, b, sum)); };

  for (int64_t key = 0; key < t; key += chunks_.keys)
    for (int64_t tile = 0; tile < side(); ++tile)
      if (isSeen(key / w, tile)) {
        at.move(keysKDq, key * e);
        at.move(queriesKDQ, tile * w * e);
        at.move(someScoresKQ, (key * t + tile * w) * 4);
        fmac(sumKdQ, keysKDq, queriesKDQ);
        task.emit(clearing(vectorInsn(Opcode::Mul, f32, someScoresKQ, scale, sumKQ)));
      }
  addOtherPart(task, partsKQ, scoresKQ, pairOut, pairIn);
  if (op_.getCausal())
    task.emit(vectorInsn(Opcode::Cmple, f32, weightsKQ, placesKq, ownPlacesKQ)).emit(vectorInsn(Opcode::Select, f32, scoresKQ, weightsKQ, scoresKQ, lowest));

  // What was added before is scaled for the new maximum.
  task.emit(vectorInsn(Opcode::Mov, f32, newMostQ, mostQ))
      .emit(vectorInsn(Opcode::Max, f32, newMostkQ, newMostkQ, scoresKQ))
      .emit(vectorInsn(Opcode::Sub, f32, factorQ, mostQ, newMostQ))
      .emit(vectorInsn(Opcode::Exp, f32, factorQ, factorQ))
      .emit(vectorInsn(Opcode::Mov, f32, mostQ, newMostQ))
      .emit(vectorInsn(Opcode::Sub, f32, scoresKQ, scoresKQ, newMostkQ))
      .emit(vectorInsn(Opcode::Exp, f32, weightsKQ, scoresKQ))
      .emit(vectorInsn(Opcode::Mul, f32, totalQ, totalQ, factorQ))
      .emit(vectorInsn(Opcode::Add, f32, totalkQ, totalkQ, weightsKQ));
  for (int64_t d = 0; d < size_; d += chunks_.elements)
    for (int64_t tile = 0; tile < side(); ++tile) {
      at.move(outDQ, (d * step + tile * w) * 4);
      at.move(factorDQ, tile * w * 4);
      task.emit(vectorInsn(Opcode::Mul, f32, sumDQ, outDQ, factorDQ));
      for (int64_t keys = 0; keys < side(); ++keys)
        if (isSeen(keys, tile)) {
          at.move(valuesDKq, (d * step + keys * w) * e);
          at.move(weightsDKQ, (keys * t + tile) * w * e);
          fmac(sumDkQ, valuesDKq, weightsDKQ);
        }
      task.emit(clearing(vectorInsn(Opcode::Add, f32, outDQ, zero, sumDQ)));
    }
}

SymbolRefAttr Attention::step() {
  TaskBuilder task(image_, loc_, "attend");
  if (passes()) {
    const ElementType type = elementTypeOf(element_);
    task.emit(asAsync(vectorInsn(Opcode::Mov, type, nextR, ringIn))).emit(asAsync(vectorInsn(Opcode::Mov, type, ringOut, blockR)));
    if (op_.getCausal())
      task.emit(asAsync(vectorInsn(Opcode::Mov, ElementType::F32, nextPlacesR, placesIn))).emit(asAsync(vectorInsn(Opcode::Mov, ElementType::F32, placesOut, placesR)));
  }
  const std::pair<uint8_t, Type> ofHeads[] = {{keysKDq, element_}, {valuesDKq, element_}, {queriesKDQ, element_}, {mostQ, f32_}, {totalQ, f32_}, {totalkQ, f32_}, {outDQ, f32_}};
  for (int64_t head = 0; head < heads_; ++head) {
    Pointers at(task);
    attendHead(task, at);
    at.finish(nextHead(ofHeads, head));
  }
  if (passes())
    task.swap(blockR, nextR).swap(keysKDq, nextKeysKDq).swap(valuesDKq, nextValuesDKq);
  if (passes() && op_.getCausal())
    task.swap(placesR, nextPlacesR).swap(placesKq, nextPlacesKq);
  return task.finish();
}

SmallVector<std::pair<uint8_t, int64_t>> Attention::nextHead(ArrayRef<std::pair<uint8_t, Type>> registers, int64_t head) const {
  const int64_t next = head + 1 < heads_ ? 1 : 1 - heads_;
  return llvm::map_to_vector(registers, [&](const auto &each) { return std::pair(each.first, next * tokens_ * bytes(each.second)); });
}

void Attention::emitForward() {
  command(begin());
  command(step(), rows_, /*products=*/2);
}

void Attention::emitResult(const Block &result) {
  const Extents all = {1, size_, heads_, tokens_}, strides = {0, stride(), tokens_, 1};
  command(TaskBuilder(image_, loc_, "end_attend")
              .load(0, memory("result", result.buffer, result.element, all, strides))
              .load(1, memory("out", out_, f32_, all, strides))
              .load(2, memory("total", totals_, f32_, all, {0, 0, tokens_, 1}))
              .emit(vectorInsn(Opcode::Div, ElementType::F32, 0, 1, 2))
              .finish());
}

LogicalResult emitAttend(SegmentContext &ctx, stream::AttendOp op, const Block &qkv, const Block *gradient, const Block *rotation, const Block &result) {
  const StringRef name = op->getParentOfType<stream::ProgramOp>().getMachine();
  Machine machine;
  try {
    machine = Machine::load(name.str());
  } catch (const MachineError &error) {
    return emitError(op.getLoc()) << error.what();
  }
  AttentionGradient attention(ctx, op, qkv, rotation, machine);
  if (!attention.fits())
    return op.emitOpError() << "needs room for " << ctx.tokens << " sums of f32 in the accumulator cache, but a core of machine '" << name << "' has " << machine.accumulatorBytes / 4
                            << "; give cores fewer tokens";
  attention.emitForward();
  if (gradient)
    attention.emitGradient(*gradient, result);
  else
    attention.emitResult(result);
  return success();
}

} // namespace wafer
