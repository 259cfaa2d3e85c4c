//===- LinkCodec.h - rows of weights without their zeros -------------------===//
//
// The forms of docs/spec/weight-stream.md section 3: what MemoryX sends for a row of a weight, and what the edge of the wafer makes of it.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_RUNTIME_LINKCODEC_H
#define WAFER_LIB_RUNTIME_LINKCODEC_H

#include "wafer/Machine/LinkForm.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace wafer {

/// Elements of one, two or four bytes, at an address that suits them, that have a bit of `mask`.
uint64_t countNonzeros(const uint8_t *elements, size_t count, unsigned elementBytes, uint32_t mask);

class LinkCodec {
public:
  /// Of elements of one, two or four bytes, of which those are zero that have no bit of `mask`.
  LinkCodec(LinkForm form, unsigned elementBytes, uint32_t mask) : form_(form), elementBytes_(elementBytes), mask_(mask) {}

  /// A row for the link.
  void encode(const uint8_t *elements, size_t count, std::vector<uint32_t> &words);

  /// How many words that makes.
  uint64_t words(const uint8_t *elements, size_t count);

  /// A row as the edge has it: weights that are not zero, in order.
  struct Row {
    std::vector<uint32_t> positions, values;
  };
  /// Of what `encode` made of `count` elements.
  void decode(const std::vector<uint32_t> &words, size_t count, Row &row) const;

private:
  template <typename Element> void encodeRow(const Element *elements, size_t count, std::vector<uint32_t> &words);
  template <typename Element> bool encodeStructured(const Element *elements, size_t count, std::vector<uint32_t> &words);
  template <typename Element> void encodeMasked(const Element *elements, size_t count, unsigned size, std::vector<uint32_t> &words);
  /// Return how many there are.
  template <typename Element> size_t decodeRow(const uint32_t *words, size_t count, Row &row) const;
  template <typename Element> size_t decodeMasked(const uint32_t *words, size_t count, unsigned size, Row &row) const;

  const LinkForm form_;
  const unsigned elementBytes_;
  const uint32_t mask_;
  std::vector<uint8_t> values_;   ///< of the row that is encoded
  std::vector<uint32_t> counted_; ///< a row for the link whose length was asked for
};

} // namespace wafer

#endif // WAFER_LIB_RUNTIME_LINKCODEC_H
