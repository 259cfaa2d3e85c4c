//===- FunctionalPanels.cpp - what arriving weights multiply, ready for it ----===//

#include "FunctionalPanels.h"

#include "wafer/Emulator/NumberFormats.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace wafer {

namespace {

/// The rows of a contraction, the ones of its bias, and one more.
constexpr size_t mostPanels = 3;

float loadElement(const uint8_t *at, ElementType type) {
  uint32_t bits = 0;
  std::memcpy(&bits, at, byteSize(type));
  return numberFromBits(type, bits).f;
}

} // namespace

PackedRows &FunctionalPanels::of(const Descriptor &rows, const Footprint &footprint) {
  PackedRows &packed = tilesOf(rows, footprint);
  for (size_t tile = 0; tile < packed.isPacked.size(); ++tile)
    packTile(packed, tile);
  return packed;
}

PackedRows &FunctionalPanels::tilesOf(const Descriptor &rows, const Footprint &footprint) {
  for (PackedRows &known : packed_)
    if (sameDescriptor(known.rows, rows))
      return known;
  if (packed_.size() == mostPanels)
    packed_.erase(packed_.begin());
  Descriptor row = rows;
  row.extent[0] = 1;
  const size_t count = rows.extent[0], width = row.elements() * cores_.size(), tiles = (width + tileWidth - 1) / tileWidth;
  PackedRows packed{rows, footprint, pool_.make(tiles * count * tileWidth), {}, ++packings_, {}, std::vector<char>(tiles)};
  packed.panel = {packed.values.data(), count, width};
  if (width % tileWidth != 0)
    std::fill_n(packed.values.data() + (tiles - 1) * count * tileWidth, count * tileWidth, 0.0f);
  if (!isContiguous(row) || (rows.type != wexe::ElemType::F16 && rows.type != wexe::ElemType::F32))
    packElements(packed);
  packed_.push_back(std::move(packed));
  return packed_.back();
}

const std::vector<uint32_t> &FunctionalPanels::nonzerosOf(const Descriptor &rows, const Footprint &footprint) {
  PackedRows &packed = of(rows, footprint);
  const Panel &panel = packed.panel;
  if (packed.nonzeros.empty()) {
    packed.nonzeros.resize(panel.rows);
    for (size_t at = 0; at < panel.width; at += tileWidth)
      for (size_t k = 0; k < panel.rows; ++k) {
        const float *numbers = panel.data + at * panel.rows + k * tileWidth;
        for (size_t j = 0, n = std::min(tileWidth, panel.width - at); j < n; ++j)
          packed.nonzeros[k] += numbers[j] != 0;
      }
  }
  return packed.nonzeros;
}

uint64_t FunctionalPanels::productsOf(const Descriptor &rows, const Footprint &footprint, const uint32_t *indices, size_t count) {
  const std::vector<uint32_t> &nonzeros = nonzerosOf(rows, footprint);
  uint64_t products = 0;
  for (size_t i = 0; i < count; ++i)
    products += nonzeros[indices ? indices[i] : i];
  return products;
}

void FunctionalPanels::forget(const Footprint &footprint) {
  for (size_t i = packed_.size(); i-- > 0;)
    if (packed_[i].footprint.overlaps(footprint))
      packed_.erase(packed_.begin() + static_cast<long>(i));
}

/// Rows that lie one element behind the other.
void FunctionalPanels::packTile(PackedRows &packed, size_t tile) const {
  if (std::exchange(packed.isPacked[tile], 1))
    return;
  const Descriptor &rows = packed.rows;
  const Panel &panel = packed.panel;
  const size_t each = panel.width / cores_.size(), begin = tile * tileWidth, end = std::min(begin + tileWidth, panel.width);
  const ElementType type = elementType(rows.type);
  const int64_t rowBytes = int64_t(rows.stride[0]) * byteSize(type);
  float *to = packed.values.data() + begin * panel.rows;
  // The part of each core.
  for (size_t at = begin, some = 0; panel.rows > 0 && at < end; at += some) {
    some = std::min(each - at % each, end - at);
    const uint8_t *from = cores_[at / each]->model.memory(rows.kind) + rows.base + at % each * byteSize(type);
    widenRows(from, type, some, panel.rows, rowBytes, to + (at - begin), tileWidth);
  }
}

