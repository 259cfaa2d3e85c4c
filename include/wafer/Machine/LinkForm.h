//===- LinkForm.h - rows of weights between MemoryX and the edge ---*- C++ -*-===//
//
// The forms of docs/spec/weight-stream.md section 3 and how long a row is in them.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_MACHINE_LINKFORM_H
#define WAFER_MACHINE_LINKFORM_H

#include <cstdint>

namespace wafer {

struct LinkForm {
  /// In the order of wexe::LinkFormat and of stream::LinkKind, which begins with Bitmask.
  enum Kind : uint8_t { Wavelets, Bitmask, Structured, Blocks };
  Kind kind = Wavelets;
  unsigned kept = 0; ///< Structured: weights that a group keeps
  unsigned size = 0; ///< Structured, Blocks: neighbours that are a group, or a block

  /// A group has a place for each weight that it keeps, and where in the group that is.
  unsigned placeBits() const {
    unsigned bits = 0;
    while (1u << bits < size)
      ++bits;
    return bits;
  }

  /// Words of 32 bits of a row of `positions` weights of which `count` are sent: those that are not zero, in Blocks all of a block in which one is not. A row that does
  /// not have the structure is a bitmask behind its first word. Not for Wavelets, which are those of the wire format.
  uint64_t words(uint64_t positions, uint64_t count, unsigned elementBits) const {
    auto inWords = [](uint64_t bits) { return (bits + 31) / 32; };
    switch (kind) {
    case Bitmask:
      return inWords(positions) + inWords(count * elementBits);
    case Structured: {
      const uint64_t places = (positions + size - 1) / size * kept;
      return 1 + inWords(places * elementBits) + inWords(places * placeBits());
    }
    case Blocks:
      return inWords((positions + size - 1) / size) + inWords(count * elementBits);
    case Wavelets:
      break;
    }
    return 0;
  }
};

} // namespace wafer

#endif // WAFER_MACHINE_LINKFORM_H
