//===- ScheduleEgress.cpp - wavelets as tensors ---------------------------===//

#include "wafer/Runtime/Schedule.h"

#include "Layout.h"
#include "Sampled.h"

#include <algorithm>

namespace wafer {

PhaseEgress::PhaseEgress(const wexe::ProgramT &program, const wexe::PhaseT &phase, const SampledPhase *sampled) : program_(program), grid_(*phase.grid) {
  for (const auto &step : phase.steps) {
    if (step->kind == wexe::StepKind::Sample) {
      std::unique_ptr<SampledSums> &sums = sums_[step->colour];
      if (!sums)
        sums = std::make_unique<SampledSums>(grid_, *sampled, step->groups_added);
      Tensor &made = tensors_[static_cast<unsigned>(step->tensor)] = Tensor::zeros(DType::F32, program.tensors[step->tensor]->shape);
      sums->add(*step, reinterpret_cast<float *>(made.mutableData()));
    }
    if (step->kind != wexe::StepKind::Receive)
      continue;
    stepsOf_[step->colour].push_back(step.get());
    channels_[step->colour].resize(size_t(grid_.columns) * grid_.groups);
    const wexe::TensorT &tensor = *program.tensors[step->tensor];
    tensors_[static_cast<unsigned>(step->tensor)] = Tensor::zeros(dtypeOf(tensor.type), tensor.shape);
  }
}

PhaseEgress::~PhaseEgress() = default;

size_t PhaseEgress::wordsPerBlock(const wexe::StepT &step) const {
  return (size_t(step.feature_block) * grid_.token_block * byteSize(dtypeOf(step.type)) + 3) / 4;
}

std::string PhaseEgress::describe(const wexe::StepT &step, uint32_t portInGrid) const {
  return "tensor '" + program_.tensors[step.tensor]->name + "' from column " + std::to_string(grid_.x0 + portInGrid);
}

/// The southernmost core's block comes first.
BlockLayout PhaseEgress::layoutOf(const wexe::StepT &step, uint32_t microBatch, uint32_t block, uint32_t portInGrid) const {
  return {grid_, step, program_.tensors[step.tensor]->shape, microBatch, portInGrid / grid_.columns, portInGrid % grid_.columns, grid_.rows - 1 - block};
}

/// Whether the blocks of a row of cores in a group are placed when all of them have come.
bool PhaseEgress::arePlacedTogether(const wexe::StepT &step, const BlockLayout &layout) { return layout.together() && byteSize(dtypeOf(step.type)) == sizeof(uint16_t); }

void PhaseEgress::placeTogether(const wexe::StepT &step, const BlockLayout &layout, const uint16_t *blocks, Tensor &tensor) {
  const DType from = dtypeOf(step.type), to = tensor.dtype();
  uint8_t *tokens = tensor.mutableData() + *layout.together() * byteSize(to);
  if (from == to)
    return layout.placeTogether(blocks, reinterpret_cast<uint16_t *>(tokens), layout.tokenPitch());
  const uint64_t features = layout.features();
  std::vector<uint8_t> asSent(layout.tokens() * features * sizeof(uint16_t));
  layout.placeTogether(blocks, reinterpret_cast<uint16_t *>(asSent.data()), features);
  for (uint64_t i = 0; i < layout.tokens(); ++i)
    convertElements(from, asSent.data() + i * features * sizeof(uint16_t), features, to, tokens + i * layout.tokenPitch() * byteSize(to));
}

void PhaseEgress::place(const wexe::StepT &step, const Channel &channel, uint32_t portInGrid) {
  Tensor &tensor = tensors_.at(static_cast<unsigned>(step.tensor));
  const BlockLayout layout = layoutOf(step, channel.microBatch, channel.block, portInGrid);
  const unsigned size = byteSize(tensor.dtype());
  const uint8_t *words = reinterpret_cast<const uint8_t *>(channel.words.data());
  const DType from = dtypeOf(step.type);
  if (arePlacedTogether(step, layout)) {
    const auto known = blocks_.try_emplace({&step, channel.microBatch, portInGrid / grid_.columns, channel.block}).first;
    Blocks &blocks = known->second;
    blocks.elements.resize(grid_.columns * layout.size());
    std::memcpy(blocks.elements.data() + portInGrid % grid_.columns * layout.size(), words, layout.size() * sizeof(uint16_t));
    if (++blocks.arrived < grid_.columns)
      return;
    placeTogether(step, layout, blocks.elements.data(), tensor);
    blocks_.erase(known);
    return;
  }
  std::vector<uint8_t> converted;
  if (from != tensor.dtype()) {
    converted.resize(layout.size() * size);
    convertElements(from, words, layout.size(), tensor.dtype(), converted.data());
    words = converted.data();
  }
  layout.place(words, tensor.mutableData(), size);
}

/// Those of all ports, if the blocks are all of what comes next there and are placed together.
std::vector<PhaseEgress::Channel> *PhaseEgress::channelsOf(const LeavingBlocks &leaving) {
  const auto known = channels_.find(leaving.colour);
  if (known == channels_.end() || sums_.count(leaving.colour) != 0 || leaving.firstPort != grid_.x0 || leaving.ports != known->second.size() || leaving.blocks != grid_.rows)
    return nullptr;
  const Channel &first = known->second[0];
  if (first.microBatch == grid_.micro_batches)
    return nullptr;
  const wexe::StepT &step = *stepsOf_.at(leaving.colour)[first.step];
  // Where a block fills its words the blocks of all columns lie one behind the other.
  if (leaving.words != wordsPerBlock(step) || size_t(step.feature_block) * grid_.token_block % 2 != 0 ||
      !std::all_of(known->second.begin(), known->second.end(), [&](const Channel &channel) {
        return channel.microBatch == first.microBatch && channel.step == first.step && channel.block == 0 && channel.words.empty();
      }))
    return nullptr;
  for (uint32_t group = 0; group < grid_.groups; ++group)
    for (uint32_t block = 0; block < grid_.rows; ++block)
      if (!arePlacedTogether(step, layoutOf(step, first.microBatch, block, group * grid_.columns)))
        return nullptr;
  return &known->second;
}

void PhaseEgress::deliver(const LeavingBlocks &leaving, const ForEach &forEach) {
  std::vector<Channel> *channels = channelsOf(leaving);
  if (!channels)
    return Egress::deliver(leaving, forEach);
  const uint32_t microBatch = channels->front().microBatch;
  const std::vector<const wexe::StepT *> &steps = stepsOf_.at(leaving.colour);
  const wexe::StepT &step = *steps[channels->front().step];
  Tensor &tensor = tensors_.at(static_cast<unsigned>(step.tensor));
  forEach(leaving.blocks * grid_.groups, [&](size_t i) {
    const size_t firstPort = i % grid_.groups * grid_.columns, block = i / grid_.groups;
    std::vector<uint32_t> words(grid_.columns * leaving.words);
    for (size_t column = 0; column < grid_.columns; ++column)
      leaving.copy(firstPort + column, block, words.data() + column * leaving.words);
    placeTogether(step, layoutOf(step, microBatch, static_cast<uint32_t>(block), static_cast<uint32_t>(firstPort)), reinterpret_cast<const uint16_t *>(words.data()), tensor);
  });
  for (Channel &channel : *channels)
    endBlocks(channel, steps.size(), grid_.rows);
  wavelets_ += leaving.ports * leaving.blocks * leaving.words;
}

/// Goes on behind so many blocks of the step that comes, no more than are left of it.
void PhaseEgress::endBlocks(Channel &channel, size_t steps, uint32_t blocks) const {
  channel.words.clear();
  channel.block += blocks;
  if (channel.block < grid_.rows)
    return;
  channel.block = 0;
  if (++channel.step < steps)
    return;
  channel.step = 0;
  ++channel.microBatch;
}

void PhaseEgress::deliver(uint16_t port, uint8_t colour, const uint32_t *payload, size_t count) {
  wavelets_ += count;
  if (auto sums = sums_.find(colour); sums != sums_.end() && port >= grid_.x0 && sums->second->expects(port - grid_.x0)) {
    if (size_t more = sums->second->deliver(port - grid_.x0, payload, count))
      throw RuntimeError("received " + std::to_string(more) + " more sums than expected from column " + std::to_string(port));
    return;
  }
  auto known = channels_.find(colour);
  if (known == channels_.end() || port < grid_.x0 || port >= grid_.x0 + known->second.size())
    throw RuntimeError("received " + std::to_string(count) + " wavelets of colour " + std::to_string(colour) + " from column " +
                       std::to_string(port) + ", where no step of the phase receives any");
  uint32_t portInGrid = port - grid_.x0;
  Channel &channel = known->second[portInGrid];
  const std::vector<const wexe::StepT *> &steps = stepsOf_.at(colour);
  while (count > 0) {
    if (channel.microBatch == grid_.micro_batches)
      throw RuntimeError("received " + std::to_string(count) + " more wavelets than expected of " + describe(*steps.back(), portInGrid) +
                         ", after " + std::to_string(grid_.micro_batches) + " micro-batches of " +
                         std::to_string(wordsPerBlock(*steps.back()) * grid_.rows));
    const wexe::StepT &step = *steps[channel.step];
    size_t taken = std::min(count, wordsPerBlock(step) - channel.words.size());
    channel.words.insert(channel.words.end(), payload, payload + taken);
    payload += taken;
    count -= taken;
    if (channel.words.size() < wordsPerBlock(step))
      return;
    place(step, channel, portInGrid);
    endBlocks(channel, steps.size(), 1);
  }
}

TensorValues PhaseEgress::finish() {
  for (const auto &[colour, sums] : sums_)
    if (const wexe::StepT *step = sums->missing())
      throw RuntimeError("sums of step '" + step->name + "' are missing");
  for (const auto &[colour, channels] : channels_)
    for (uint32_t port = 0; port < channels.size(); ++port) {
      const Channel &channel = channels[port];
      if (channel.microBatch == grid_.micro_batches)
        continue;
      const wexe::StepT &step = *stepsOf_.at(colour)[channel.step];
      size_t perBlock = wordsPerBlock(step);
      throw RuntimeError("received " + std::to_string(channel.block * perBlock + channel.words.size()) + " wavelets of " +
                         describe(step, port) + " in micro-batch " + std::to_string(channel.microBatch) + ", expected " +
                         std::to_string(grid_.rows * perBlock));
    }
  return std::move(tensors_);
}

} // namespace wafer