/// Rows however they lie.
void FunctionalPanels::packElements(PackedRows &packed) const {
  Descriptor row = packed.rows;
  row.extent[0] = 1;
  const ElementType type = elementType(row.type);
  const size_t count = packed.panel.rows, each = row.elements();
  for (size_t i = 0; i < cores_.size(); ++i) {
    const uint8_t *memory = cores_[i]->model.memory(row.kind);
    for (size_t k = 0; k < count; ++k) {
      row.base = static_cast<uint32_t>(packed.rows.base + static_cast<int64_t>(k) * packed.rows.stride[0] * byteSize(type));
      Walk walk(row);
      for (size_t at = i * each; at < (i + 1) * each; ++at) {
        packed.values.data()[(at / tileWidth * count + k) * tileWidth + at % tileWidth] = loadElement(memory + walk.address(), type);
        walk.next();
      }
    }
  }
  std::fill(packed.isPacked.begin(), packed.isPacked.end(), 1);
}

bool zerosAddNothing(const Trigger &trigger, const float *weights, size_t count) {
  return trigger.insn.type == ElementType::F16 && trigger.rows.type == wexe::ElemType::F16 &&
         std::all_of(weights, weights + count, [](float value) { return std::isfinite(value); });
}

bool decodeWeights(const Trigger &trigger, const uint32_t *payload, size_t count, uint32_t first, Weights &weights) {
  const ElementType type = trigger.insn.type;
  const uint32_t rows = trigger.rows.extent[0];
  const uint8_t *bytes = reinterpret_cast<const uint8_t *>(payload);
  weights.rows.clear();
  if (trigger.insn.opcode == Opcode::Fmacw) {
    weights.values.resize(count);
    weights.rows.resize(count);
    for (size_t i = 0; i < count; ++i) {
      weights.rows[i] = payload[i] >> 16;
      weights.values[i] = type == ElementType::F16 ? f16ToF32(static_cast<uint16_t>(payload[i])) : bf16ToF32(static_cast<uint16_t>(payload[i]));
      if (weights.rows[i] >= rows)
        return false;
    }
    return true;
  }
  if (trigger.insn.opcode == Opcode::Fmacx) {
    if (first != 0 || count % 2 != 0)
      return false; // a pair is cut in two
    weights.values.resize(count / 2);
    weights.rows.resize(count / 2);
    for (size_t i = 0; i < count / 2; ++i) {
      weights.rows[i] = payload[2 * i];
      std::memcpy(&weights.values[i], &payload[2 * i + 1], sizeof(float));
      if (weights.rows[i] >= rows)
        return false;
    }
    return true;
  }
  // The last wavelet's low half has to be a row; its high half may be padding.
  const size_t perWavelet = trigger.insn.opcode == Opcode::Fmacp ? 2 : 1;
  if (uint64_t(first) + (count - 1) * perWavelet >= rows)
    return false;
  const size_t numbers = std::min<size_t>(count * perWavelet, rows - first);
  weights.values.resize(numbers);
  if (perWavelet == 1)
    std::memcpy(weights.values.data(), payload, numbers * sizeof(float));
  else if (type == ElementType::F16)
    widenF16(bytes, weights.values.data(), numbers);
  else
    for (size_t i = 0; i < numbers; ++i)
      weights.values[i] = loadElement(bytes + 2 * i, type);
  if (first != 0)
    for (size_t i = 0; i < numbers; ++i)
      weights.rows.push_back(static_cast<uint32_t>(first + i));
  return true;
}

} // namespace wafer
