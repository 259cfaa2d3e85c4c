//===- FunctionalBlocks.cpp - memory operands of a batch that are not in memory ===//

#include "FunctionalBlocks.h"

#include <cstring>

namespace wafer {

namespace {

/// More would only lengthen the search: a kernel has two accumulators, two sums and the rows that it has made last.
constexpr size_t mostBlocks = 16;

} // namespace

bool FunctionalBlocks::fits(const Descriptor &descriptor) {
  return isMemory(descriptor) && (descriptor.type == wexe::ElemType::F32 || descriptor.type == wexe::ElemType::F16) && isContiguous(descriptor);
}

void FunctionalBlocks::writeBack(Block &block) {
  const size_t n = block.place.elements(), bytes = n * byteSize(elementType(block.place.type));
  for (size_t i = 0; i < cores_.size(); ++i) {
    if ((block.settled & maskOf(i)) || !block.value.isReady(maskOf(i)))
      continue;
    uint8_t *at = cores_[i]->model.memory(block.place.kind) + block.place.base;
    if (!block.value)
      std::memset(at, 0, bytes);
    else if (block.place.type == wexe::ElemType::F16)
      narrowF16(block.value.data() + i * n, at, n);
    else
      std::memcpy(at, block.value.data() + i * n, bytes);
    block.settled |= maskOf(i);
  }
}

bool FunctionalBlocks::settle(const Footprint &footprint, const Descriptor *exact) {
  for (size_t i = 0; i < blocks_.size();) {
    Block &block = blocks_[i];
    if (!block.footprint.overlaps(footprint) || (exact && sameElements(block.place, *exact))) {
      ++i;
      continue;
    }
    if (!block.value.isReady(all()))
      return false;
    writeBack(block);
    blocks_.erase(blocks_.begin() + static_cast<long>(i));
  }
  return true;
}

void FunctionalBlocks::settleReady() {
  for (size_t i = 0; i < blocks_.size();) {
    writeBack(blocks_[i]);
    if (blocks_[i].settled == all())
      blocks_.erase(blocks_.begin() + static_cast<long>(i));
    else
      ++i;
  }
}

bool FunctionalBlocks::makeRoom(size_t count) {
  for (size_t i = 0; blocks_.size() + count > mostBlocks && i < blocks_.size();) {
    if (!blocks_[i].value.isReady(all())) {
      ++i;
      continue;
    }
    writeBack(blocks_[i]);
    blocks_.erase(blocks_.begin() + static_cast<long>(i));
  }
  return blocks_.size() + count <= mostBlocks;
}

ValueRef *FunctionalBlocks::find(const Descriptor &descriptor) {
  for (Block &block : blocks_)
    if (sameElements(block.place, descriptor))
      return &block.value;
  return nullptr;
}

ValueRef FunctionalBlocks::read(const Descriptor &descriptor) {
  if (const ValueRef *value = find(descriptor))
    return *value;
  const size_t n = descriptor.elements();
  ValueRef value = pool_.make(n * cores_.size());
  for (size_t i = 0; i < cores_.size(); ++i) {
    const uint8_t *at = cores_[i]->model.memory(descriptor.kind) + descriptor.base;
    if (descriptor.type == wexe::ElemType::F16)
      widenF16(at, value.data() + i * n, n);
    else
      std::memcpy(value.data() + i * n, at, n * sizeof(float));
  }
  value->ready = all();
  return value;
}

void FunctionalBlocks::write(const Descriptor &descriptor, const Footprint &footprint, ValueRef value) {
  if (ValueRef *old = find(descriptor)) {
    *old = std::move(value);
    return;
  }
  blocks_.push_back({descriptor, footprint, std::move(value), 0});
}

bool FunctionalBlocks::holds(size_t core, const Footprint &footprint) const {
  for (const Block &block : blocks_)
    if (!(block.settled & maskOf(core)) && block.footprint.overlaps(footprint))
      return true;
  return false;
}

} // namespace wafer
