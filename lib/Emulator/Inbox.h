//===- Inbox.h - wavelets that wait at the cores of a batch ------------------===//
//
// One colour's queue at every core of a batch. Where all cores get their words together, they lie side by side, word by word; as soon as cores get words one by
// one, each has a queue of its own until all are empty again.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_INBOX_H
#define WAFER_LIB_EMULATOR_INBOX_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace wafer {

/// Words in order; taken from the front.
class WordQueue {
public:
  size_t size() const { return words_.size() - head_; }
  const uint32_t *data() const { return words_.data() + head_; }
  void push(const uint32_t *words, size_t count) { words_.insert(words_.end(), words, words + count); }
  void pop(size_t count) {
    head_ += count;
    if (head_ == words_.size()) {
      words_.clear();
      head_ = 0;
    } else if (head_ > 4096 && head_ > words_.size() / 2) {
      words_.erase(words_.begin(), words_.begin() + static_cast<long>(head_));
      head_ = 0;
    }
  }

private:
  std::vector<uint32_t> words_;
  size_t head_ = 0;
};

class Inbox {
public:
  explicit Inbox(size_t lanes = 1) : lanes_(lanes) {}

  /// `count` words for every lane; word i of lane l is words[i * lanes + l].
  void pushAll(const uint32_t *words, size_t count) {
    if (apart_.empty()) {
      together_.push(words, count * lanes_);
      return;
    }
    for (size_t lane = 0; lane < lanes_; ++lane)
      for (size_t i = 0; i < count; ++i)
        apart_[lane].push(&words[i * lanes_ + lane], 1);
  }
  void pushLane(size_t lane, const uint32_t *words, size_t count) { ofLane(lane).push(words, count); }

  /// Words that every lane has.
  size_t availableToAll() const {
    if (apart_.empty())
      return together_.size() / lanes_;
    size_t least = SIZE_MAX;
    for (const WordQueue &queue : apart_)
      least = std::min(least, queue.size());
    return least;
  }
  size_t available(size_t lane) const { return apart_.empty() ? together_.size() / lanes_ : apart_[lane].size(); }
  bool empty() const {
    return apart_.empty() ? together_.size() == 0 : std::all_of(apart_.begin(), apart_.end(), [](const WordQueue &q) { return q.size() == 0; });
  }

  /// The next `count` words of every lane, as in pushAll; valid until the next call.
  const uint32_t *front(size_t count) {
    if (apart_.empty())
      return together_.data();
    scratch_.resize(count * lanes_);
    for (size_t lane = 0; lane < lanes_; ++lane)
      for (size_t i = 0; i < count; ++i)
        scratch_[i * lanes_ + lane] = apart_[lane].data()[i];
    return scratch_.data();
  }
  void popAll(size_t count) {
    if (apart_.empty()) {
      together_.pop(count * lanes_);
      return;
    }
    for (WordQueue &queue : apart_)
      queue.pop(count);
    if (empty())
      apart_.clear();
  }
  /// The queue of one lane.
  WordQueue &ofLane(size_t lane) {
    if (apart_.empty()) {
      size_t count = together_.size() / lanes_;
      apart_.resize(lanes_);
      for (size_t l = 0; l < lanes_; ++l)
        for (size_t i = 0; i < count; ++i)
          apart_[l].push(&together_.data()[i * lanes_ + l], 1);
      together_.pop(together_.size());
    }
    return apart_[lane];
  }

private:
  size_t lanes_;
  WordQueue together_;
  std::vector<WordQueue> apart_; ///< empty: together
  std::vector<uint32_t> scratch_;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_INBOX_H
