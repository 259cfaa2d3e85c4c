//===- FunctionalWords.h - what travels in the functional engine -------------===//
//
// Words are handed on, not copied: a core that passes on what it receives, and a multicast, cost nothing per word.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALWORDS_H
#define WAFER_LIB_EMULATOR_FUNCTIONALWORDS_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace wafer {

/// Wavelets one after another. Never changed once they are sent, so that receivers may share them.
struct Words {
  std::shared_ptr<const uint32_t> data;
  size_t count = 0;

  Words part(size_t first, size_t length) const { return {std::shared_ptr<const uint32_t>(data, data.get() + first), length}; }
  static Words of(std::vector<uint32_t> words) {
    auto storage = std::make_shared<const std::vector<uint32_t>>(std::move(words));
    return {std::shared_ptr<const uint32_t>(storage, storage->data()), storage->size()};
  }
};

/// Words in order; taken from the front.
class WordQueue {
public:
  size_t size() const { return size_; }
  /// As many as lie together at the front.
  size_t frontSize() const { return parts_[head_].count - used_; }
  const uint32_t *front() const { return parts_[head_].data.get() + used_; }
  Words frontWords(size_t count) const { return parts_[head_].part(used_, count); }
  void push(Words words) {
    if (words.count == 0)
      return;
    size_ += words.count;
    parts_.push_back(std::move(words));
  }
  /// Takes no more than `frontSize` words as they are.
  Words takeFront(size_t count) {
    Words words = used_ == 0 && count == parts_[head_].count ? std::move(parts_[head_]) : frontWords(count);
    pop(count);
    return words;
  }
  /// No more than `frontSize`.
  void pop(size_t count) {
    size_ -= count;
    used_ += count;
    if (used_ < parts_[head_].count)
      return;
    used_ = 0;
    parts_[head_++] = Words();
    if (head_ == parts_.size()) {
      parts_.clear();
      head_ = 0;
    } else if (head_ > 64 && head_ > parts_.size() / 2) {
      parts_.erase(parts_.begin(), parts_.begin() + static_cast<long>(head_));
      head_ = 0;
    }
  }
  /// Takes exactly `count` words, which must be there.
  void take(uint32_t *to, size_t count) {
    while (count > 0) {
      size_t some = std::min(count, frontSize());
      to = std::copy_n(front(), some, to);
      pop(some);
      count -= some;
    }
  }

private:
  std::vector<Words> parts_;
  size_t head_ = 0, used_ = 0, size_ = 0; ///< used_: words of the front part that are taken
};

/// Data wavelets, then at most one control wavelet.
struct Command {
  Words data;
  bool hasControl = false;
  uint32_t control = 0;
};

/// Where a core's words go.
class WordSink {
public:
  virtual ~WordSink() = default;
  virtual void send(uint32_t core, unsigned colour, Words words) = 0;
  /// One after the other; leaves nothing of them.
  virtual void send(uint32_t core, unsigned colour, std::vector<Words> &parts) {
    for (Words &words : parts)
      send(core, colour, std::move(words));
    parts.clear();
  }
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALWORDS_H
