//===- AllocateSram.cpp - wafer-allocate-sram ---------------------------------===//

#include "MachineOf.h"

#include "wafer/Dialect/PE/PE.h"
#include "wafer/Dialect/Wafer/Transforms/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace wafer::wfr {
#define GEN_PASS_DEF_ALLOCATESRAM
#include "wafer/Dialect/Wafer/Transforms/Passes.h.inc"

namespace {

constexpr int64_t alignment = 8;
constexpr int64_t instructionBytes = 8;
constexpr int64_t templateBytes = 32;

class AllocateSram : public impl::AllocateSramBase<AllocateSram> {
public:
  void runOnOperation() override {
    FailureOr<Machine> machine = machineOf(getOperation());
    if (failed(machine))
      return signalPassFailure();
    for (ArrayRef<ImageOp> images : chains()) {
      int64_t code = 0;
      for (ImageOp image : images) {
        int64_t instructions = 0;
        image.walk([&](pe::InstructionOpInterface) { ++instructions; });
        int64_t templates = std::distance(image.getOps<DescriptorOp>().begin(), image.getOps<DescriptorOp>().end());
        code = std::max(code, instructions * instructionBytes + templates * templateBytes);
      }
      if (failed(allocate(images, /*acc=*/false, code, machine->sramBytes, machine->name)) ||
          failed(allocate(images, /*acc=*/true, 0, machine->accumulatorBytes, machine->name)))
        return signalPassFailure();
    }
  }

private:
  /// Images of loads that continue one another, and those of the others one by one.
  SmallVector<SmallVector<ImageOp>> chains() {
    llvm::DenseMap<int64_t, int64_t> firstOf; // of a load that continues others, the first of them
    std::optional<int64_t> before;
    getOperation().walk([&](Operation *op) {
      auto phase = dyn_cast<PhaseOp>(op);
      const int64_t load = phase ? static_cast<int64_t>(phase.getLoad()) : -1;
      if (phase && phase.getContinues() && before)
        firstOf[load] = firstOf.contains(*before) ? firstOf[*before] : *before;
      if (phase || isa<CallOp, EntryOp>(op))
        before = phase ? std::optional<int64_t>(load) : std::nullopt;
    });
    SmallVector<SmallVector<ImageOp>> chains;
    llvm::DenseMap<int64_t, size_t> places;
    for (auto image : getOperation().getOps<ImageOp>()) {
      const int64_t load = image.getLoad();
      auto first = firstOf.find(load);
      auto [place, isNew] = places.try_emplace(first == firstOf.end() ? load : first->second, chains.size());
      if (isNew)
        chains.emplace_back();
      chains[place->second].push_back(image);
    }
    return chains;
  }

  LogicalResult allocate(ArrayRef<ImageOp> images, bool acc, int64_t reserved, int64_t limit, StringRef machine) {
    SmallVector<BufferOp> placed, open;
    llvm::StringMap<SmallVector<BufferOp>> same; // kept buffers of later images, by name
    for (ImageOp image : images)
      for (auto buffer : image.getOps<BufferOp>()) {
        if (buffer.getAcc() != acc)
          continue;
        if (buffer.getKept() && !buffer.getAddress() && !same.try_emplace(buffer.getSymName()).second)
          same[buffer.getSymName()].push_back(buffer);
        else
          (buffer.getAddress() ? placed : open).push_back(buffer);
      }
    auto isLarger = [](BufferOp a, BufferOp b) {
      return a.getBytes() != b.getBytes() ? a.getBytes() > b.getBytes() : a->getParentOp() == b->getParentOp() ? a->isBeforeInBlock(b) : a->getParentOp()->isBeforeInBlock(b->getParentOp());
    };
    llvm::sort(open, isLarger);

    int64_t end = reserved;
    for (BufferOp buffer : placed)
      end = std::max<int64_t>(end, *buffer.getAddress() + buffer.getBytes());
    for (BufferOp buffer : open) {
      int64_t address = lowestFree(buffer, placed, reserved);
      buffer.setAddressAttr(Builder(buffer).getI64IntegerAttr(address));
      for (BufferOp other : same.lookup(buffer.getSymName()))
        other.setAddressAttr(buffer.getAddressAttr());
      placed.push_back(buffer);
      end = std::max<int64_t>(end, address + buffer.getBytes());
    }
    if (!acc)
      sramBytes = std::max<uint64_t>(sramBytes, end);
    if (end <= limit)
      return success();

    InFlightDiagnostic diag = ImageOp(images.front()).emitOpError();
    if (acc)
      diag << "needs " << end << " bytes of accumulators, but machine '" << machine << "' has " << limit << "; use a smaller token block";
    else
      diag << "needs " << end << " bytes of SRAM (" << reserved << " of them code and descriptors), but machine '" << machine << "' has " << limit
           << "; use more columns or a smaller token block";
    llvm::sort(placed, isLarger);
    for (BufferOp buffer : ArrayRef(placed).take_front(3))
      diag.attachNote(buffer.getLoc()) << "buffer '@" << buffer.getSymName() << "' takes " << buffer.getBytes() << " bytes";
    return diag;
  }

  /// The lowest aligned address where no buffer that lives at the same time lies.
  static int64_t lowestFree(BufferOp buffer, ArrayRef<BufferOp> placed, int64_t from) {
    SmallVector<std::pair<int64_t, int64_t>> taken;
    for (BufferOp other : placed)
      if (buffer.getFirst() <= other.getLast() && other.getFirst() <= buffer.getLast())
        taken.push_back({*other.getAddress(), *other.getAddress() + other.getBytes()});
    llvm::sort(taken);
    int64_t address = llvm::alignTo(from, alignment);
    for (auto [low, high] : taken) {
      if (address + static_cast<int64_t>(buffer.getBytes()) <= low)
        break;
      address = std::max<int64_t>(address, llvm::alignTo(high, alignment));
    }
    return address;
  }
};

} // namespace
} // namespace wafer::wfr
