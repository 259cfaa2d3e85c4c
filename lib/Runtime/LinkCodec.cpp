//===- LinkCodec.cpp - rows of weights without their zeros -----------------===//

#include "LinkCodec.h"

#include "hwy/highway.h"

#include <algorithm>
#include <cstring>

namespace wafer {

namespace {

constexpr unsigned wordBits = 32;

size_t wordsOf(size_t bits) { return (bits + wordBits - 1) / wordBits; }

/// `bits` bits from bit `at` on; a number does not cross words when `bits` divides 32.
uint32_t bitsAt(const uint32_t *words, size_t at, unsigned bits) {
  const uint64_t low = words[at / wordBits];
  const unsigned shift = at % wordBits;
  const uint64_t high = shift + bits > wordBits ? words[at / wordBits + 1] : 0;
  return static_cast<uint32_t>((high << wordBits | low) >> shift) & static_cast<uint32_t>((uint64_t(1) << bits) - 1);
}

void putBits(uint32_t *words, size_t at, unsigned bits, uint32_t value) {
  const unsigned shift = at % wordBits;
  words[at / wordBits] |= value << shift;
  if (shift + bits > wordBits)
    words[at / wordBits + 1] |= value >> (wordBits - shift);
}

/// A bit for each of up to 32 elements that has a bit of `mask`.
template <typename Element> uint32_t nonzeros(const Element *elements, size_t count, Element mask) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::CappedTag<Element, wordBits> tag;
  uint32_t bits = 0;
  size_t i = 0;
  for (; i + hn::Lanes(tag) <= count; i += hn::Lanes(tag)) {
    uint8_t some[8] = {};
    hn::StoreMaskBits(tag, hn::Ne(hn::And(hn::LoadU(tag, elements + i), hn::Set(tag, mask)), hn::Zero(tag)), some);
    uint32_t found = 0;
    std::memcpy(&found, some, sizeof(found));
    bits |= found << i;
  }
  for (; i < count; ++i)
    bits |= uint32_t((elements[i] & mask) != 0) << i;
  return bits;
}

template <typename Element> uint64_t countElements(const Element *elements, size_t count, Element mask) {
  uint64_t found = 0;
  for (size_t k = 0; k < count; ++k)
    found += (elements[k] & mask) != 0;
  return found;
}

} // namespace

uint64_t countNonzeros(const uint8_t *elements, size_t count, unsigned elementBytes, uint32_t mask) {
  switch (elementBytes) {
  case 1:
    return countElements<uint8_t>(elements, count, static_cast<uint8_t>(mask));
  case 2:
    return countElements<uint16_t>(reinterpret_cast<const uint16_t *>(elements), count, static_cast<uint16_t>(mask));
  default:
    return countElements<uint32_t>(reinterpret_cast<const uint32_t *>(elements), count, mask);
  }
}

uint64_t LinkCodec::words(const uint8_t *elements, size_t count) {
  if (form_.kind == LinkForm::Bitmask)
    return form_.words(count, countNonzeros(elements, count, elementBytes_, mask_), elementBytes_ * 8);
  encode(elements, count, counted_);
  return counted_.size();
}

void LinkCodec::encode(const uint8_t *elements, size_t count, std::vector<uint32_t> &words) {
  switch (elementBytes_) {
  case 1:
    return encodeRow(elements, count, words);
  case 2:
    return encodeRow(reinterpret_cast<const uint16_t *>(elements), count, words);
  default:
    return encodeRow(reinterpret_cast<const uint32_t *>(elements), count, words);
  }
}

template <typename Element> void LinkCodec::encodeRow(const Element *elements, size_t count, std::vector<uint32_t> &words) {
  words.clear();
  if (form_.kind == LinkForm::Structured) {
    if (encodeStructured(elements, count, words))
      return;
    words.assign(1, 1);
  }
  encodeMasked(elements, count, form_.kind == LinkForm::Blocks ? form_.size : 1, words);
}

/// Values of all places, then where they are in their groups. False when a group has more than its places hold.
template <typename Element> bool LinkCodec::encodeStructured(const Element *elements, size_t count, std::vector<uint32_t> &words) {
  const size_t places = (count + form_.size - 1) / form_.size * form_.kept, values = wordsOf(places * sizeof(Element) * 8);
  words.assign(1 + values + wordsOf(places * form_.placeBits()), 0);
  auto *to = reinterpret_cast<uint8_t *>(&words[1]);
  uint32_t *where = words.data() + 1 + values;
  for (size_t begin = 0, place = 0; begin < count; begin += form_.size, place += form_.kept) {
    size_t used = 0;
    for (size_t k = begin; k < std::min<size_t>(begin + form_.size, count); ++k) {
      if (!(elements[k] & mask_))
        continue;
      if (used == form_.kept)
        return false;
      std::memcpy(to + (place + used) * sizeof(Element), &elements[k], sizeof(Element));
      putBits(where, (place + used) * form_.placeBits(), form_.placeBits(), static_cast<uint32_t>(k - begin));
      ++used;
    }
  }
  return true;
}

