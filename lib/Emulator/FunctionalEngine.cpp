//===- FunctionalEngine.cpp - the fast engine on bursts ----------------------===//
//
// A program is a network of sequential processes joined by FIFO channels (Kahn), so cores may run in any order, each until it lacks input. Cores that one port
// commands run as a batch. Routes are resolved to receivers once. With one thread, words go straight into the receiver's queue; with several, ready batches run in
// rounds and what they send is delivered between rounds. Either way the results are the same.
//
//===----------------------------------------------------------------------===//

#include "CoreBatch.h"
#include "Ports.h"
#include "Workers.h"

#include <algorithm>
#include <map>

namespace wafer {

namespace {

/// Bursts that are read ahead when no core can go on: enough to amortise a round, few enough to bound memory.
constexpr unsigned burstsPerFeed = 1024;

struct LaneTarget {
  uint32_t batch;
  size_t lane;
};

/// Who gets what the lanes of a batch, or a port, send on a colour.
struct Target {
  std::vector<uint32_t> together;              ///< batches whose lane l gets what lane l sends, for all lanes
  std::vector<std::vector<LaneTarget>> apart;  ///< other receivers, by sending lane
  std::vector<std::vector<uint16_t>> ports;    ///< by sending lane
};

class FunctionalEngine final : public Engine, private WordSink {
public:
  FunctionalEngine(const LoadedProgram &program, const EngineOptions &options);
  std::string_view name() const override { return "functional"; }
  EngineStats run(Ingress &in, Egress &out) override;

private:
  /// What batches sent in a round, per thread.
  class Outbox final : public WordSink {
  public:
    void sendAll(uint32_t batch, unsigned colour, const uint32_t *words, size_t count) override;
    void sendLane(uint32_t batch, size_t lane, unsigned colour, const uint32_t *words, size_t count) override;
    void deliverTo(FunctionalEngine &engine);
    const FunctionalEngine *engine = nullptr;

  private:
    struct Message {
      uint32_t batch;
      int64_t lane; ///< -1: all
      unsigned colour;
      size_t first, count;
    };
    std::vector<Message> messages_;
    std::vector<uint32_t> words_;
  };

  void sendAll(uint32_t batch, unsigned colour, const uint32_t *words, size_t count) override;
  void sendLane(uint32_t batch, size_t lane, unsigned colour, const uint32_t *words, size_t count) override;
  void deliverLane(const Target &target, size_t lane, unsigned colour, const uint32_t *words, size_t count);
  void deliverTo(LaneTarget receiver, unsigned colour, const uint32_t *words, size_t count);
  void wake(uint32_t batch);
  bool feed(Ingress &in);
  void sendCommands(const Burst &burst);
  void runReady();
  void runRound();
  const Target &targetOf(uint32_t batch, unsigned colour);
  const Target &targetOfPort(uint16_t port, unsigned colour);
  LaneTarget receiverAt(uint16_t x, uint16_t y) const { return coreAt_[size_t(y) * program_.machine().width + x]; }
  void makeBatches();
  void addBatch(const std::vector<std::pair<uint16_t, uint16_t>> &places);
  bool splitBatches();

