//===- WeightPanel.cpp - arriving weights against the rows of a batch --------===//

#include "WeightPanel.h"

#include "FunctionalVector.h"

#include "wafer/Emulator/NumberFormats.h"

#include <algorithm>

namespace wafer {

namespace {

/// Bursts that are multiplied at a time, and the most sums they may take: enough to fill registers, few enough to stay in a cache.
constexpr size_t mostAhead = 32;
constexpr size_t mostSums = size_t(1) << 18;
constexpr size_t mostPanel = size_t(1) << 26;

bool isSameRows(const Descriptor &a, const Descriptor &b) {
  return a.kind == b.kind && a.type == b.type && a.base == b.base && std::equal(a.extent, a.extent + 4, b.extent) && std::equal(a.stride, a.stride + 4, b.stride);
}

Descriptor rowOf(const Descriptor &rows) {
  Descriptor row = rows;
  row.extent[0] = 1;
  return row;
}

} // namespace

bool WeightPanel::fits(const Trigger &trigger, size_t lanes) {
  return trigger.rows.kind == wexe::DescKind::Mem && isFloat(elementType(trigger.rows.type)) && isContiguous(rowOf(trigger.rows)) &&
         !trigger.writes.overlaps(trigger.reads) && trigger.rows.elements() * lanes <= mostPanel;
}

void WeightPanel::select(const Trigger &trigger, std::vector<CoreModel> &lanes) {
  ++uses_;
  for (Panel &panel : panels_)
    if (panel.valid && isSameRows(panel.rows, trigger.rows)) {
      current_ = &panel;
      panel.used = uses_;
      return;
    }
  current_ = panels_[0].used <= panels_[1].used ? &panels_[0] : &panels_[1];
  if (aheadOf_ == current_)
    aheadOf_ = nullptr;
  const size_t elements = trigger.elementsPerRow(), count = trigger.rows.extent[0];
  const ElementType type = elementType(trigger.rows.type);
  const int64_t rowBytes = int64_t(trigger.rows.stride[0]) * byteSize(type);
  *current_ = {trigger.rows, trigger.reads, elements * lanes.size(), std::move(current_->values), uses_, true};
  current_->values.resize(count * current_->width);
  std::vector<float> row(elements);
  for (size_t lane = 0; lane < lanes.size(); ++lane)
    for (size_t k = 0; k < count; ++k) {
      const uint8_t *from = lanes[lane].memory.sram + trigger.rows.base + static_cast<int64_t>(k) * rowBytes;
      loadFloats(type, from, row.data(), elements);
      float *to = current_->values.data() + k * current_->width + lane;
      for (size_t j = 0; j < elements; ++j)
        to[j * lanes.size()] = row[j];
    }
}

void WeightPanel::forget(const Footprint &written) {
  for (Panel &panel : panels_)
    if (panel.valid && panel.footprint.overlaps(written)) {
      panel.valid = false;
      if (aheadOf_ == &panel)
        aheadOf_ = nullptr;
    }
}

/// The weights of a burst that begins at index 0; false unless there is exactly one for each row of the panel.
bool WeightPanel::decode(const CommandBurst &burst, const Trigger &trigger, float *weights) const {
  const size_t count = trigger.rows.extent[0];
  const ElementType type = trigger.insn.type;
  if (trigger.insn.opcode == Opcode::Fmacd) {
    if (burst.data.size() != count)
      return false;
    for (size_t k = 0; k < count; ++k)
      weights[k] = floatOf(burst.data[k]);
    return true;
  }
  if (trigger.insn.opcode != Opcode::Fmacp || burst.data.size() != (count + 1) / 2)
    return false;
  for (size_t k = 0; k < count; ++k) {
    const uint16_t bits = static_cast<uint16_t>(burst.data[k / 2] >> (k % 2 * 16));
    weights[k] = type == ElementType::F16 ? f16ToF32(bits) : bf16ToF32(bits);
  }
  return true;
}

const float *WeightPanel::sumsOf(const CommandQueue &queue, const Trigger &trigger) {
  const std::shared_ptr<const CommandBurst> &burst = queue.front();
  if (aheadOf_ == current_)
    for (; nextAhead_ < ahead_.size(); ++nextAhead_)
      if (ahead_[nextAhead_] == burst)
        return sums_.data() + nextAhead_++ * current_->width;

  // This one and those after it that look alike. One weight is as likely a bias, which multiplies something else.
  const size_t count = trigger.rows.extent[0], most = std::clamp<size_t>(mostSums / std::max<size_t>(1, current_->width), 1, mostAhead);
  aheadOf_ = current_;
  ahead_.clear();
  nextAhead_ = 0;
  weights_.resize(most * count);
  for (size_t i = 0; i < queue.size() && ahead_.size() < most; ++i) {
    if (decode(*queue[i], trigger, weights_.data() + ahead_.size() * count))
      ahead_.push_back(queue[i]);
    else if (i == 0)
      return nullptr;
    // An implicit index goes on where no control wavelet resets it.
    if (!queue[i]->hasControl)
      break;
  }
  if (count < 2)
    ahead_.resize(1);
  sums_.resize(ahead_.size() * current_->width);
  multiplyPanel(current_->values.data(), current_->width, weights_.data(), count, count, ahead_.size(), sums_.data());
  nextAhead_ = 1;
  return sums_.data();
}

} // namespace wafer
