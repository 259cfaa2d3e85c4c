//===- Wire.cpp - weights as wavelets -------------------------------------===//

#include "Wire.h"

#include <cstring>

namespace wafer {

void packWavelets(const uint8_t *elements, size_t count, unsigned elementBytes, std::vector<uint32_t> &words) {
  // Hosts are little endian, as safetensors are: the first element's bytes are the low ones.
  words.resize((count * elementBytes + 3) / 4);
  if (words.empty())
    return;
  words.back() = 0;
  std::memcpy(words.data(), elements, count * elementBytes);
}

/// Elements of one or two bytes behind their indices, without those that are 0 but for bits outside of `mask`. Returns how many there are.
template <typename Element> static size_t packIndexed(const uint8_t *elements, size_t count, uint32_t index, Element mask, uint32_t *words) {
  size_t kept = 0;
  for (size_t k = 0; k < count; ++k) {
    Element value;
    std::memcpy(&value, elements + k * sizeof(Element), sizeof(Element));
    words[kept] = (index + static_cast<uint32_t>(k)) << 16 | value;
    kept += (value & mask) != 0;
  }
  return kept;
}

template <typename Element> static void makePositive(Element *elements, size_t count, Element mask) {
  for (size_t k = 0; k < count; ++k)
    elements[k] = (elements[k] & mask) != 0 ? elements[k] : 0;
}

void WireEncoder::makeZerosPositive(uint8_t *elements, size_t count) const {
  if (elementBytes_ == 4)
    makePositive<uint32_t>(reinterpret_cast<uint32_t *>(elements), count, zeroMask());
  else
    makePositive<uint16_t>(reinterpret_cast<uint16_t *>(elements), count, static_cast<uint16_t>(zeroMask()));
}

void WireEncoder::weights(const uint8_t *elements, size_t count, uint32_t index, std::vector<uint32_t> &words) const {
  if (format_ == wexe::WireFormat::Indexed32) {
    words.resize(2 * count);
    size_t kept = 0;
    for (size_t k = 0; k < count; ++k) {
      words[kept] = index + static_cast<uint32_t>(k);
      std::memcpy(&words[kept + 1], elements + k * sizeof(uint32_t), sizeof(uint32_t));
      kept += (words[kept + 1] & 0x7fffffff) != 0 ? 2 : 0; // neither zero nor negative zero
    }
    words.resize(kept);
    return;
  }
  if (format_ != wexe::WireFormat::Indexed16)
    return packWavelets(elements, count, elementBytes(), words);
  words.resize(count);
  // A float is neither zero nor negative zero.
  words.resize(elementBytes_ == 1 ? packIndexed<uint8_t>(elements, count, index, 0xff, words.data()) : packIndexed<uint16_t>(elements, count, index, 0x7fff, words.data()));
}

void WireEncoder::addScalar(const uint8_t *element, uint32_t index, std::vector<uint32_t> &words) const {
  uint32_t value = 0;
  std::memcpy(&value, element, elementBytes());
  words.resize(words.size() + waveletsEach());
  if (isIndexed())
    put(index, value, &words[words.size() - waveletsEach()]);
  else
    words.back() = value;
}

} // namespace wafer
