//===- FunctionalStream.h - what MemoryX sends, read ahead --------------------===//
//
// Bursts in packets, so that reading goes on while the wafer works, and so that the engine can look at some bursts before it decides what to do with them.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALSTREAM_H
#define WAFER_LIB_EMULATOR_FUNCTIONALSTREAM_H

#include "FunctionalWords.h"

#include "wafer/Emulator/Engine.h"

#include <deque>

namespace wafer {

class FunctionalStream {
public:
  /// `width` is that of the machine.
  explicit FunctionalStream(size_t width) : mostBursts_(burstsPerColumn * width) {}

  /// A burst whose words lie in its packet.
  struct Part {
    Burst burst; ///< without its data
    size_t first, count;
    const uint32_t *data = nullptr; ///< as long as the part is not skipped
  };

  /// Bursts that are read at a time.
  size_t burstsAtOnce() const { return mostBursts_; }
  void begin(Ingress &in);
  /// Reads a packet if none is there but the one at work. May run beside anything that does not use the stream.
  void readAhead();
  /// The row that comes next, if it can be had whole. Its bursts are not seen before it is opened.
  const WeightRow *peekRow() { return ahead_.empty() && !isOpen_ ? in_->peekRow() : nullptr; }
  void skipRow() { in_->skipRow(); }
  /// What comes next is read as bursts, though there be rows.
  void openRows() { isOpen_ = true; }
  /// The i-th burst from here on; null behind the last one before a row, or before the end.
  const Part *peek(size_t i);
  /// The words of the first burst, its control wavelet behind them if it has one; they stay as long as somebody has them.
  Words frontWords() const;
  /// Goes on behind the first burst.
  void skip();

private:
  /// What is read at a time: enough output rows to be multiplied at once, few enough to bound memory.
  static constexpr size_t burstsPerColumn = 64, wordsPerPacket = size_t(1) << 18;
  struct Packet {
    std::vector<uint32_t> words;
    std::vector<Part> parts;
  };
  bool read();

  const size_t mostBursts_;
  Ingress *in_ = nullptr;
  bool isOpen_ = false;
  Burst burst_; ///< keeps its room
  std::vector<std::shared_ptr<Packet>> packets_; ///< all, to be used again
  std::deque<std::shared_ptr<Packet>> ahead_;
  size_t at_ = 0; ///< in the first of them
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALSTREAM_H
