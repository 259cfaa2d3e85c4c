//===- DisjointObjects.cpp - no part of a file is read twice ---------------===//

#include "DisjointObjects.h"

#include "flatbuffers/minireflect.h"

namespace wafer {

namespace {

using flatbuffers::Table;
using flatbuffers::TypeCode;
using flatbuffers::TypeTable;
using flatbuffers::uoffset_t;

const uint8_t *follow(const uint8_t *offset) { return offset + flatbuffers::ReadScalar<uoffset_t>(offset); }

/// Takes the bytes of each object from what is left and stops when that is not enough, so that the walk is as short as the file.
class Walk {
public:
  explicit Walk(size_t size) : left_(size) {}

  bool table(const Table &table, const TypeTable &type) {
    const uint8_t *vtable = table.GetVTable();
    if (!take(flatbuffers::ReadScalar<flatbuffers::voffset_t>(vtable + sizeof(flatbuffers::voffset_t))))
      return false;
    for (size_t i = 0; i < type.num_elems; ++i) {
      const uint8_t *field = table.GetAddressOf(flatbuffers::FieldIndexToOffset(static_cast<flatbuffers::voffset_t>(i)));
      if (field && !member(field, type.type_codes[i], type))
        return false;
    }
    return true;
  }

private:
  bool take(size_t bytes) {
    if (bytes > left_)
      return false;
    left_ -= bytes;
    return true;
  }

  bool member(const uint8_t *field, const TypeCode &code, const TypeTable &owner) {
    const TypeTable *type = code.sequence_ref >= 0 ? owner.type_refs[code.sequence_ref]() : nullptr;
    const auto elementary = static_cast<flatbuffers::ElementaryType>(code.base_type);
    if (!code.is_repeating)
      return object(field, elementary, type);
    const uint8_t *vector = follow(field);
    const auto count = flatbuffers::ReadScalar<uoffset_t>(vector);
    const size_t element = flatbuffers::InlineSize(elementary, type);
    if (!take(sizeof(uoffset_t) + count * element))
      return false;
    for (uoffset_t i = 0; i < count; ++i)
      if (!object(vector + sizeof(uoffset_t) + i * element, elementary, type))
        return false;
    return true;
  }

  /// What the bytes at `at` refer to, if they refer to something.
  bool object(const uint8_t *at, flatbuffers::ElementaryType elementary, const TypeTable *type) {
    if (elementary == flatbuffers::ET_STRING)
      return take(sizeof(uoffset_t) + flatbuffers::ReadScalar<uoffset_t>(follow(at)));
    if (elementary == flatbuffers::ET_SEQUENCE && type->st == flatbuffers::ST_TABLE)
      return table(*reinterpret_cast<const Table *>(follow(at)), *type);
    return true;
  }

  size_t left_;
};

} // namespace

bool objectsAreDisjoint(const Table &root, const TypeTable &type, size_t size) { return Walk(size).table(root, type); }

} // namespace wafer
