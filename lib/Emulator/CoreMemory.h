//===- CoreMemory.h - what cores have in memory -------------------------------===//
//
// Zeros, which the host has no page for until they are touched. Cores of one engine lie side by side in large pages where the host has such: what they do together
// touches as many pages as there are cores.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_COREMEMORY_H
#define WAFER_LIB_EMULATOR_COREMEMORY_H

#include <cstddef>
#include <cstdint>
#include <memory>

namespace wafer {

class CoreMemory {
public:
  CoreMemory(size_t cores, size_t bytesEach);
  /// Of one core; stays as long as somebody has it.
  std::shared_ptr<uint8_t> of(size_t core) const { return {all_, all_.get() + core * each_}; }

private:
  size_t each_;
  std::shared_ptr<uint8_t> all_;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_COREMEMORY_H
