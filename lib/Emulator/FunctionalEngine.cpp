//===- FunctionalEngine.cpp - the fast engine on bursts ----------------------===//
//
// A program is a network of sequential processes joined by FIFO channels (Kahn), so cores may run in any order, each until it lacks input. Routes are resolved to
// receivers once. With one thread, words go straight into the receiver's queue; with several, ready cores run in rounds and what they send is delivered between
// rounds. Either way the results are the same.
//
//===----------------------------------------------------------------------===//

#include "FunctionalCore.h"

#include <atomic>
#include <exception>
#include <thread>

namespace wafer {

namespace {

/// Bursts that are read ahead when no core can go on: enough to amortise a round, few enough to bound memory.
constexpr unsigned burstsPerFeed = 256;

struct Target {
  std::vector<uint32_t> cores;
  std::vector<uint16_t> ports;
};

class FunctionalEngine final : public Engine, private WordSink {
public:
  FunctionalEngine(const LoadedProgram &program, const EngineOptions &options);
  std::string_view name() const override { return "functional"; }
  EngineStats run(Ingress &in, Egress &out) override;

private:
  /// What cores sent in a round, per thread.
  class Outbox final : public WordSink {
  public:
    void send(uint32_t core, unsigned colour, const uint32_t *words, size_t count) override {
      messages_.push_back({core, colour, words_.size(), count});
      words_.insert(words_.end(), words, words + count);
    }
    void deliverTo(FunctionalEngine &engine) {
      for (const Message &message : messages_)
        engine.send(message.core, message.colour, words_.data() + message.first, message.count);
      messages_.clear();
      words_.clear();
    }

  private:
    struct Message {
      uint32_t core;
      unsigned colour;
      size_t first, count;
    };
    std::vector<Message> messages_;
    std::vector<uint32_t> words_;
  };

  void send(uint32_t core, unsigned colour, const uint32_t *words, size_t count) override;
  void deliver(const Target &target, unsigned colour, const uint32_t *words, size_t count);
  void wake(uint32_t core);
  bool feed(Ingress &in);
  void runReady();
  void runRound();
  const Target &targetOf(uint32_t core, unsigned colour);
  const Target &targetOfPort(uint16_t port, unsigned colour);

