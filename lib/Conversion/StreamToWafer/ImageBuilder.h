//===- ImageBuilder.h - writes an image: buffers, descriptors, tasks --------===//
//
// Kernels say what they need; this gives each thing a unique name, writes equal descriptors and tasks once and numbers the control tasks.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_CONVERSION_STREAMTOWAFER_IMAGEBUILDER_H
#define WAFER_LIB_CONVERSION_STREAMTOWAFER_IMAGEBUILDER_H

#include "wafer/Dialect/Wafer/Wafer.h"
#include "wafer/Isa/Isa.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

#include <array>
#include <optional>

namespace wafer {

/// Steps of the schedule, counted over the whole program, in which a buffer holds something.
struct LiveRange {
  int64_t first = 0, last = 0;
};

using Extents = std::array<int64_t, 4>;

/// The channels that kernels use, by name in the wafer.program. The prefix keeps them apart from tensors, which have the user's names (argument_c5).
namespace channels {
inline constexpr llvm::StringLiteral command = "wafer.command";
inline constexpr llvm::StringLiteral input = "wafer.input";
inline constexpr llvm::StringLiteral output = "wafer.output";
inline constexpr llvm::StringLiteral chainEast = "wafer.chain_east";
inline constexpr llvm::StringLiteral chainWest = "wafer.chain_west";
inline constexpr llvm::StringLiteral maskEast = "wafer.mask_east";
inline constexpr llvm::StringLiteral maskWest = "wafer.mask_west";
inline constexpr llvm::StringLiteral castWest = "wafer.cast_west";
inline constexpr llvm::StringLiteral chainSouth = "wafer.chain_south";
inline constexpr llvm::StringLiteral groupSums = "wafer.group_sums";
inline constexpr llvm::StringLiteral ring = "wafer.ring";
inline constexpr llvm::StringLiteral pairs = "wafer.pairs";
} // namespace channels

class ImageBuilder {
public:
  explicit ImageBuilder(wfr::ImageOp image);

  mlir::FlatSymbolRefAttr buffer(mlir::Location loc, llvm::StringRef hint, int64_t bytes, LiveRange live, bool inAccumulator = false);
  /// One that the images of loads that continue one another have by this name.
  mlir::FlatSymbolRefAttr keptBuffer(mlir::Location loc, llvm::StringRef name, int64_t bytes, LiveRange live);

  mlir::FlatSymbolRefAttr memory(llvm::StringRef hint, mlir::Type type, mlir::FlatSymbolRefAttr buffer, Extents extents, Extents strides,
                                 wfr::PerCoreAttr perCore = {}, bool inAccumulator = false);
  /// The part of a buffer that begins `offset` bytes behind its begin.
  mlir::FlatSymbolRefAttr memoryAt(int64_t offset, llvm::StringRef hint, mlir::Type type, mlir::FlatSymbolRefAttr buffer, Extents extents, Extents strides);
  /// `valueWithoutSender`: bits that a core without an upstream neighbour reads instead.
  mlir::FlatSymbolRefAttr receive(llvm::StringRef hint, mlir::Type type, llvm::StringRef channel, Extents extents, wfr::PerCoreAttr perCore = {},
                                  std::optional<uint32_t> valueWithoutSender = std::nullopt);
  mlir::FlatSymbolRefAttr send(llvm::StringRef hint, mlir::Type type, llvm::StringRef channel, Extents extents, wfr::PerCoreAttr perCore = {});
  mlir::FlatSymbolRefAttr constant(llvm::StringRef hint, float value);
  /// The number of the core's row in the grid, an i32.
  mlir::FlatSymbolRefAttr rowNumber();

  wfr::PerCoreAttr perCore(wfr::PerCoreKind kind, int64_t dimension, int64_t features = 0);

  mlir::OpBuilder &builder() { return builder_; }
  mlir::Location loc() { return image_.getLoc(); }
  /// Channels that descriptors name.
  const llvm::StringSet<> &channels() const { return usedChannels_; }
  mlir::SymbolRefAttr taskRef(llvm::StringRef task);

private:
  friend class TaskBuilder;
  std::string uniqueName(llvm::StringRef hint);
  mlir::FlatSymbolRefAttr declareBuffer(mlir::Location loc, llvm::StringRef name, int64_t bytes, LiveRange live, bool inAccumulator, bool isKept);
  mlir::FlatSymbolRefAttr descriptor(llvm::StringRef hint, wfr::DescriptorKind kind, mlir::Type type, mlir::FlatSymbolRefAttr on, std::optional<int64_t> offset,
                                     std::optional<Extents> extents, std::optional<Extents> strides, std::optional<int64_t> value, wfr::PerCoreAttr perCore);

  wfr::ImageOp image_;
  mlir::OpBuilder builder_;
  llvm::StringSet<> names_;
  llvm::StringMap<unsigned> nameUses_;
  llvm::StringMap<mlir::FlatSymbolRefAttr> written_;
  llvm::StringMap<wfr::TaskOp> tasks_; ///< by code
  llvm::StringSet<> usedChannels_;
  mlir::Operation *lastDeclaration_ = nullptr;
  int64_t nextControlTask_ = 0;
};

/// Writes one task; `finish` adds the final `end` and gives its reference.
class TaskBuilder {
public:
  TaskBuilder(ImageBuilder &image, mlir::Location loc, llvm::StringRef hint, wfr::TaskKind kind = wfr::TaskKind::Control);

  TaskBuilder &load(uint8_t reg, mlir::FlatSymbolRefAttr descriptor);
  TaskBuilder &bind(mlir::FlatSymbolRefAttr dataTask);
  TaskBuilder &swap(uint8_t a, uint8_t b);
  TaskBuilder &advance(uint8_t reg, int64_t bytes);
  TaskBuilder &emit(const Instruction &insn, mlir::FlatSymbolRefAttr symbol = {});
  mlir::SymbolRefAttr finish();
  /// After `finish`: the task itself or the equal one that was there before.
  mlir::FlatSymbolRefAttr symbol();

private:
  ImageBuilder &image_;
  mlir::Location loc_;
  wfr::TaskOp task_;
  mlir::OpBuilder builder_;
  std::string key_; ///< kind and code
};

/// A vector instruction; `Async` and `clear1` as in docs/spec/machine.md.
Instruction vectorInsn(Opcode opcode, ElementType type, uint8_t dst, uint8_t src0, uint8_t src1 = 0, uint8_t src2 = 0);
Instruction asAsync(Instruction insn);
Instruction clearing(Instruction insn);

/// Element type of a float or integer type; None if the machine has no such type.
ElementType elementTypeOf(mlir::Type type);

} // namespace wafer

#endif // WAFER_LIB_CONVERSION_STREAMTOWAFER_IMAGEBUILDER_H
