//===- AttendGradient.cpp - the gradient of attention -----------------------===//

#include "AttendGradient.h"

using namespace mlir;

namespace wafer {

namespace {

/// Registers of the second way around. Names are made as those of the forward pass; `given` is the gradient that came, `sums` are those that pass. Weights make room for the gradients of scores.
enum Register : uint8_t {
  ringIn, ringOut, placesIn, placesOut, sumsIn, sumsOut, pairIn, pairOut,            // the fabric
  nextR, blockR, nextPlacesR, placesR, nextSumsR, keySumsR, valueSumsR,              // of blocks
  nextKeysKDq, keysKDq, nextValuesKDq, valuesKDq, nextKeysDKq, keysDKq,              // as factors
  nextPlacesKq, placesKq, ownPlacesKQ,                                               // places of tokens
  nextSumsDK, keySumsDK, valueSumsDK, querySumsDQ,                                   // what is made
  queriesKDQ, givenKDQ, queriesDQk, givenDQk,                                        // of the own queries
  sumKdQ, sumKQ, sumDkQ, sumDQ,                                                      // sums in the cache
  someScoresKQ, partsKQ, scoresKQ, weightsKQ, weightsDQK, weightsDKQ, someOthersKQ, othersKQ, // of a block
  logarithmkQ, meankQ, scale, zero,
};
static_assert(zero < numDescriptorRegisters);

} // namespace

/// The logarithm of each query's total, with its maximum, the mean of its gradient, and sums of 0.
SymbolRefAttr AttentionGradient::prepare(const Block &gradient) {
  constexpr ElementType f32 = ElementType::F32;
  const int64_t queries = stride();
  const Extents all = {1, size_, heads_, tokens_}, strides = {0, stride(), tokens_, 1}, perQuery = {0, 0, tokens_, 1}, each = {1, 1, 1, queries};
  for (FlatSymbolRefAttr &sums : sums_)
    sums = buffer("gradient_sums", part(), f32_);
  means_ = buffer("mean", queries, f32_);
  TaskBuilder task(image_, loc_, "prepare_gradient");
  task.load(0, image_.constant("zero", 0.0f))
      .load(1, memory("out_all", out_, f32_, all, strides))
      .load(2, memory("total_all", totals_, f32_, all, perQuery))
      .emit(vectorInsn(Opcode::Div, f32, 1, 1, 2));
  fill(task, 3, "mean_all", means_, f32_, queries, 0);
  task.load(4, memory("mean_sums", means_, f32_, all, perQuery))
      .load(5, memory("given_all", gradient.buffer, gradient.element, all, strides))
      .emit(vectorInsn(Opcode::Fma, f32, 4, 5, 1, 4))
      .load(6, memory("totals", totals_, f32_, each, contiguous))
      .load(7, memory("most_all", most_, f32_, each, contiguous))
      .emit(vectorInsn(Opcode::Log, f32, 6, 6))
      .emit(vectorInsn(Opcode::Add, f32, 7, 7, 6));
  fill(task, 8, "query_sums", out_, f32_, part(), 0);
  fill(task, 9, "value_sums", sums_[0], f32_, part(), 0);
  fill(task, 9, "key_sums", sums_[1], f32_, part(), 0);
  return task.finish();
}

SymbolRefAttr AttentionGradient::begin(const Block &gradient) {
  const int64_t t = tokens_, part = this->part(), step = stride(), w = chunks_.tile, kc = chunks_.keys, dc = chunks_.elements;
  const Extents all = {1, 1, 1, 2 * part}, row = {1, 1, 1, t};
  // Gradients of scores take the place of scores.
  const FlatSymbolRefAttr others = scores_;
  TaskBuilder task(image_, loc_, "begin_gradient");
  task.load(zero, image_.constant("zero", 0.0f));
  if (isAcross()) {
    // Of what a mask hides some is never made, and multiplied by 0.
    if (side() > 1)
      fill(task, partsKQ, "all_parts", parts_, f32_, t * t, zero);
    loadPairs(task, pairOut, pairIn);
    task.load(partsKQ, memory("parts", parts_, f32_, {1, 1, t, t}, {0, 0, t, 1}));
  }
  const uint8_t whole[2] = {blockR, nextR}, keys[2] = {keysKDq, nextKeysKDq}, values[2] = {valuesKDq, nextValuesKDq}, keysByElement[2] = {keysDKq, nextKeysDKq};
  const uint8_t ofBlock[2] = {placesR, nextPlacesR}, asFactor[2] = {placesKq, nextPlacesKq};
  for (int which : {0, 1}) {
    const int buffer = which == 0 ? atHome() : 1 - atHome();
    const Place &block = blocks_[buffer];
    task.load(whole[which], memory("passed", block, element_, all, contiguous))
        .load(keys[which], memory("keys", block, element_, {1, kc, size_, w}, {0, 1, step, 0}))
        .load(values[which], memory("values_by_key", valuesOf(block), element_, {1, kc, size_, w}, {0, 1, step, 0}))
        .load(keysByElement[which], memory("keys_by_element", block, element_, {1, dc, w, w}, {0, step, 1, 0}));
    if (op_.getCausal())
      task.load(ofBlock[which], memory("places", places_[buffer], f32_, row, contiguous)).load(asFactor[which], memory("places", places_[buffer], f32_, {1, 1, t, t}, {0, 0, 1, 0}));
  }
  const Extents one = {1, 1, 1, part};
  const uint8_t sumsWhole[3] = {valueSumsR, keySumsR, nextSumsR}, sumsByElement[3] = {valueSumsDK, keySumsDK, nextSumsDK};
  for (auto [whole, byElement, sum] : llvm::zip_equal(sumsWhole, sumsByElement, sums_))
    task.load(whole, memory("passed_sums", sum, f32_, one, contiguous)).load(byElement, memory("sums_by_element", sum, f32_, {1, 1, dc, w}, {0, 0, step, 1}));
  if (passes()) {
    task.load(ringIn, image_.receive("ring_in", element_, channels::ring, all)).load(ringOut, image_.send("ring_out", element_, channels::ring, all));
    task.load(sumsIn, image_.receive("sums_in", f32_, channels::ring, one)).load(sumsOut, image_.send("sums_out", f32_, channels::ring, one));
    if (op_.getCausal())
      task.load(placesIn, image_.receive("places_in", f32_, channels::ring, row)).load(placesOut, image_.send("places_out", f32_, channels::ring, row));
  }
  if (op_.getCausal())
    task.load(ownPlacesKQ, memory("own_places", ownPlaces_, f32_, {1, 1, t, t}, {0, 0, 0, 1}));

  const Extents byKey = {1, kc, size_, w}, ofKey = {0, 0, step, 1}, byElement = {1, dc, w, w}, ofElement = {0, step, 1, 0}, pairs = {1, 1, t, t}, some = {1, 1, kc, w}, table = {0, 0, t, 1}, inCache = {0, 0, w, 1}, perQuery = {0, 0, 0, 1};
  task.load(queriesKDQ, memory("queries", queries_, element_, byKey, ofKey))
      .load(givenKDQ, memory("given", gradient.buffer, element_, byKey, ofKey))
      .load(queriesDQk, memory("queries_by_element", queries_, element_, byElement, ofElement))
      .load(givenDQk, memory("given_by_element", gradient.buffer, element_, byElement, ofElement))
      .load(querySumsDQ, memory("query_sums", out_, f32_, {1, 1, dc, w}, {0, 0, step, 1}))
      .load(sumKdQ, this->sums("products", byKey, {0, w, 0, 1}))
      .load(sumKQ, this->sums("scores_made", some, inCache))
      .load(sumDkQ, this->sums("weighted", byElement, {0, w, 0, 1}))
      .load(sumDQ, this->sums("results_made", {1, 1, dc, w}, inCache))
      .load(someScoresKQ, memory("some_scores", parts_, f32_, some, table))
      .load(scoresKQ, memory("scores", scores_, f32_, pairs, table))
      .load(weightsKQ, memory("weights", weights_, element_, pairs, table))
      .load(weightsDQK, memory("weights_by_query", weights_, element_, byElement, {0, 0, 1, t}))
      .load(someOthersKQ, memory("some_others", isAcross() ? parts_ : others, f32_, some, table))
      .load(othersKQ, memory("others", others, f32_, pairs, table))
      .load(weightsDKQ, memory("weights_by_key", weights_, element_, byElement, {0, 0, t, 1}))
      .load(logarithmkQ, memory("logarithm", most_, f32_, pairs, perQuery))
      .load(meankQ, memory("mean", means_, f32_, some, perQuery))
      .load(scale, image_.constant("scale", op_.getScale().convertToFloat()));
  return task.finish();
}

/// One head of the block at work. As in the forward pass there are no products where a mask hides whole tiles, and what was there is masked.
void AttentionGradient::takeHead(TaskBuilder &task, Pointers &at) {
  constexpr ElementType f32 = ElementType::F32;
  const int64_t t = tokens_, w = chunks_.tile, step = stride(), e = bytes(element_);
  /// Products for each pair of tokens, of which `take` takes those of some keys from the cache.
  auto perPair = [&](uint8_t factors, uint8_t own, uint8_t to, const Instruction &take) {
    for (int64_t key = 0; key < t; key += chunks_.keys)
      for (int64_t tile = 0; tile < side(); ++tile)
        if (isSeen(key / w, tile)) {
          at.move(factors, key * e);
          at.move(own, tile * w * e);
          at.move(to, (key * t + tile * w) * 4);
          if (take.src0 == meankQ)
            at.move(meankQ, tile * w * 4);
          task.emit(vectorInsn(Opcode::Fmac, f32, sumKdQ, factors, own, sumKdQ)).emit(clearing(take));
        }
  };
  /// Sums for each element of the head and each key, or query, added to `to`, or taken away.
  auto perElement = [&](uint8_t factors, uint8_t pairs, uint8_t to, Opcode fold, bool isByKey) {
    for (int64_t d = 0; d < size_; d += chunks_.elements)
      for (int64_t tile = 0; tile < side(); ++tile) {
        for (int64_t other = 0; other < side(); ++other) {
          const int64_t keys = isByKey ? tile : other, queries = isByKey ? other : tile;
          if (!isSeen(keys, queries))
            continue;
          at.move(factors, (d * step + other * w) * e);
          at.move(pairs, (keys * t + queries) * w * e);
          task.emit(vectorInsn(Opcode::Fmac, f32, sumDkQ, factors, pairs, sumDkQ));
        }
        at.move(to, (d * step + tile * w) * 4);
        task.emit(clearing(vectorInsn(fold, f32, to, to, sumDQ)));
      }
  };

  perPair(keysKDq, queriesKDQ, someScoresKQ, vectorInsn(Opcode::Mul, f32, someScoresKQ, scale, sumKQ));
  addOtherPart(task, partsKQ, scoresKQ, pairOut, pairIn);
  task.emit(vectorInsn(Opcode::Sub, f32, scoresKQ, scoresKQ, logarithmkQ)).emit(vectorInsn(Opcode::Exp, f32, weightsKQ, scoresKQ));
  if (op_.getCausal())
    task.emit(vectorInsn(Opcode::Cmple, f32, scoresKQ, placesKq, ownPlacesKQ)).emit(vectorInsn(Opcode::Select, f32, weightsKQ, scoresKQ, weightsKQ, zero));
  // From here on with the other sign, which comes back when sums are taken away.
  perPair(valuesKDq, givenKDQ, someOthersKQ, vectorInsn(Opcode::Sub, f32, someOthersKQ, meankQ, sumKQ));
  addOtherPart(task, partsKQ, othersKQ, pairOut, pairIn);
  task.emit(vectorInsn(Opcode::Mul, f32, othersKQ, othersKQ, weightsKQ));
  perElement(givenDQk, weightsDQK, valueSumsDK, Opcode::Add, /*isByKey=*/true);
  task.emit(vectorInsn(Opcode::Mul, f32, weightsKQ, othersKQ, scale));
  perElement(queriesDQk, weightsDQK, keySumsDK, Opcode::Sub, /*isByKey=*/true);
  perElement(keysDKq, weightsDKQ, querySumsDQ, Opcode::Sub, /*isByKey=*/false);
}

SymbolRefAttr AttentionGradient::step() {
  TaskBuilder task(image_, loc_, "attend_gradient");
  const ElementType type = elementTypeOf(element_);
  constexpr ElementType f32 = ElementType::F32;
  if (passes()) {
    task.emit(asAsync(vectorInsn(Opcode::Mov, type, nextR, ringIn))).emit(asAsync(vectorInsn(Opcode::Mov, type, ringOut, blockR)));
    if (op_.getCausal())
      task.emit(asAsync(vectorInsn(Opcode::Mov, f32, nextPlacesR, placesIn))).emit(asAsync(vectorInsn(Opcode::Mov, f32, placesOut, placesR)));
    task.emit(asAsync(vectorInsn(Opcode::Mov, f32, nextSumsR, sumsIn)));
  }
  const std::pair<uint8_t, Type> ofHeads[] = {{keysKDq, element_}, {valuesKDq, element_}, {keysDKq, element_}, {queriesKDQ, element_}, {givenKDQ, element_}, {queriesDQk, element_},
                                              {givenDQk, element_}, {logarithmkQ, f32_}, {meankQ, f32_}, {querySumsDQ, f32_}, {keySumsDK, f32_}, {valueSumsDK, f32_}};
  for (int64_t head = 0; head < heads_; ++head) {
    Pointers at(task);
    takeHead(task, at);
    at.finish(nextHead(ofHeads, head));
  }
  if (passes()) {
    // Sums for the next block's keys come where those of this one's values were.
    task.emit(asAsync(vectorInsn(Opcode::Mov, f32, sumsOut, valueSumsR))).emit(asAsync(vectorInsn(Opcode::Mov, f32, sumsOut, keySumsR))).emit(asAsync(vectorInsn(Opcode::Mov, f32, valueSumsR, sumsIn)));
    task.swap(blockR, nextR).swap(keysKDq, nextKeysKDq).swap(valuesKDq, nextValuesKDq).swap(keysDKq, nextKeysDKq);
    task.swap(valueSumsR, nextSumsR).swap(keySumsR, nextSumsR).swap(valueSumsDK, nextSumsDK).swap(keySumsDK, nextSumsDK);
    if (op_.getCausal())
      task.swap(placesR, nextPlacesR).swap(placesKq, nextPlacesKq);
  }
  return task.finish();
}

SymbolRefAttr AttentionGradient::end(const Block &result) {
  const int64_t part = this->part();
  // Each step has moved sums on by a buffer.
  auto sums = [&](int64_t number) { return sums_[passes() ? (number + 2 * rows_) % 3 : number]; };
  const FlatSymbolRefAttr values = sums(0), keys = sums(1);
  const int64_t partBytes = part * bytes(result.element);
  const Extents one = {1, 1, 1, part};
  if (rotation_) {
    const Halves between = halves("sums_between", sums(2), f32_, 0);
    TaskBuilder task(image_, loc_, "end_gradient");
    turn(task, halves("query_sums", out_, f32_, 0), between, halves("query_gradients", result.buffer, result.element, 0), /*isBack=*/true);
    turn(task, halves("key_sums", keys, f32_, 0), between, halves("key_gradients", result.buffer, result.element, partBytes), /*isBack=*/true);
    return task.load(0, image_.memoryAt(2 * partBytes, "value_gradients", result.element, result.buffer, one, contiguous))
        .load(1, memory("value_sums", values, f32_, one, contiguous))
        .emit(vectorInsn(Opcode::Mov, ElementType::F32, 0, 1))
        .finish();
  }
  return TaskBuilder(image_, loc_, "end_gradient")
      .load(0, memory("query_gradients", result.buffer, result.element, one, contiguous))
      .load(1, memory("query_sums", out_, f32_, one, contiguous))
      .emit(vectorInsn(Opcode::Mov, ElementType::F32, 0, 1))
      .load(2, image_.memoryAt(partBytes, "key_gradients", result.element, result.buffer, one, contiguous))
      .load(3, memory("key_sums", keys, f32_, one, contiguous))
      .emit(vectorInsn(Opcode::Mov, ElementType::F32, 2, 3))
      .load(4, image_.memoryAt(2 * partBytes, "value_gradients", result.element, result.buffer, one, contiguous))
      .load(5, memory("value_sums", values, f32_, one, contiguous))
      .emit(vectorInsn(Opcode::Mov, ElementType::F32, 4, 5))
      .finish();
}

void AttentionGradient::emitGradient(const Block &gradient, const Block &result) {
  command(prepare(gradient));
  command(begin(gradient));
  command(step(), rows_, /*products=*/5);
  command(end(result));
}

} // namespace wafer
