//===- FunctionalWaiting.cpp - vector instructions of cores in step ----------===//

#include "FunctionalWaiting.h"

#include "wafer/Emulator/NumberFormats.h"

#include <cassert>
#include <cstring>

namespace wafer {

namespace {

/// Numbers, or one number for all.
struct Operand {
  const float *numbers = nullptr;
  float constant = 0;
};

/// `result` may be `a` or `b`.
void calculate(Opcode opcode, const float *a, const float *b, float *result, size_t n) {
  if (opcode == Opcode::Max)
    return computeFloats(opcode, a, b, nullptr, result, n);
  arithmetic(opcode == Opcode::Add ? Arithmetic::Add : opcode == Opcode::Sub ? Arithmetic::Sub : Arithmetic::Mul, a, b, result, n);
}

void calculate(Opcode opcode, Operand a, Operand b, float *result, size_t n) {
  if (opcode == Opcode::Mov) {
    if (!a.numbers)
      std::fill_n(result, n, a.constant);
    else if (a.numbers != result)
      std::memcpy(result, a.numbers, n * sizeof(float));
    return;
  }
  if (a.numbers && b.numbers)
    return calculate(opcode, a.numbers, b.numbers, result, n);
  // `result` may be where the numbers are, so that a constant is spread a piece at a time.
  float left[tileWidth], right[tileWidth];
  std::fill_n(left, tileWidth, a.constant);
  std::fill_n(right, tileWidth, b.constant);
  for (size_t j = 0; j < n; j += tileWidth)
    calculate(opcode, a.numbers ? a.numbers + j : left, b.numbers ? b.numbers + j : right, result + j, std::min(tileWidth, n - j));
}

Words wordsOf(const float *numbers, size_t n) {
  std::vector<uint32_t> words(n);
  std::memcpy(words.data(), numbers, n * sizeof(float));
  return Words::of(std::move(words));
}

} // namespace

void FunctionalWaiting::executeAll(BatchOperation &op, ValueRef input, BatchSink &sink) {
  Operand operands[2];
  for (unsigned i = 0; i < op.sources; ++i) {
    const BatchOperation::Source &source = op.source[i];
    if (source.isFabric)
      operands[i].numbers = input.data();
    else if (source.value)
      operands[i].numbers = source.value.data();
    else
      operands[i].constant = source.constant;
  }
  // The sum takes the place of what came in, so that a chain works in one piece of memory.
  ValueRef result = op.result;
  if (!result && input && input.isMine())
    result = std::move(input);
  if (!result)
    result = pool_.make(op.elements * cores_.size());
  calculate(op.opcode, operands[0], operands[1], result.data(), op.elements * cores_.size());
  result->ready = all();
  op.done = all();
  if (op.outputColour >= 0)
    sink.sendAll(batch_, static_cast<unsigned>(op.outputColour), std::move(result), op.elements);
}

void FunctionalWaiting::execute(BatchOperation &op, BatchSink &sink) { executeAll(op, ValueRef(), sink); }

void FunctionalWaiting::executeOn(size_t place, BatchOperation &op, BatchSink &sink) {
  std::vector<uint32_t> words(op.elements);
  std::vector<float> input(op.elements), result(op.elements);
  Operand operands[2];
  for (unsigned i = 0; i < op.sources; ++i) {
    const BatchOperation::Source &source = op.source[i];
    if (source.isFabric) {
      cores_[place]->in[op.inputColour].take(words.data(), op.elements);
      std::memcpy(input.data(), words.data(), op.elements * sizeof(float));
      operands[i].numbers = input.data();
    } else if (source.value) {
      operands[i].numbers = source.value.data() + place * op.elements;
    } else {
      operands[i].constant = source.constant;
    }
  }
  calculate(op.opcode, operands[0], operands[1], result.data(), op.elements);
  op.done |= maskOf(place);
  if (op.result) {
    std::memcpy(op.result.data() + place * op.elements, result.data(), op.elements * sizeof(float));
    op.result->ready |= maskOf(place);
  }
  if (op.outputColour >= 0)
    sink.send(cores_[place]->number, static_cast<unsigned>(op.outputColour), wordsOf(result.data(), op.elements));
}

void FunctionalWaiting::wait(BatchOperation op, BatchSink &sink) {
  assert(op.inputColour >= 0 && "only input is waited for");
  if (op.outputColour >= 0) {
    ++senders_[op.outputColour].count;
    senders_[op.outputColour].input = op.inputColour;
  }
  ++waiting_;
  const unsigned colour = static_cast<unsigned>(op.inputColour);
  channels_[colour].waiting.push(std::move(op));
  runChannel(colour, sink);
}

bool FunctionalWaiting::haveWords(unsigned colour) const {
  for (const FunctionalCore *core : cores_)
    if (core->in[colour].size() != 0)
      return true;
  return false;
}

bool FunctionalWaiting::runByCore(unsigned colour, BatchSink &sink) {
  Channel &channel = channels_[colour];
  bool did = false;
  CoreMask free = all(); // cores that have done all earlier operations
  for (size_t k = 0; k < channel.waiting.size() && free != 0; ++k) {
    BatchOperation &op = channel.waiting[k];
    for (size_t i = 0; i < cores_.size(); ++i) {
      const CoreMask core = maskOf(i);
      if (!(free & core) || (op.done & core) || cores_[i]->in[colour].size() < op.elements || !op.source[0].value.isReady(core) ||
          !op.source[1].value.isReady(core))
        continue;
      executeOn(i, op, sink);
      did = true;
    }
    free &= op.done;
  }
  return did;
}

bool FunctionalWaiting::runChannel(unsigned colour, BatchSink &sink) {
  Channel &channel = channels_[colour];
  bool did = false;
  while (!channel.waiting.empty()) {
    BatchOperation &op = channel.waiting.front();
    if (op.done == all()) {
      if (op.outputColour >= 0)
        --senders_[op.outputColour].count;
      --waiting_;
      channel.waiting.pop();
      did = true;
      continue;
    }
    if (op.done == 0 && !channel.messages.empty() && channel.messages.front().elements == op.elements && !haveWords(colour)) {
      if (!op.source[0].value.isReady(all()) || !op.source[1].value.isReady(all()))
        break;
      ValueRef input = std::move(channel.messages.front().value);
      channel.messages.pop();
      executeAll(op, std::move(input), sink);
      did = true;
      continue;
    }
    // Words before messages; where those do not do for an operation of all cores, they are words like others.
    if (!haveWords(colour))
      handOut(colour);
    bool didByCore = runByCore(colour, sink);
    if (!didByCore && !channel.messages.empty()) {
      handOut(colour);
      didByCore = runByCore(colour, sink);
    }
    if (!didByCore)
      break;
    did = true;
  }
  return did;
}

bool FunctionalWaiting::run(BatchSink &sink) {
  bool did = false;
  for (bool again = waiting_ != 0; again;) {
    again = false;
    for (unsigned colour = 0; colour < channels_.size(); ++colour)
      if (!channels_[colour].waiting.empty())
        again |= runChannel(colour, sink);
    did |= again;
  }
  return did;
}

bool FunctionalWaiting::isInTheWay(uint32_t place, const Operation &op) const {
  if (waiting_ == 0)
    return false;
  for (const Channel &channel : channels_)
    for (size_t k = 0; k < channel.waiting.size(); ++k) {
      const BatchOperation &earlier = channel.waiting[k];
      if (!(earlier.done & maskOf(place)) && ((op.inputColour >= 0 && op.inputColour == earlier.inputColour) ||
                                              (op.outputColour >= 0 && op.outputColour == earlier.outputColour)))
        return true;
    }
  return false;
}

void FunctionalWaiting::receive(size_t place, unsigned colour, Words words) {
  if (!channels_[colour].messages.empty())
    handOut(colour);
  cores_[place]->receive(colour, std::move(words));
}

void FunctionalWaiting::handOut(unsigned colour) {
  Channel &channel = channels_[colour];
  for (; !channel.messages.empty(); channel.messages.pop()) {
    const Message &message = channel.messages.front();
    const Words words = wordsOf(message.value.data(), message.elements * cores_.size());
    for (size_t i = 0; i < cores_.size(); ++i)
      cores_[i]->receive(colour, words.part(i * message.elements, message.elements));
  }
}

void FunctionalWaiting::handOut() {
  for (unsigned colour = 0; colour < channels_.size(); ++colour)
    if (channels_[colour].waiting.empty() && !channels_[colour].messages.empty())
      handOut(colour);
}

} // namespace wafer
