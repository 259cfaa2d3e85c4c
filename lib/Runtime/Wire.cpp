//===- Wire.cpp - weights as wavelets -------------------------------------===//

#include "Wire.h"

#include <cstring>

namespace wafer {

std::vector<uint32_t> packWavelets(const uint8_t *elements, size_t count, unsigned elementBytes) {
  // Hosts are little endian, as safetensors are: the first element's bytes are the low ones.
  std::vector<uint32_t> words((count * elementBytes + 3) / 4);
  if (!words.empty())
    std::memcpy(words.data(), elements, count * elementBytes);
  return words;
}

std::vector<uint32_t> WireEncoder::weights(const uint8_t *elements, size_t count) const {
  if (format_ != wexe::WireFormat::Indexed16)
    return packWavelets(elements, count, elementBytes());
  std::vector<uint32_t> words;
  words.reserve(count);
  for (size_t k = 0; k < count; ++k) {
    uint16_t value;
    std::memcpy(&value, elements + k * sizeof value, sizeof value);
    if (value & 0x7fff) // neither zero nor negative zero
      words.push_back(static_cast<uint32_t>(k) << 16 | value);
  }
  return words;
}

uint32_t WireEncoder::scalar(const uint8_t *element) const {
  uint32_t word = 0;
  std::memcpy(&word, element, elementBytes());
  return word;
}

} // namespace wafer
