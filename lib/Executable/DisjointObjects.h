//===- DisjointObjects.h - no part of a file is read twice -----*- C++ -*-===//

#ifndef WAFER_LIB_EXECUTABLE_DISJOINTOBJECTS_H
#define WAFER_LIB_EXECUTABLE_DISJOINTOBJECTS_H

#include "flatbuffers/flatbuffers.h"

namespace wafer {

/// Whether the tables, vectors and strings under `root`, each counted as often as something refers to it, have at most `size` bytes together. In a file
/// of `size` bytes they have, unless they share or overlap; a small file that does could unpack to any amount of memory.
/// The buffer has passed the FlatBuffers verifier; `type` is that of `root`.
bool objectsAreDisjoint(const flatbuffers::Table &root, const flatbuffers::TypeTable &type, size_t size);

} // namespace wafer

#endif // WAFER_LIB_EXECUTABLE_DISJOINTOBJECTS_H
