//===- FunctionalEngine.cpp - the fast engine on bursts ----------------------===//
//
// A program is a network of sequential processes joined by first-in first-out channels, so its results do not depend on when a process runs. MemoryX is read
// ahead a packet at a time. Rows of a contraction are taken all together where the program is such (FunctionalContraction.h), and so are features of a scale
// (FunctionalScale.h) and blocks of a value (FunctionalTransfer.h). For all else the wafer is cut into domains, columns that send to no others or groups of rows
// that mostly send to each other, which the threads run until each lacks input; what leaves a domain is delivered when all are done. The results are the same for any number of threads.
//
//===----------------------------------------------------------------------===//

#include "CoreMemory.h"
#include "FunctionalContraction.h"
#include "FunctionalScale.h"
#include "FunctionalTransfer.h"
#include "Ports.h"

#include <deque>
#include <exception>
#include <functional>

namespace wafer {

namespace {

/// A group of rows or columns, run by one thread at a time.
class Domain final : public BatchSink {
public:
  Domain(FunctionalRouting &routing, std::vector<std::unique_ptr<FunctionalBatch>> &batches, unsigned number)
      : routing_(routing), batches_(batches), number_(number) {}

  void send(uint32_t core, unsigned colour, Words words) override {
    const FunctionalRouting::Target &target = routing_.targetOf(core, colour);
    for (uint32_t receiver : target.cores) {
      const CorePlace &place = routing_.placeOf(receiver);
      if (routing_.domainOf(place.batch) == number_)
        receive(place, colour, words);
      else
        outbox.push_back({receiver, colour, words});
    }
    for (uint16_t port : target.ports)
      leaving.push_back({port, colour, words});
  }

  void send(uint32_t core, unsigned colour, std::vector<Words> &parts) override {
    const FunctionalRouting::Target &target = routing_.targetOf(core, colour);
    const CorePlace *place = target.ports.empty() && target.cores.size() == 1 ? &routing_.placeOf(target.cores[0]) : nullptr;
    if (!place || routing_.domainOf(place->batch) != number_)
      return BatchSink::send(core, colour, parts);
    batches_[place->batch]->receive(place->place, colour, parts);
    wake(place->batch);
  }

  void sendAll(uint32_t batch, unsigned colour, ValueRef value, size_t elements) override {
    if (int32_t peer = routing_.peerOf(batch, colour); peer >= 0) {
      batches_[peer]->receiveAll(colour, std::move(value), elements);
      wake(static_cast<uint32_t>(peer));
      return;
    }
    const std::vector<uint32_t> &cores = routing_.batches()[batch];
    std::vector<uint32_t> words(elements * cores.size());
    std::memcpy(words.data(), value.data(), words.size() * sizeof(uint32_t));
    const Words all = Words::of(std::move(words));
    for (size_t i = 0; i < cores.size(); ++i)
      send(cores[i], colour, all.part(i * elements, elements));
  }

  void receive(const CorePlace &place, unsigned colour, const Words &words) {
    batches_[place.batch]->receive(place.place, colour, words);
    wake(place.batch);
  }

  void wake(uint32_t batch) {
    if (isReady_.size() < batches_.size())
      isReady_.resize(batches_.size());
    if (isReady_[batch])
      return;
    isReady_[batch] = 1;
    ready_.push_back(batch);
  }

  bool hasWork() const { return !ready_.empty(); }

  void run() {
    try {
      while (!ready_.empty()) {
        const uint32_t batch = ready_.front();
        ready_.pop_front();
        isReady_[batch] = 0;
        batches_[batch]->run(*this, counts);
      }
    } catch (...) {
      error = std::current_exception();
    }
  }

