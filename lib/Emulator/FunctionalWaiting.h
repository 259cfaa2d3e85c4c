//===- FunctionalWaiting.h - vector instructions of cores in step ------------===//
//
// Operations of a batch that use the fabric: what they have read from memory they keep, so that only their input can hold them up. Operations that take from
// one colour finish in order. A core need not wait for the others of the batch: an operation is done core by core where input comes core by core.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALWAITING_H
#define WAFER_LIB_EMULATOR_FUNCTIONALWAITING_H

#include "FunctionalCore.h"
#include "FunctionalValue.h"

#include <deque>

namespace wafer {

/// Where the words of a batch go.
class BatchSink : public WordSink {
public:
  /// The same number of f32 elements from each core of a batch.
  virtual void sendAll(uint32_t batch, unsigned colour, ValueRef value, size_t elementsPerCore) = 0;
};

/// dst = src0 op src1 in f32, or dst = src0, for every core of a batch.
struct BatchOperation {
  struct Source {
    bool isFabric = false;
    float constant = 0; ///< unless there is a value
    ValueRef value;
  };
  Opcode opcode = Opcode::Mov;
  uint16_t pc = 0;
  size_t elements = 0; ///< per core
  Source source[2];
  unsigned sources = 1;
  int inputColour = -1, outputColour = -1;
  ValueRef result; ///< when the destination is memory
  CoreMask done = 0;
};

class FunctionalWaiting {
public:
  FunctionalWaiting(const std::vector<FunctionalCore *> &cores, ValuePool &pool, uint32_t batch, size_t colours)
      : cores_(cores), pool_(pool), batch_(batch), channels_(colours), senders_(colours) {}

  /// Without fabric input: at once. Its sources are ready.
  void execute(BatchOperation &op, BatchSink &sink);
  /// As soon as its input is there, behind what waits already.
  void wait(BatchOperation op, BatchSink &sink);
  /// Does what can be done. Returns whether anything was.
  bool run(BatchSink &sink);
  bool empty() const { return waiting_ == 0; }
  /// Whether an operation that is at work on a core, and takes its input from another colour than `input`, sends on `output`.
  bool sendsElsewhere(unsigned output, int input) const { return senders_[output].count != 0 && senders_[output].input != input; }
  bool isInTheWay(uint32_t place, const Operation &op) const;

  /// Input for all cores, behind the words that they have.
  void receiveAll(unsigned colour, ValueRef value, size_t elements) { channels_[colour].messages.push({std::move(value), elements}); }
  /// Input for one core.
  void receive(size_t place, unsigned colour, Words words);
  /// Hands input for all cores to each of them, but for what operations here wait for.
  void handOut();

  /// Calls `use` with the place, pc and colour of each core that waits.
  template <typename Use> void forEachWaiting(Use use) const {
    for (size_t colour = 0; colour < channels_.size(); ++colour)
      if (!channels_[colour].waiting.empty()) {
        const BatchOperation &op = channels_[colour].waiting.front();
        for (size_t i = 0; i < cores_.size(); ++i)
          if (!(op.done & maskOf(i)))
            use(i, op.pc, static_cast<unsigned>(colour));
      }
  }

private:
  struct Message {
    ValueRef value;
    size_t elements = 0;
  };
  /// A queue that keeps its room.
  template <typename T> class Queue {
  public:
    bool empty() const { return head_ == items_.size(); }
    size_t size() const { return items_.size() - head_; }
    T &front() { return items_[head_]; }
    const T &front() const { return items_[head_]; }
    T &operator[](size_t i) { return items_[head_ + i]; }
    const T &operator[](size_t i) const { return items_[head_ + i]; }
    void push(T item) { items_.push_back(std::move(item)); }
    void pop() {
      items_[head_++] = T();
      if (head_ == items_.size()) {
        items_.clear();
        head_ = 0;
      } else if (head_ > 64 && head_ > items_.size() / 2) {
        items_.erase(items_.begin(), items_.begin() + static_cast<long>(head_));
        head_ = 0;
      }
    }

  private:
    std::vector<T> items_;
    size_t head_ = 0;
  };
  struct Channel {
    Queue<BatchOperation> waiting;
    Queue<Message> messages; ///< behind the words that cores have
  };

  bool haveWords(unsigned colour) const;
  void handOut(unsigned colour);
  bool runChannel(unsigned colour, BatchSink &sink);
  bool runByCore(unsigned colour, BatchSink &sink);
  void executeOn(size_t place, BatchOperation &op, BatchSink &sink);
  void executeAll(BatchOperation &op, ValueRef input, BatchSink &sink);
  CoreMask all() const { return allCores(cores_.size()); }

  const std::vector<FunctionalCore *> &cores_;
  ValuePool &pool_;
  const uint32_t batch_;
  struct Sender {
    size_t count = 0;
    int input = -1;
  };
  std::vector<Channel> channels_; ///< by colour
  std::vector<Sender> senders_;   ///< by colour: operations that wait to send on it, all with one input colour
  size_t waiting_ = 0;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALWAITING_H
