//===- FunctionalVector.h - vector instructions in bulk ----------------------===//
//
// The same results as CoreModel::element, many elements at a time, wherever the order of reads and writes cannot be told from the result.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALVECTOR_H
#define WAFER_LIB_EMULATOR_FUNCTIONALVECTOR_H

#include "CoreModel.h"

namespace wafer {

/// Whether the elements lie one behind the other.
bool isContiguous(const Descriptor &descriptor);

/// Whether it makes no difference that many elements are read before the first is written: what is written (the destination, and src1 under clear1) lies
/// apart from each source or exactly on it.
bool mayReadAhead(const Operation &op);

/// Float operations that `combine` knows.
bool isCombination(const Instruction &insn);
/// result[j] = a[j] op b[j] in f32, NaN as the specification says. `b` is not read by mov; the result may be one of the operands.
void combine(Opcode opcode, const float *a, const float *b, float *result, size_t n);

/// Elements of a float type as floats, and back with rounding to nearest even.
void loadFloats(ElementType type, const uint8_t *from, float *to, size_t n);
void storeFloats(ElementType type, const float *from, uint8_t *to, size_t n);

/// Whether an operation moves elements of one type between contiguous memory and the fabric: words go as they are.
bool movesWords(const Operation &op);
/// Moves the next `n` elements of such an operation: `in` holds the wavelets if it receives, what it sends is appended to `out`. Returns how many wavelets of
/// `in` were taken. Of 16-bit elements `n` is even or all that are left.
size_t moveWords(CoreModel &model, Operation &op, size_t n, const uint32_t *in, std::vector<uint32_t> &out);

/// Runs all elements of an operation that touches memory only, if it is one of floats in an order that allows it; false: nothing was done.
bool runInMemory(CoreModel &model, Operation &op);

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALVECTOR_H