  struct Message {
    uint32_t to; ///< core, or port
    unsigned colour;
    Words words;
  };
  std::vector<Message> outbox, leaving;
  EngineStats counts;
  std::exception_ptr error;
  ValuePool pool;

private:
  FunctionalRouting &routing_;
  std::vector<std::unique_ptr<FunctionalBatch>> &batches_;
  const unsigned number_;
  std::deque<uint32_t> ready_;
  std::vector<char> isReady_; ///< by batch
};

class FunctionalEngine final : public Engine {
public:
  FunctionalEngine(const LoadedProgram &program, const EngineOptions &options);
  std::string_view name() const override { return "functional"; }
  EngineStats run(Ingress &in, Egress &out) override;
  void forEachCore(const std::function<void(uint16_t, uint16_t, uint8_t *)> &function) override {
    for (const auto &core : cores_)
      function(core->model.x, core->model.y, core->model.memory(wexe::DescKind::Mem));
  }

private:
  bool feed();
  bool runDomains(const std::function<void()> &alongside);
  bool runAhead();
  void collect(Egress &out);
  void checkComplete();

  const LoadedProgram &program_;
  const unsigned threads_;
  Crew crew_;
  std::vector<ImageModel> images_;
  FunctionalRouting routing_;
  std::vector<std::unique_ptr<FunctionalCore>> cores_;
  std::vector<std::unique_ptr<Domain>> domains_; // before the batches, whose values are theirs
  std::vector<std::unique_ptr<FunctionalBatch>> batches_;
  FunctionalStream stream_;
  std::unique_ptr<FunctionalContraction> contraction_;
  std::unique_ptr<FunctionalScale> scale_;
  std::unique_ptr<FunctionalTransfer> transfer_;
  EngineStats stats_;
};

FunctionalEngine::FunctionalEngine(const LoadedProgram &program, const EngineOptions &options)
    : program_(program), threads_(std::max(1u, options.threads)), crew_(threads_), images_(imageModels(program)), routing_(program, threads_),
      stream_(program.machine().width) {
  const CoreMemory memory(routing_.cores(), CoreModel::memoryBytes(program.machine()));
  for (uint32_t core = 0; core < routing_.cores(); ++core) {
    const auto [x, y] = routing_.at(core);
    cores_.push_back(std::make_unique<FunctionalCore>(program, images_[program.program().regions[program.regionAt(x, y)]->image], x, y, core, memory.of(core)));
  }
  for (unsigned domain = 0; domain < routing_.domains(); ++domain)
    domains_.push_back(std::make_unique<Domain>(routing_, batches_, domain));
  for (uint32_t batch = 0; batch < routing_.batches().size(); ++batch) {
    std::vector<FunctionalCore *> cores;
    for (uint32_t core : routing_.batches()[batch])
      cores.push_back(cores_[core].get());
    batches_.push_back(std::make_unique<FunctionalBatch>(program, std::move(cores), domains_[routing_.domainOf(batch)]->pool, batch));
  }
  for (uint32_t batch = 0; batch < batches_.size(); ++batch)
    if (const auto &start = batches_[batch]->cores()[0]->model.image.start) {
      batches_[batch]->start(*start);
      domains_[routing_.domainOf(batch)]->wake(batch);
    }
  contraction_ = std::make_unique<FunctionalContraction>(program, routing_, batches_, crew_);
  scale_ = std::make_unique<FunctionalScale>(program, routing_, batches_, crew_);
  transfer_ = std::make_unique<FunctionalTransfer>(program, routing_, batches_, crew_);
}

/// Sends bursts to the cores, up to where rows of a contraction may begin, weights behind a command that all columns got, or a transfer. Returns whether there
/// were any.
bool FunctionalEngine::feed() {
  if (stream_.peekRow())
    stream_.openRows();
  // No more than the cores keep up with, so that memory is bounded.
  size_t left = stream_.burstsAtOnce();
  bool isFirst = true, wasCommand = false;
  while (const FunctionalStream::Part *part = stream_.peek(0)) {
    const Burst &burst = part->burst;
    if (!isFirst && ((wasCommand && FunctionalContraction::mayBegin(*part)) || transfer_->mayBegin(*part)))
      return true;
    wasCommand = part->count == 0 && burst.control;
    isFirst = false;
    const Words words = stream_.frontWords();
    stats_.waveletsIn += words.count;
    for (unsigned i = 0; i < burst.portCount; ++i) {
      const FunctionalRouting::Target &target = routing_.targetOfPort(static_cast<uint16_t>(portOf(burst, i)), burst.colour);
      for (uint32_t batch : target.commandedBatches) {
        batches_[batch]->command({words.part(0, part->count), burst.control.has_value(), burst.control.value_or(0)});
        domains_[routing_.domainOf(batch)]->wake(batch);
      }
      for (uint32_t core : target.cores) {
        const CorePlace &place = routing_.placeOf(core);
        domains_[routing_.domainOf(place.batch)]->receive(place, burst.colour, words);
      }
    }
    stream_.skip();
    if (--left == 0)
      return true;
  }
  return !isFirst;
}

/// Runs the domains that have work, and `alongside` if there are threads for more than one. Returns whether any had.
bool FunctionalEngine::runDomains(const std::function<void()> &alongside) {
  std::vector<Domain *> working;
  for (const auto &domain : domains_)
    if (domain->hasWork())
      working.push_back(domain.get());
  if (working.empty())
    return false;
  std::exception_ptr error;
  crew_.begin(working.size(), [&](size_t i, size_t) { working[i]->run(); });
  if (std::min(crew_.size(), working.size()) > 1)
    try {
      alongside();
    } catch (...) {
      error = std::current_exception();
    }
  crew_.complete();
  for (const Domain *domain : working)
    if (domain->error)
      std::rethrow_exception(domain->error);
  if (error)
    std::rethrow_exception(error);
  return true;
}

/// Delivers what left its domain or the wafer.
void FunctionalEngine::collect(Egress &out) {
  for (const auto &domain : domains_) {
    for (const Domain::Message &message : domain->leaving) {
      out.deliver(static_cast<uint16_t>(message.to), static_cast<uint8_t>(message.colour), message.words.data.get(), message.words.count);
      stats_.waveletsOut += message.words.count;
    }
    domain->leaving.clear();
    for (const Domain::Message &message : domain->outbox) {
      const CorePlace &place = routing_.placeOf(message.to);
      domains_[routing_.domainOf(place.batch)]->receive(place, message.colour, message.words);
    }
    domain->outbox.clear();
  }
}

bool FunctionalEngine::runAhead() {
  bool did = false;
  for (uint32_t batch = 0; batch < batches_.size(); ++batch)
    if (batches_[batch]->runAhead()) {
      domains_[routing_.domainOf(batch)]->wake(batch);
      did = true;
    }
  return did;
}

void FunctionalEngine::checkComplete() {
  std::vector<Waiter> waiters;
  for (const auto &batch : batches_)
    if (!batch->quiet())
      batch->addWaiters(program_, waiters);
  for (const auto &core : cores_)
    stats_.sramHighWater = std::max(stats_.sramHighWater, core->model.sramHighWater);
  if (!waiters.empty())
    reportNoProgress(waiters, "after all that MemoryX sends");
}

EngineStats FunctionalEngine::run(Ingress &in, Egress &out) {
  stats_ = EngineStats();
  stats_.cores = cores_.size();
  // A thread alone goes on while another one reads.
  if (crew_.size() > 1)
    in.prepare([this](size_t count, const std::function<void(size_t)> &use) { crew_.forEach(count, use); });
  stream_.begin(in);
  for (;;) {
    while (runDomains([this] { stream_.readAhead(); }))
      collect(out);
    if (runAhead())
      continue;
    if (!contraction_->run(stream_, stats_) && !scale_->run(stream_, stats_) && !transfer_->run(stream_, out, stats_) && !feed())
      break;
  }
  for (const auto &domain : domains_) {
    addCounts(domain->counts, stats_);
    domain->counts = EngineStats();
  }
  checkComplete();
  return stats_;
}

} // namespace

std::unique_ptr<Engine> createFunctionalEngine(const LoadedProgram &program, const EngineOptions &options) {
  return std::make_unique<FunctionalEngine>(program, options);
}

} // namespace wafer
