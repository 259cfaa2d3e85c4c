//===- FunctionalStream.cpp - what MemoryX sends, read ahead ------------------===//

#include "FunctionalStream.h"

namespace wafer {

void FunctionalStream::begin(Ingress &in) {
  in_ = &in;
  isOpen_ = false;
  ahead_.clear();
  at_ = 0;
}

bool FunctionalStream::read() {
  std::shared_ptr<Packet> packet;
  for (const auto &old : packets_)
    if (old.use_count() == 1)
      packet = old;
  if (!packet) {
    packet = std::make_shared<Packet>();
    packets_.push_back(packet);
  }
  packet->words.clear();
  packet->parts.clear();
  while (packet->parts.size() < mostBursts_ && packet->words.size() < wordsPerPacket && (isOpen_ || !in_->peekRow()) && in_->next(burst_)) {
    const size_t first = packet->words.size();
    packet->words.insert(packet->words.end(), burst_.data.begin(), burst_.data.end());
    packet->parts.push_back({{burst_.colour, burst_.firstPort, burst_.portStep, burst_.portCount, {}, burst_.control}, first, burst_.data.size()});
    // Where the colour is no command colour, the control wavelet is a word like the others.
    if (burst_.control)
      packet->words.push_back(*burst_.control);
  }
  for (Part &part : packet->parts)
    part.data = packet->words.data() + part.first;
  isOpen_ = false;
  if (packet->parts.empty())
    return false;
  ahead_.push_back(std::move(packet));
  return true;
}

void FunctionalStream::readAhead() {
  if (ahead_.size() < 2)
    read();
}

const FunctionalStream::Part *FunctionalStream::peek(size_t i) {
  size_t index = at_ + i, packet = 0;
  for (;; ++packet) {
    if (packet == ahead_.size() && !read())
      return nullptr;
    const std::vector<Part> &parts = ahead_[packet]->parts;
    if (index < parts.size())
      return &parts[index];
    index -= parts.size();
  }
}

Words FunctionalStream::frontWords() const {
  const std::shared_ptr<Packet> &packet = ahead_.front();
  const Part &part = packet->parts[at_];
  return {std::shared_ptr<const uint32_t>(packet, part.data), part.count + part.burst.control.has_value()};
}

void FunctionalStream::skip() {
  if (++at_ < ahead_.front()->parts.size())
    return;
  ahead_.pop_front();
  at_ = 0;
}

} // namespace wafer
