//===- CycleCore.h - one core, cycle by cycle --------------------------------===//
//
// The task at work, the microthreads beside it, and the one datapath they share.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_CYCLECORE_H
#define WAFER_LIB_EMULATOR_CYCLECORE_H

#include "CoreModel.h"
#include "CycleFabric.h"

#include <algorithm>
#include <map>
#include <optional>

namespace wafer {

/// What a core did in a cycle; names are those of EngineStats::coreCycles.
enum class Activity : uint8_t { Busy, Microthread, WaitCommand, WaitFabricIn, WaitFabricOut, WaitConflict, WaitSlot };
inline constexpr unsigned numActivities = 7;

/// One of the things a core has at hand, and why it does not go on: a microthread, or what the task does.
struct Blocked {
  enum Reason { Command, Input, Room, Conflict, Slot } reason = Command;
  int pc = -1;                             ///< of the instruction, -1: no task is at work
  unsigned colour = 0;                     ///< Command, Input, Room
  size_t behind = 0;                       ///< Conflict: the microthread that is in the way
  int inputColour = -1, outputColour = -1; ///< what it takes and makes
};

class CycleCore {
public:
  CycleCore(const LoadedProgram &program, const ImageModel &image, uint16_t x, uint16_t y, const uint64_t &clock, const EngineOptions &options,
            std::shared_ptr<uint8_t> memory);

  /// One cycle. Takes from and gives to the ramp of the core's router.
  Activity step(CycleFabric &fabric, EngineStats &stats);
  /// Whether the last step changed nothing, so that the next will not either before a wavelet arrives (and is ready) or leaves.
  bool stuck() const { return !changed_; }
  /// Whether the core has nothing to do but to wait for commands.
  bool quiet() const { return !task_ && !trigger_ && microthreads_.empty() && busy_ == 0; }
  /// The task at work: its number among those that the core ran, and the pc where it begins. Data tasks in a row are one.
  struct TaskAtWork {
    uint64_t serial;
    uint16_t entry;
  };
  std::optional<TaskAtWork> taskAtWork() const;
  /// The oldest microthread that hands on wavelets, from or to the colour, or null. Without data, its elements may become fewer.
  Operation *relayOf(uint8_t colour);
  /// Microthreads, oldest first, then the task. Only meaningful when nothing moves any more.
  std::vector<Blocked> blocked(const RampQueues &queues) const;

  CoreModel model;
  const uint32_t router;

private:
  struct Running {
    Operation operation;
    uint32_t setup = 0; ///< cycles before the first element
    uint64_t lanes = 1; ///< elements in a cycle, at most
    bool isFree = false; ///< no earlier operation is in the way; it stays so
  };
  enum class Readiness { Ready, NoInput, NoRoom };
  static constexpr size_t noConflict = SIZE_MAX;

  uint64_t lanesOf(const Operation &op) const;
  uint64_t fmacLanesOf(const Operation &op) const;
  static uint64_t groupOf(const Running &running) { return std::min(running.lanes, running.operation.elements - running.operation.done); }
  Readiness readiness(const Running &running, const RampQueues &queues) const;
  void advance(Running &running, CycleFabric &fabric, EngineStats &stats);
  /// First of the `older` oldest microthreads that is in the way.
  template <typename Later> size_t conflictOf(const Later &later, size_t older) const;
  bool stepMicrothreads(CycleFabric &fabric, EngineStats &stats);
  Activity stepTask(CycleFabric &fabric, EngineStats &stats, bool datapathFree);
  Activity sumWaits(const RampQueues &queues) const;
  uint64_t products() const;
  Activity stepTrigger(CycleFabric &fabric, EngineStats &stats, bool datapathFree);
  Activity stepOperation(CycleFabric &fabric, EngineStats &stats, bool datapathFree);
  std::optional<Activity> fetch(EngineStats &stats);
  void startTask(uint32_t number);
  void startCommand(CycleFabric &fabric, EngineStats &stats);
  Blocked describe(const Running &running, size_t older, const RampQueues &queues) const;

  const Machine &machine_;
  std::map<uint16_t, double> nonzeros_; ///< by pc of the control task that bound the trigger
  const uint64_t &now_;
  bool changed_ = false;
  uint32_t busy_ = 0; ///< cycles that the current step still takes

  std::optional<uint16_t> task_; ///< pc of the next instruction of the control task at work
  uint16_t taskEntry_ = 0;
  uint64_t taskSerial_ = 0;
  std::optional<Running> operation_; ///< the task waits for it
  std::optional<Trigger> bound_; ///< the trigger of data wavelets, until a descriptor or what is bound changes
  Trigger *trigger_ = nullptr;   ///< that, while it is at work
  bool triggerIsFree_ = false; ///< no microthread is in its way; it stays so
  unsigned triggerValue_ = 0;
  uint64_t triggerElement_ = 0;
  std::vector<Running> microthreads_; ///< oldest first
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_CYCLECORE_H