  const LoadedProgram &program_;
  Workers workers_;
  std::vector<ImageModel> images_;
  std::deque<CoreBatch> batches_;
  std::vector<LaneTarget> coreAt_; ///< by y * width + x
  std::vector<std::vector<std::unique_ptr<Target>>> targets_, portTargets_; ///< by batch or port, then colour; made when first used
  std::deque<uint32_t> ready_;
  std::vector<char> isReady_;
  std::vector<Outbox> outboxes_;
  Egress *egress_ = nullptr;
  EngineStats stats_;
};

FunctionalEngine::FunctionalEngine(const LoadedProgram &program, const EngineOptions &options)
    : program_(program), workers_(std::max(1u, options.threads)), images_(imageModels(program)), outboxes_(workers_.count()) {
  makeBatches();
  for (Outbox &outbox : outboxes_)
    outbox.engine = this;
}

/// Cores that get the same commands from one port, and no others, are a batch; every other core is one by itself.
void FunctionalEngine::makeBatches() {
  const Machine &machine = program_.machine();
  coreAt_.assign(size_t(machine.width) * machine.height, {0, 0});
  std::vector<char> placed(coreAt_.size());
  auto imageAt = [&](uint16_t x, uint16_t y) {
    int region = program_.regionAt(x, y);
    return region < 0 ? -1 : static_cast<int>(program_.program().regions[region]->image);
  };
  for (uint16_t port = 0; port < machine.width; ++port)
    for (const ImageModel &image : images_) {
      RouteEntry entry = program_.routeAt(port, 0, image.commandColour);
      if (entry.tx == 0 || entry.rx != wexe::Dir::N)
        continue;
      std::vector<std::pair<uint16_t, uint16_t>> places = receiversOfPort(program_, port, image.commandColour).cores;
      auto fits = [&](const auto &place) {
        return imageAt(place.first, place.second) == static_cast<int>(image.index) && !placed[size_t(place.second) * machine.width + place.first];
      };
      if (places.empty() || !std::all_of(places.begin(), places.end(), fits))
        continue;
      std::sort(places.begin(), places.end(), [](const auto &a, const auto &b) { return std::pair(a.second, a.first) < std::pair(b.second, b.first); });
      for (auto [x, y] : places)
        placed[size_t(y) * machine.width + x] = true;
      addBatch(places);
    }
  for (uint16_t y = 0; y < machine.height; ++y)
    for (uint16_t x = 0; x < machine.width; ++x)
      if (imageAt(x, y) >= 0 && !placed[size_t(y) * machine.width + x])
        addBatch({{x, y}});
  portTargets_.resize(machine.width);
}

void FunctionalEngine::addBatch(const std::vector<std::pair<uint16_t, uint16_t>> &places) {
  const uint32_t number = static_cast<uint32_t>(batches_.size());
  const ImageModel &image = images_[program_.program().regions[program_.regionAt(places[0].first, places[0].second)]->image];
  batches_.emplace_back(program_, image, places, number);
  for (size_t lane = 0; lane < places.size(); ++lane)
    coreAt_[size_t(places[lane].second) * program_.machine().width + places[lane].first] = {number, lane};
  targets_.emplace_back();
  isReady_.push_back(0);
}

/// Waiting for all lanes of a batch may be too much waiting: cores go on alone. False when all are alone already.
bool FunctionalEngine::splitBatches() {
  std::deque<CoreBatch> old = std::move(batches_);
  bool did = std::any_of(old.begin(), old.end(), [](const CoreBatch &batch) { return batch.lanes() > 1; });
  if (!did) {
    batches_ = std::move(old);
    return false;
  }
  batches_.clear();
  targets_.clear();
  isReady_.clear();
  for (const CoreBatch &batch : old)
    for (size_t lane = 0; lane < batch.lanes(); ++lane) {
      const uint32_t number = static_cast<uint32_t>(batches_.size());
      auto [x, y] = batch.place(lane);
      coreAt_[size_t(y) * program_.machine().width + x] = {number, 0};
      batches_.push_back(batch.only(lane, number));
      targets_.emplace_back();
      isReady_.push_back(0);
      wake(number);
    }
  for (auto &byColour : portTargets_)
    byColour.clear();
  return true;
}

const Target &FunctionalEngine::targetOf(uint32_t number, unsigned colour) {
  auto &byColour = targets_[number];
  byColour.resize(program_.machine().colours);
  if (byColour[colour])
    return *byColour[colour];
  const CoreBatch &batch = batches_[number];
  auto target = std::make_unique<Target>();
  target->apart.resize(batch.lanes());
  target->ports.resize(batch.lanes());
  std::map<uint32_t, size_t> inStep; // batches, with how many lanes they get from the same lane
  for (size_t lane = 0; lane < batch.lanes(); ++lane) {
    auto [x, y] = batch.place(lane);
    Receivers receivers = receiversOf(program_, x, y, colour);
    for (auto [rx, ry] : receivers.cores) {
      LaneTarget receiver = receiverAt(rx, ry);
      target->apart[lane].push_back(receiver);
      inStep[receiver.batch] += receiver.lane == lane;
    }
    target->ports[lane] = receivers.ports;
  }
  for (auto [receiver, count] : inStep)
    if (count == batch.lanes() && batches_[receiver].lanes() == batch.lanes() && colour != batches_[receiver].image().commandColour) {
      target->together.push_back(receiver);
      for (auto &receivers : target->apart)
        receivers.erase(std::remove_if(receivers.begin(), receivers.end(), [r = receiver](const LaneTarget &lane) { return lane.batch == r; }), receivers.end());
    }
  byColour[colour] = std::move(target);
  return *byColour[colour];
}

const Target &FunctionalEngine::targetOfPort(uint16_t port, unsigned colour) {
  auto &byColour = portTargets_[port];
  byColour.resize(program_.machine().colours);
  if (!byColour[colour]) {
    Receivers receivers = receiversOfPort(program_, port, colour);
    auto target = std::make_unique<Target>();
    target->apart.resize(1);
    for (auto [x, y] : receivers.cores)
      target->apart[0].push_back(receiverAt(x, y));
    target->ports = {receivers.ports};
    byColour[colour] = std::move(target);
  }
  return *byColour[colour];
}

void FunctionalEngine::wake(uint32_t batch) {
  if (isReady_[batch])
    return;
  isReady_[batch] = 1;
  ready_.push_back(batch);
}

void FunctionalEngine::deliverTo(LaneTarget receiver, unsigned colour, const uint32_t *words, size_t count) {
  CoreBatch &batch = batches_[receiver.batch];
  if (colour == batch.image().commandColour) {
    auto burst = std::make_shared<CommandBurst>();
    burst->data.assign(words, words + count);
    batch.commands.push_back(std::move(burst));
  } else {
    batch.in[colour].pushLane(receiver.lane, words, count);
  }
  wake(receiver.batch);
}

void FunctionalEngine::deliverLane(const Target &target, size_t lane, unsigned colour, const uint32_t *words, size_t count) {
  for (LaneTarget receiver : target.apart[lane])
    deliverTo(receiver, colour, words, count);
  for (uint16_t port : target.ports[lane]) {
    egress_->deliver(port, static_cast<uint8_t>(colour), words, count);
    stats_.waveletsOut += count;
  }
}

void FunctionalEngine::sendLane(uint32_t batch, size_t lane, unsigned colour, const uint32_t *words, size_t count) {
  const Target &target = targetOf(batch, colour);
  for (uint32_t receiver : target.together)
    deliverTo({receiver, lane}, colour, words, count);
  deliverLane(target, lane, colour, words, count);
}

void FunctionalEngine::sendAll(uint32_t batch, unsigned colour, const uint32_t *words, size_t count) {
  const Target &target = targetOf(batch, colour);
  for (uint32_t receiver : target.together) {
    batches_[receiver].in[colour].pushAll(words, count);
    wake(receiver);
  }
  const size_t lanes = batches_[batch].lanes();
  std::vector<uint32_t> ofLane;
  for (size_t lane = 0; lane < lanes; ++lane) {
    if (target.apart[lane].empty() && target.ports[lane].empty())
      continue;
    ofLane.clear();
    for (size_t i = 0; i < count; ++i)
      ofLane.push_back(words[i * lanes + lane]);
    deliverLane(target, lane, colour, ofLane.data(), count);
  }
}

void FunctionalEngine::Outbox::sendAll(uint32_t batch, unsigned colour, const uint32_t *words, size_t count) {
  messages_.push_back({batch, -1, colour, words_.size(), count});
  words_.insert(words_.end(), words, words + count * engine->batches_[batch].lanes());
}

void FunctionalEngine::Outbox::sendLane(uint32_t batch, size_t lane, unsigned colour, const uint32_t *words, size_t count) {
  messages_.push_back({batch, static_cast<int64_t>(lane), colour, words_.size(), count});
  words_.insert(words_.end(), words, words + count);
}

void FunctionalEngine::Outbox::deliverTo(FunctionalEngine &engine) {
  for (const Message &message : messages_) {
    const uint32_t *words = words_.data() + message.first;
    if (message.lane < 0)
      engine.sendAll(message.batch, message.colour, words, message.count);
    else
      engine.sendLane(message.batch, static_cast<size_t>(message.lane), message.colour, words, message.count);
  }
  messages_.clear();
  words_.clear();
}

/// A burst on a command colour: what arrives at a batch is shared by its cores, and by the batches.
void FunctionalEngine::sendCommands(const Burst &burst) {
  auto shared = std::make_shared<CommandBurst>();
  shared->data = burst.data;
  shared->hasControl = burst.control.has_value();
  shared->control = burst.control.value_or(0);
  for (unsigned p = 0; p < burst.portCount; ++p) {
    uint32_t last = UINT32_MAX;
    for (LaneTarget receiver : targetOfPort(static_cast<uint16_t>(portOf(burst, p)), burst.colour).apart[0]) {
      if (receiver.batch == last)
        continue; // another lane of the same batch
      last = receiver.batch;
      batches_[receiver.batch].commands.push_back(shared);
      wake(receiver.batch);
    }
  }
}

/// Takes bursts from MemoryX. Returns false when there are none left.
bool FunctionalEngine::feed(Ingress &in) {
  for (unsigned i = 0; i < burstsPerFeed; ++i) {
    Burst burst;
    if (!in.next(burst))
      return false;
    stats_.waveletsIn += burst.data.size() + burst.control.has_value();
    const Target &first = targetOfPort(static_cast<uint16_t>(portOf(burst, 0)), burst.colour);
    if (!first.apart[0].empty() && batches_[first.apart[0].front().batch].image().commandColour == burst.colour) {
      sendCommands(burst);
      continue;
    }
    if (burst.control)
      burst.data.push_back(*burst.control);
    for (unsigned p = 0; p < burst.portCount; ++p)
      deliverLane(targetOfPort(static_cast<uint16_t>(portOf(burst, p)), burst.colour), 0, burst.colour, burst.data.data(), burst.data.size());
  }
  return true;
}

void FunctionalEngine::runReady() {
  while (!ready_.empty()) {
    uint32_t batch = ready_.front();
    ready_.pop_front();
    isReady_[batch] = 0;
    batches_[batch].run(*this, stats_);
  }
}

/// All ready batches, spread over the threads; what they send arrives when all are done.
void FunctionalEngine::runRound() {
  std::vector<uint32_t> round(ready_.begin(), ready_.end());
  ready_.clear();
  for (uint32_t batch : round)
    isReady_[batch] = 0;
  const unsigned workers = static_cast<unsigned>(std::min<size_t>(workers_.count(), round.size()));
  std::vector<EngineStats> counts(workers);
  workers_.run(workers, [&](unsigned worker) {
    // Contiguous parts: the outboxes, taken in order, hold the messages in the order of the batches.
    for (size_t i = round.size() * worker / workers, end = round.size() * (worker + 1) / workers; i < end; ++i)
      batches_[round[i]].run(outboxes_[worker], counts[worker]);
  });
  for (unsigned worker = 0; worker < workers; ++worker) {
    stats_.instructions += counts[worker].instructions;
    stats_.macs += counts[worker].macs;
    stats_.elementOps += counts[worker].elementOps;
    outboxes_[worker].deliverTo(*this);
  }
}

EngineStats FunctionalEngine::run(Ingress &in, Egress &out) {
  egress_ = &out;
  stats_ = EngineStats();
  for (const CoreBatch &batch : batches_)
    stats_.cores += batch.lanes();
  auto isQuiet = [](const CoreBatch &batch) { return batch.quiet(); };
  for (bool more = true; more || !ready_.empty();) {
    if (ready_.empty())
      more = feed(in);
    else if (workers_.count() == 1)
      runReady();
    else
      runRound();
    if (!more && ready_.empty() && !std::all_of(batches_.begin(), batches_.end(), isQuiet))
      splitBatches();
  }
  std::vector<Waiter> waiters;
  for (const CoreBatch &batch : batches_) {
    if (!batch.quiet())
      waiters.push_back(batch.waiter(program_));
    stats_.sramHighWater = std::max(stats_.sramHighWater, batch.sramHighWater());
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
