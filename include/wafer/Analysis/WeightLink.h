//===- WeightLink.h - how a weight travels to the edge ------------------------===//
//
// What a `#sparse_tensor.encoding` says of zeros, and the form on MemoryX's link that suits a contraction's weight.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_ANALYSIS_WEIGHTLINK_H
#define WAFER_ANALYSIS_WEIGHTLINK_H

#include "wafer/Dialect/Stream/Stream.h"
#include "wafer/Machine/LinkForm.h"

namespace wafer {

/// How neighbours along dimension `dim` have zeros in common: Structured, Blocks, or Bitmask where nothing is known.
LinkForm structureAlong(mlir::Attribute encoding, unsigned dim);

/// What the contraction streams.
stream::TensorOp weightOf(stream::ContractOp contract);

/// Part of a weight's elements that is not zero; nothing where it is not known.
std::optional<double> densityOf(stream::TensorOp weight);

/// The shortest form of the weight's rows on the link beside this wire format; Wavelets unless its zeros are counted.
LinkForm shortestLink(stream::ContractOp contract, stream::TensorOp weight, stream::WireFormat wire);
/// Words of a row in that form.
uint64_t wordsOfRow(stream::ContractOp contract, stream::TensorOp weight, LinkForm link);

/// Gives the contraction the wire format, and with it the shortest link if it has none.
void setWireFormat(stream::ContractOp contract, stream::WireFormat wire);

} // namespace wafer

#endif // WAFER_ANALYSIS_WEIGHTLINK_H
