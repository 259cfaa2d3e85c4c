//===- Wire.h - weights as wavelets ---------------------------------------===//
//
// The wire formats of docs/spec/weight-stream.md.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_RUNTIME_WIRE_H
#define WAFER_LIB_RUNTIME_WIRE_H

#include "wafer/Executable/Executable.h"

namespace wafer {

/// Wavelets of `count` elements of one, two or four bytes that lie one after another: four or two to a wavelet, the earliest one in the
/// lowest bits, what is left of the last one 0. `words` becomes these and keeps its room.
void packWavelets(const uint8_t *elements, size_t count, unsigned elementBytes, std::vector<uint32_t> &words);

/// Encodes weights that already have the type of the wire.
class WireEncoder {
public:
  WireEncoder(wexe::WireFormat format, unsigned elementBytes) : format_(format), elementBytes_(elementBytes) {}

  unsigned elementBytes() const { return elementBytes_; }
  bool isIndexed() const { return format_ == wexe::WireFormat::Indexed16 || format_ == wexe::WireFormat::Indexed32; }
  /// Bits of an element of which one is set unless it is a zero, of either sign.
  uint32_t zeroMask() const {
    const uint32_t all = elementBytes_ == 1 ? 0xff : elementBytes_ == 2 ? 0xffff : 0xffffffff;
    return elementBytes_ > 1 ? all >> 1 : all;
  }
  /// With an index: wavelets of a weight, and these.
  size_t waveletsEach() const { return format_ == wexe::WireFormat::Indexed32 ? 2 : 1; }
  void put(uint32_t index, uint32_t value, uint32_t *words) const {
    if (format_ == wexe::WireFormat::Indexed32)
      words[0] = index, words[1] = value;
    else
      words[0] = index << 16 | value;
  }
  /// The instruction that takes the wavelets of floats.
  Opcode trigger() const {
    return format_ == wexe::WireFormat::Dense32 ? Opcode::Fmacd : format_ == wexe::WireFormat::Packed16 ? Opcode::Fmacp : format_ == wexe::WireFormat::Indexed16 ? Opcode::Fmacw : Opcode::Fmacx;
  }
  /// Of floats, at addresses that suit them.
  void makeZerosPositive(uint8_t *elements, size_t count) const;
  /// A column's weights, `index` that of the first. Zeros are left out where wavelets carry an index.
  void weights(const uint8_t *elements, size_t count, uint32_t index, std::vector<uint32_t> &words) const;
  /// How many weights that many wavelets carry, of a column that has `count`.
  uint64_t valuesIn(size_t wavelets, size_t count) const {
    return format_ == wexe::WireFormat::Indexed16 ? wavelets : format_ == wexe::WireFormat::Indexed32 ? wavelets / 2 : count;
  }
  /// A bias, gamma or beta, behind the words that are there: sent whatever its value.
  void addScalar(const uint8_t *element, uint32_t index, std::vector<uint32_t> &words) const;

private:
  wexe::WireFormat format_;
  unsigned elementBytes_;
};

} // namespace wafer

#endif // WAFER_LIB_RUNTIME_WIRE_H