/// A bit for each `size` neighbours, then those in which something is not zero.
template <typename Element> void LinkCodec::encodeMasked(const Element *elements, size_t count, unsigned size, std::vector<uint32_t> &words) {
  const size_t head = words.size(), parts = (count + size - 1) / size;
  values_.resize(count * sizeof(Element));
  auto *values = reinterpret_cast<Element *>(values_.data());
  size_t kept = 0;
  words.resize(head + wordsOf(parts), 0);
  uint32_t *mask = words.data() + head;
  if (size == 1) {
    for (size_t begin = 0; begin < count; begin += wordBits) {
      mask[begin / wordBits] = nonzeros(elements + begin, std::min<size_t>(wordBits, count - begin), static_cast<Element>(mask_));
      for (uint32_t bits = mask[begin / wordBits]; bits; bits &= bits - 1)
        values[kept++] = elements[begin + static_cast<unsigned>(__builtin_ctz(bits))];
    }
  } else {
    for (size_t part = 0; part < parts; ++part) {
      const size_t first = part * size, length = std::min<size_t>(size, count - first);
      if (std::none_of(elements + first, elements + first + length, [&](Element element) { return element & mask_; }))
        continue;
      std::copy_n(elements + first, length, values + kept);
      kept += length;
      mask[part / wordBits] |= uint32_t(1) << part % wordBits;
    }
  }
  const size_t bytes = kept * sizeof(Element), at = words.size();
  words.resize(at + (bytes + 3) / 4, 0);
  if (bytes)
    std::memcpy(&words[at], values, bytes);
}

void LinkCodec::decode(const std::vector<uint32_t> &words, size_t count, Row &row) const {
  // As many as there may be; what is not there is cut off.
  row.positions.resize(count);
  row.values.resize(count);
  size_t kept = 0;
  if (count > 0)
    kept = elementBytes_ == 1 ? decodeRow<uint8_t>(words.data(), count, row) : elementBytes_ == 2 ? decodeRow<uint16_t>(words.data(), count, row) : decodeRow<uint32_t>(words.data(), count, row);
  row.positions.resize(kept);
  row.values.resize(kept);
}

template <typename Element> size_t LinkCodec::decodeRow(const uint32_t *words, size_t count, Row &row) const {
  if (form_.kind != LinkForm::Structured)
    return decodeMasked<Element>(words, count, form_.kind == LinkForm::Blocks ? form_.size : 1, row);
  if (*words++ != 0)
    return decodeMasked<Element>(words, count, 1, row);
  const size_t places = (count + form_.size - 1) / form_.size * form_.kept;
  const auto *values = reinterpret_cast<const uint8_t *>(words);
  const uint32_t *where = words + wordsOf(places * sizeof(Element) * 8);
  size_t kept = 0;
  for (size_t place = 0; place < places; ++place) {
    Element value;
    std::memcpy(&value, values + place * sizeof(Element), sizeof(Element));
    if (!(value & mask_))
      continue; // a place that its group did not need
    row.positions[kept] = static_cast<uint32_t>(place / form_.kept * form_.size + bitsAt(where, place * form_.placeBits(), form_.placeBits()));
    row.values[kept++] = value;
  }
  return kept;
}

template <typename Element> size_t LinkCodec::decodeMasked(const uint32_t *words, size_t count, unsigned size, Row &row) const {
  const size_t parts = (count + size - 1) / size;
  const auto *from = reinterpret_cast<const uint8_t *>(words + wordsOf(parts));
  size_t kept = 0;
  for (size_t word = 0; word < wordsOf(parts); ++word)
    for (uint32_t bits = words[word]; bits; bits &= bits - 1) {
      const size_t first = (word * wordBits + static_cast<unsigned>(__builtin_ctz(bits))) * size, end = std::min<size_t>(first + size, count);
      for (size_t k = first; k < end; ++k, from += sizeof(Element)) {
        Element value;
        std::memcpy(&value, from, sizeof(Element));
        if (!(value & mask_))
          continue;
        row.positions[kept] = static_cast<uint32_t>(k);
        row.values[kept++] = value;
      }
    }
  return kept;
}

} // namespace wafer