  const LoadedProgram &program_;
  unsigned threads_;
  std::vector<ImageModel> images_;
  std::vector<FunctionalCore> cores_;
  std::vector<int32_t> coreAt_;
  std::vector<std::vector<std::unique_ptr<Target>>> targets_, portTargets_; ///< by core or port, then colour; made when first used
  std::deque<uint32_t> ready_;
  std::vector<char> isReady_;
  Egress *egress_ = nullptr;
  EngineStats stats_;
};

FunctionalEngine::FunctionalEngine(const LoadedProgram &program, const EngineOptions &options)
    : program_(program), threads_(std::max(1u, options.threads)), images_(imageModels(program)) {
  const Machine &machine = program.machine();
  coreAt_.assign(size_t(machine.width) * machine.height, -1);
  for (uint32_t y = 0; y < machine.height; ++y)
    for (uint32_t x = 0; x < machine.width; ++x)
      if (int region = program.regionAt(x, y); region >= 0) {
        uint32_t number = static_cast<uint32_t>(cores_.size());
        coreAt_[size_t(y) * machine.width + x] = static_cast<int32_t>(number);
        cores_.emplace_back(program, images_[program.program().regions[region]->image], static_cast<uint16_t>(x), static_cast<uint16_t>(y), number);
      }
  targets_.resize(cores_.size());
  portTargets_.resize(machine.width);
  isReady_.resize(cores_.size());
}

const Target &FunctionalEngine::targetOf(uint32_t core, unsigned colour) {
  auto &byColour = targets_[core];
  byColour.resize(program_.machine().colours);
  if (!byColour[colour]) {
    Receivers receivers = receiversOf(program_, cores_[core].model.x, cores_[core].model.y, colour);
    auto target = std::make_unique<Target>();
    for (auto [x, y] : receivers.cores)
      target->cores.push_back(static_cast<uint32_t>(coreAt_[size_t(y) * program_.machine().width + x]));
    target->ports = receivers.ports;
    byColour[colour] = std::move(target);
  }
  return *byColour[colour];
}

const Target &FunctionalEngine::targetOfPort(uint16_t port, unsigned colour) {
  auto &byColour = portTargets_[port];
  byColour.resize(program_.machine().colours);
  if (!byColour[colour]) {
    Receivers receivers = receiversOfPort(program_, port, colour);
    auto target = std::make_unique<Target>();
    for (auto [x, y] : receivers.cores)
      target->cores.push_back(static_cast<uint32_t>(coreAt_[size_t(y) * program_.machine().width + x]));
    target->ports = receivers.ports;
    byColour[colour] = std::move(target);
  }
  return *byColour[colour];
}

void FunctionalEngine::wake(uint32_t core) {
  if (isReady_[core])
    return;
  isReady_[core] = 1;
  ready_.push_back(core);
}

void FunctionalEngine::deliver(const Target &target, unsigned colour, const uint32_t *words, size_t count) {
  for (uint32_t core : target.cores) {
    FunctionalCore &receiver = cores_[core];
    if (colour == receiver.model.image.commandColour) {
      auto burst = std::make_shared<CommandBurst>();
      burst->data.assign(words, words + count);
      receiver.commands.push_back(std::move(burst));
    } else {
      receiver.in[colour].push(words, count);
    }
    wake(core);
  }
  for (uint16_t port : target.ports) {
    egress_->deliver(port, static_cast<uint8_t>(colour), words, count);
    stats_.waveletsOut += count;
  }
}

void FunctionalEngine::send(uint32_t core, unsigned colour, const uint32_t *words, size_t count) { deliver(targetOf(core, colour), colour, words, count); }

/// Takes bursts from MemoryX. Returns false when there are none left.
bool FunctionalEngine::feed(Ingress &in) {
  for (unsigned i = 0; i < burstsPerFeed; ++i) {
    Burst burst;
    if (!in.next(burst))
      return false;
    stats_.waveletsIn += burst.data.size() + burst.control.has_value();
    auto shared = std::make_shared<CommandBurst>();
    shared->data = std::move(burst.data);
    shared->hasControl = burst.control.has_value();
    shared->control = burst.control.value_or(0);
    for (unsigned p = 0; p < burst.portCount; ++p) {
      const Target &target = targetOfPort(static_cast<uint16_t>(burst.firstPort + p * burst.portStep), burst.colour);
      bool commands = !target.cores.empty() && cores_[target.cores.front()].model.image.commandColour == burst.colour;
      if (!commands) {
        std::vector<uint32_t> words = shared->data;
        if (shared->hasControl)
          words.push_back(shared->control);
        deliver(target, burst.colour, words.data(), words.size());
        continue;
      }
      for (uint32_t core : target.cores) {
        cores_[core].commands.push_back(shared);
        wake(core);
      }
    }
  }
  return true;
}

void FunctionalEngine::runReady() {
  while (!ready_.empty()) {
    uint32_t core = ready_.front();
    ready_.pop_front();
    isReady_[core] = 0;
    cores_[core].run(*this, stats_);
  }
}

/// All ready cores, spread over the threads; what they send arrives when all are done.
void FunctionalEngine::runRound() {
  std::vector<uint32_t> round(ready_.begin(), ready_.end());
  ready_.clear();
  for (uint32_t core : round)
    isReady_[core] = 0;
  unsigned workers = static_cast<unsigned>(std::min<size_t>(threads_, round.size()));
  std::vector<Outbox> outboxes(workers);
  std::vector<EngineStats> counts(workers);
  std::vector<std::exception_ptr> errors(workers);
  auto work = [&](unsigned worker) {
    try {
      // Contiguous parts: the outboxes, taken in order, hold the messages in the order of the cores.
      for (size_t i = round.size() * worker / workers, end = round.size() * (worker + 1) / workers; i < end; ++i)
        cores_[round[i]].run(outboxes[worker], counts[worker]);
    } catch (...) {
      errors[worker] = std::current_exception();
    }
  };
  std::vector<std::thread> pool;
  for (unsigned worker = 1; worker < workers; ++worker)
    pool.emplace_back(work, worker);
  work(0);
  for (std::thread &thread : pool)
    thread.join();
  for (const std::exception_ptr &error : errors)
    if (error)
      std::rethrow_exception(error);
  for (unsigned worker = 0; worker < workers; ++worker) {
    stats_.instructions += counts[worker].instructions;
    stats_.macs += counts[worker].macs;
    stats_.elementOps += counts[worker].elementOps;
    outboxes[worker].deliverTo(*this);
  }
}

EngineStats FunctionalEngine::run(Ingress &in, Egress &out) {
  egress_ = &out;
  stats_ = EngineStats();
  stats_.cores = cores_.size();
  for (bool more = true; more || !ready_.empty();) {
    if (ready_.empty())
      more = feed(in);
    else if (threads_ == 1)
      runReady();
    else
      runRound();
  }
  std::vector<Waiter> waiters;
  for (const FunctionalCore &core : cores_) {
    if (!core.quiet())
      waiters.push_back(core.waiter(program_));
    stats_.sramHighWater = std::max(stats_.sramHighWater, core.model.sramHighWater);
  }
  if (!waiters.empty())
    reportNoProgress(waiters, "after all that MemoryX sends");
  return stats_;
}

} // namespace

std::unique_ptr<Engine> createFunctionalEngine(const LoadedProgram &program, const EngineOptions &options) {
  return std::make_unique<FunctionalEngine>(program, options);
}

} // namespace wafer
