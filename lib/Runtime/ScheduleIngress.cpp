//===- ScheduleIngress.cpp - steps as bursts ------------------------------===//
//
// One class per form of step; each makes its bursts one by one.
//
//===----------------------------------------------------------------------===//

#include "wafer/Runtime/Schedule.h"

#include "KeptRows.h"
#include "Layout.h"
#include "LinkCodec.h"
#include "RowStream.h"
#include "Sampled.h"
#include "Wire.h"
#include "wafer/Machine/FeatureLayout.h"
#include "wafer/Machine/RowOrder.h"

#include <cassert>
#include <cstring>
#include <optional>
#include <utility>

namespace wafer {

/// The bursts of one step in one micro-batch.
class StepBursts {
public:
  virtual ~StepBursts() = default;
  /// Fills an empty burst and returns true, or returns false when the step is complete.
  virtual bool next(Burst &burst) = 0;
  /// Weights in the last burst.
  uint64_t values = 0;

  /// The row that comes next, if all of it is still to come and it can be had whole.
  virtual const WeightRow *peekRow() { return nullptr; }
  /// What the bursts of that row would have been.
  struct RowCounts {
    uint64_t values = 0, words = 0, commands = 0;
  };
  /// Goes on behind it.
  virtual RowCounts skipRow() { return {}; }
  /// Whether it is known that no burst is left.
  virtual bool isComplete() const { return false; }
};

namespace {

/// To the same column of `groups` groups.
void aimAtColumn(Burst &burst, const wexe::GridT &grid, uint8_t colour, uint64_t column, uint64_t firstGroup, uint64_t groups) {
  burst.colour = colour;
  burst.firstPort = static_cast<uint16_t>(grid.x0 + firstGroup * grid.columns + column);
  burst.portStep = grid.columns;
  burst.portCount = static_cast<uint16_t>(groups);
}
void aimAtColumn(Burst &burst, const wexe::GridT &grid, uint8_t colour, uint64_t column) { aimAtColumn(burst, grid, colour, column, 0, grid.groups); }

/// Command, and what Receive sends: control wavelets to every column.
class CommandBursts final : public StepBursts {
public:
  CommandBursts(const wexe::PhaseT &phase, uint16_t task, uint32_t times = 1) : phase_(phase), task_(task), left_(times) {}
  bool next(Burst &burst) override {
    if (left_ == 0)
      return false;
    --left_;
    burst.colour = phase_.command_colour;
    burst.firstPort = phase_.grid->x0;
    burst.portStep = 1;
    burst.portCount = static_cast<uint16_t>(phase_.grid->columns * phase_.grid->groups);
    burst.control = task_;
    return true;
  }
  bool isComplete() const override { return left_ == 0; }

private:
  const wexe::PhaseT &phase_;
  uint16_t task_;
  uint32_t left_; ///< to be sent
};

/// Send: the command, then one burst per core's block, one for each port in turn, so that all ports are busy; ports that are sent the same share it.
class SendBursts final : public StepBursts {
public:
  SendBursts(const wexe::PhaseT &phase, const wexe::StepT &step, const Tensor &tensor, uint32_t microBatch)
      : grid_(*phase.grid), step_(step), tensor_(tensor), microBatch_(microBatch), command_(phase, step.task),
        groups_(static_cast<uint32_t>(groupsThatDiffer(grid_, step, tensor.shape()))) {}

  bool next(Burst &burst) override {
    if (command_.next(burst))
      return true;
    if (row_ == grid_.rows)
      return false;
    burst.colour = step_.colour;
    burst.firstPort = static_cast<uint16_t>(grid_.x0 + port_);
    burst.portCount = static_cast<uint16_t>(grid_.groups / groups_);
    burst.portStep = static_cast<uint16_t>(burst.portCount == 1 ? 1 : groups_ * grid_.columns);
    fillBlock(burst.data);
    if (++port_ == grid_.columns * groups_) {
      port_ = 0;
      ++row_;
    }
    return true;
  }
  bool isComplete() const override { return command_.isComplete() && row_ == grid_.rows; }

private:
  void fillBlock(std::vector<uint32_t> &words) {
    BlockLayout layout(grid_, step_, tensor_.shape(), microBatch_, port_ / grid_.columns, port_ % grid_.columns, row_);
    const DType from = tensor_.dtype(), to = dtypeOf(step_.type);
    const uint64_t column = port_ % grid_.columns;
    if (column == 0)
      isTogether_ = fillBlocks(layout);
    if (isTogether_) {
      words.assign((layout.size() + 1) / 2, 0);
      std::memcpy(words.data(), blocks_.data() + column * layout.size(), layout.size() * sizeof(uint16_t));
      return;
    }
    const unsigned size = byteSize(from);
    picked_.resize(layout.size() * size);
    if (!layout.isFull())
      std::fill(picked_.begin(), picked_.end(), uint8_t(0));
    layout.pick(tensor_.data(), picked_.data(), size);
    // Hosts are little endian: the earlier element of a wavelet is in its low half.
    words.resize((layout.size() * byteSize(to) + 3) / 4);
    if (!words.empty())
      words.back() = 0;
    convertElements(from, picked_.data(), layout.size(), to, reinterpret_cast<uint8_t *>(words.data()));
  }

  /// The blocks of all columns, if they can be had together.
  bool fillBlocks(const BlockLayout &layout) {
    const DType from = tensor_.dtype(), to = dtypeOf(step_.type);
    const std::optional<uint64_t> first = layout.together();
    if (!first || byteSize(to) != sizeof(uint16_t))
      return false;
    const uint8_t *tokens = tensor_.data() + *first * byteSize(from);
    uint64_t pitch = layout.tokenPitch();
    if (from != to) {
      const uint64_t features = layout.features();
      picked_.resize(layout.tokens() * features * sizeof(uint16_t));
      for (uint64_t i = 0; i < layout.tokens(); ++i)
        convertElements(from, tokens + i * pitch * byteSize(from), features, to, picked_.data() + i * features * sizeof(uint16_t));
      tokens = picked_.data();
      pitch = features;
    }
    blocks_.resize(grid_.columns * layout.size());
    layout.pickTogether(reinterpret_cast<const uint16_t *>(tokens), pitch, blocks_.data());
    return true;
  }

  const wexe::GridT &grid_;
  const wexe::StepT &step_;
  const Tensor &tensor_;
  uint32_t microBatch_;
  CommandBursts command_;
  const uint32_t groups_; ///< that differ
  uint32_t port_ = 0, row_ = 0;
  std::vector<uint8_t> picked_; ///< a block in the tensor's type, or tokens in the wire's
  bool isTogether_ = false;     ///< the blocks of the row
  std::vector<uint16_t> blocks_;
};

/// What Contract and Scale share: rows from the stream, converted to the wire's type.
class WeightBursts : public StepBursts {
public:
  WeightBursts(const wexe::PhaseT &phase, const wexe::StepT &step, const wexe::ProgramT &program, RowStream &rows)
      : grid_(*phase.grid), commandColour_(phase.command_colour), step_(step), encoder_(step.wire, byteSize(dtypeOf(step.type))), rows_(rows), rowsLeft_(step.rows) {
    if (step.tensor >= 0)
      weightType_ = dtypeOf(program.tensors[step.tensor]->type);
    if (step.bias >= 0)
      biasType_ = dtypeOf(program.tensors[step.bias]->type);
  }

protected:
  bool hasRows() const { return rowsLeft_ > 0; }
  /// Takes the next row, if there is one; `columns` are its weights.
  bool takeRow(uint64_t columns) {
    if (rowsLeft_ == 0)
      return false;
    row_ = rows_.next();
    // The last of the entries at a time.
    if (row_.firstEntry + row_.entries == grid_.batches_at_once)
      --rowsLeft_;
    owner_ = row_.row % grid_.columns;
    const DType wireType = dtypeOf(step_.type);
    weights_.resize(columns * encoder_.elementBytes());
    if (row_.weights) {
      convertWeights(columns);
    } else if (columns == 1) { // a missing gamma
      const float one = 1;
      convertElements(DType::F32, reinterpret_cast<const uint8_t *>(&one), 1, wireType, weights_.data());
    }
    if (row_.bias) {
      biasBits_ = 0;
      convertElements(biasType_, row_.bias, 1, wireType, reinterpret_cast<uint8_t *>(&biasBits_));
    }
    return true;
  }

  /// The weights of a row that is kept, after all.
  void readKept(uint64_t columns) {
    read_.resize(columns * byteSize(weightType_));
    rows_.readKept(row_, read_.data());
    row_.weights = read_.data();
    convertWeights(columns);
  }

  /// To a column of the groups that the row is for.
  void aim(Burst &burst, uint64_t column) const {
    // Of entries in bands of one group it is for all (layout_c5).
    aimAtColumn(burst, grid_, commandColour_, column, row_.firstEntry * grid_.groups / grid_.batches_at_once, row_.entries * grid_.groups / grid_.batches_at_once);
  }

  const wexe::GridT &grid_;
  const uint8_t commandColour_;
  const wexe::StepT &step_;
  const WireEncoder encoder_;
  RowStream::Row row_;
  uint64_t owner_ = 0;           ///< column of the row's result
  std::vector<uint8_t> weights_; ///< of the row, as the wire has them
  uint32_t biasBits_ = 0;        ///< of the row

private:
  void convertWeights(uint64_t columns) { convertElements(weightType_, row_.weights, columns, dtypeOf(step_.type), weights_.data()); }

  RowStream &rows_;
  DType weightType_ = DType::F32, biasType_ = DType::F32;
  uint64_t rowsLeft_;
  std::vector<uint8_t> read_; ///< weights of a row that is kept, in the type of the tensor
};

/// The commands that bring the row of a contraction's mask that is streamed at `place` to all columns; none without a mask.
class MaskCommands {
public:
  MaskCommands() = default;
  /// `place`: of the row in the order in which rows are streamed.
  MaskCommands(const wexe::GridT &grid, const wexe::StepT &step, uint64_t place)
      : step_(&step), columns_(grid.columns), place_(place), next_(step.output_zeros > 0 ? 0 : columns_) {}

  /// The next column.
  std::optional<uint64_t> next() { return next_ == columns_ ? std::nullopt : std::optional(next_++); }
  uint16_t task(uint64_t column) const {
    if (place_ >= step_->rows)
      return step_->mask_last;
    const uint64_t owner = streamedRow(place_, step_->rows, columns_) % columns_;
    return column < owner ? step_->mask_west : column > owner ? step_->mask_east : step_->mask_own;
  }

private:
  const wexe::StepT *step_ = nullptr;
  uint64_t columns_ = 0, place_ = 0, next_ = 0;
};

/// Contract: per row, each column's weights and what it does with its sum.
class ContractBursts final : public WeightBursts {
public:
  /// `kept`: null where rows are not kept.
  ContractBursts(const wexe::PhaseT &phase, const wexe::StepT &step, const wexe::ProgramT &program, RowStream &rows, KeptRows *kept)
      : WeightBursts(phase, step, program, rows), kept_(kept), firstMasks_(grid_, step, 0), column_(phase.grid->columns), isIndexed_(encoder_.isIndexed()) {
    if (step.link != wexe::LinkFormat::Wavelets) {
      codec_.emplace(linkForm(step), encoder_.elementBytes(), encoder_.zeroMask());
      const uint64_t each = step.columns / grid_.columns, longer = step.columns % grid_.columns;
      for (uint32_t k = 0; k < step.columns; ++k) {
        const uint32_t column = k % grid_.columns, index = k / grid_.columns;
        places_.push_back({column, index, static_cast<uint32_t>(each + (column < longer)), static_cast<uint32_t>(column * each + std::min<uint64_t>(column, longer) + index)});
      }
    }
  }

  const WeightRow *peekRow() override {
    if (column_ != grid_.columns || dtypeOf(step_.type) == DType::I8 || step_.output_zeros > 0)
      return nullptr;
    if (!rowIsTaken_) {
      if (!takeRow(step_.columns))
        return nullptr;
      rowIsTaken_ = true;
      keeps_ = kept_ && kept_->begin(step_.rows, grid_.columns);
      describeRow();
    }
    return &whole_;
  }

  RowCounts skipRow() override {
    rowIsTaken_ = false;
    RowCounts counts;
    counts.commands = whole_.place + 1 < whole_.together ? 0 : grid_.columns + (row_.bias ? 1 : 0);
    if (row_.isKept) {
      counts.values = kept_->sorted.countOf(row_.row);
      counts.words = kept_->wordsOf(row_.row);
    } else if (row_.weights) {
      const uint8_t *weights = weights_.data();
      const uint64_t nonzeros = isIndexed_ || codec_ ? countNonzeros(weights, step_.columns, encoder_.elementBytes(), encoder_.zeroMask()) : 0;
      counts.values = isIndexed_ ? nonzeros : step_.columns;
      if (codec_) {
        counts.words = codec_->words(weights, step_.columns, nonzeros);
      } else if (isIndexed_) {
        counts.words = counts.values * encoder_.waveletsEach();
      } else {
        for (uint64_t column = 0; column < grid_.columns; ++column)
          counts.words += (featuresInColumn(step_.columns, grid_.columns, column) * encoder_.elementBytes() + 3) / 4;
      }
      if (keeps_)
        kept_->count(row_.row, counts.words);
    }
    if (row_.bias) {
      ++counts.values;
      counts.words += encoder_.waveletsEach();
    }
    return counts;
  }

  bool isComplete() const override { return column_ == grid_.columns && !rowIsTaken_ && !hasRows(); }

  bool next(Burst &burst) override {
    values = 0;
    if (std::optional<uint64_t> column = firstMasks_.next()) {
      aimAtColumn(burst, grid_, commandColour_, *column);
      burst.control = firstMasks_.task(*column);
      return true;
    }
    for (;;) {
      if (column_ == grid_.columns && !beginRow())
        return false;
      if (std::optional<uint64_t> column = masks_.next()) {
        aim(burst, *column);
        burst.control = masks_.task(*column);
        return true;
      }
      aim(burst, column_);
      if (biasIsNext_) {
        biasIsNext_ = false;
        values = place_.count;
        burst.data.swap(biases_);
        burst.control = step_.task_own;
        ++column_;
        return true;
      }
      takeWeights(burst);
      const bool isLast = place_.isLast();
      if (isLast && column_ == owner_ && row_.bias) {
        burst.control = step_.task_bias;
        biasIsNext_ = true;
        return true;
      }
      if (isLast)
        burst.control = column_ < owner_ ? step_.task_east : column_ > owner_ ? step_.task_west : step_.task_own;
      ++column_;
      if (burst.control || !burst.data.empty())
        return true;
    }
  }

private:
  /// Begins with the next row. False: there is none.
  bool beginRow() {
    if (!rowIsTaken_ && !takeRow(step_.columns))
      return false;
    rowIsTaken_ = false;
    column_ = 0;
    place_ = placeOfRow();
    if (row_.isKept)
      readKept(step_.columns);
    // A round is its own mirror image: what comes at a row's number is the number of where the row comes.
    masks_ = MaskCommands(grid_, step_, streamedRow(row_.row, step_.rows, grid_.columns) + 1);
    if (row_.weights && codec_)
      unpack();
    else if (row_.weights)
      spread();
    weightsOfColumn_ = spread_.data();
    waveletsOfColumn_ = wavelets_.data();
    if (place_.place == 0)
      biases_.clear();
    if (row_.bias)
      encoder_.addScalar(reinterpret_cast<const uint8_t *>(&biasBits_), static_cast<uint32_t>(place_.place), biases_);
    return true;
  }
  PlaceTogether placeOfRow() const { return placeTogether(row_.row, step_.rows, grid_.columns, step_.rows_together); }

  /// The next column's weights. Words on the link come with the first of the row.
  void takeWeights(Burst &burst) {
    values = 0;
    if (!row_.weights)
      return;
    const uint64_t count = featuresInColumn(step_.columns, grid_.columns, column_);
    if (codec_ && isIndexed_) {
      const uint32_t *end = std::as_const(wavelets_).data() + columnEnds_[column_];
      burst.data.assign(waveletsOfColumn_, end);
      waveletsOfColumn_ = end;
    } else {
      encoder_.weights(weightsOfColumn_, count, static_cast<uint32_t>(place_.place * count), burst.data);
      weightsOfColumn_ += count * encoder_.elementBytes();
    }
    values = encoder_.valuesIn(burst.data.size(), count);
    if (codec_ && (!burst.data.empty() || place_.isLast()))
      burst.linkWords = std::exchange(linkWords_, 0);
  }

  /// The row that was taken, whole.
  void describeRow() {
    Burst first;
    aim(first, 0);
    whole_.colour = first.colour;
    whole_.firstPort = first.firstPort;
    whole_.columns = first.portStep;
    whole_.groups = first.portCount;
    whole_.opcode = encoder_.trigger();
    whole_.type = static_cast<ElementType>(step_.type); // their numbers are the same
    whole_.weights = row_.isKept ? nullptr : weights_.data();
    whole_.count = row_.weights || row_.isKept ? step_.columns : 0;
    whole_.sorted = keeps_ ? &kept_->sorted : nullptr;
    whole_.number = row_.row;
    whole_.owner = static_cast<uint16_t>(owner_);
    whole_.place = static_cast<uint32_t>(placeOfRow().place);
    whole_.together = static_cast<uint32_t>(placeOfRow().count);
    whole_.east = step_.task_east;
    whole_.west = step_.task_west;
    whole_.own = step_.task_own;
    whole_.bias.reset();
    if (row_.bias)
      whole_.bias = WeightRow::Bias{step_.task_bias, biasBits_};
    // The edge makes positive zeros of all that did not come.
    if (codec_ && !isIndexed_)
      encoder_.makeZerosPositive(weights_.data(), whole_.count);
  }
  /// Puts the row's weights in order of the columns that they go to.
  void spread() {
    spread_.resize(weights_.size());
    switch (encoder_.elementBytes()) {
    case 1:
      return spreadElements<uint8_t>();
    case 2:
      return spreadElements<uint16_t>();
    default:
      return spreadElements<uint32_t>();
    }
  }
  template <typename Element> void spreadElements() {
    const auto *from = reinterpret_cast<const Element *>(weights_.data());
    auto *to = reinterpret_cast<Element *>(spread_.data());
    for (uint64_t column = 0; column < grid_.columns; ++column)
      for (uint64_t k = column; k < step_.columns; k += grid_.columns)
        *to++ = from[k];
  }

  /// The row over the link, and what the edge makes of it: wavelets with an index, or all weights in order of their columns.
  void unpack() {
    codec_->encode(weights_.data(), step_.columns, packed_);
    codec_->decode(packed_, step_.columns, unpacked_);
    linkWords_ += static_cast<uint32_t>(packed_.size());
    if (isIndexed_)
      return putWavelets();
    const unsigned size = encoder_.elementBytes();
    spread_.assign(weights_.size(), 0);
    for (size_t i = 0; i < unpacked_.positions.size(); ++i)
      std::memcpy(spread_.data() + size_t(places_[unpacked_.positions[i]].spread) * size, &unpacked_.values[i], size);
  }
  void putWavelets() {
    const size_t each = encoder_.waveletsEach();
    columnEnds_.assign(grid_.columns, 0);
    for (uint32_t k : unpacked_.positions)
      columnEnds_[places_[k].column] += each;
    // Where a column begins, then, filled, where it ends.
    for (size_t column = 0, sum = 0; column < grid_.columns; ++column)
      sum += std::exchange(columnEnds_[column], sum);
    wavelets_.resize(unpacked_.positions.size() * each);
    for (size_t i = 0; i < unpacked_.positions.size(); ++i) {
      const Place &place = places_[unpacked_.positions[i]];
      size_t &at = columnEnds_[place.column];
      encoder_.put(static_cast<uint32_t>(place_.place * place.count + place.index), unpacked_.values[i], wavelets_.data() + at);
      at += each;
    }
  }

  KeptRows *const kept_;
  bool keeps_ = false; ///< the row
  /// Row n's mask goes ahead of the weights of the row before, so that it is there in time.
  MaskCommands firstMasks_, masks_;
  uint64_t column_; ///< the next one of the row
  PlaceTogether place_{0, 1}; ///< of the row
  const bool isIndexed_;
  bool rowIsTaken_ = false; ///< and none of its bursts is sent
  WeightRow whole_;
  std::vector<uint8_t> spread_;
  const uint8_t *weightsOfColumn_ = nullptr;
  // Of a row that comes without its zeros:
  struct Place {
    uint32_t column, index, count; ///< count: of the column
    uint32_t spread;               ///< in order of columns
  };
  std::vector<Place> places_; ///< of each weight
  std::optional<LinkCodec> codec_;
  std::vector<uint32_t> packed_, wavelets_;
  uint32_t linkWords_ = 0; ///< of rows, until a burst has them
  LinkCodec::Row unpacked_;
  std::vector<size_t> columnEnds_; ///< in wavelets_
  const uint32_t *waveletsOfColumn_ = nullptr;
  std::vector<uint32_t> biases_; ///< wavelets of the rows whose sums go together
  bool biasIsNext_ = false;
};

/// Scale: per feature, gamma and beta.
class ScaleBursts final : public WeightBursts {
public:
  using WeightBursts::WeightBursts;

  bool next(Burst &burst) override {
    if (!betaIsNext_ && !takeRow(1))
      return false;
    aim(burst, owner_);
    values = 1;
    encoder_.addScalar(betaIsNext_ ? reinterpret_cast<const uint8_t *>(&biasBits_) : weights_.data(), 0, burst.data);
    betaIsNext_ = !betaIsNext_ && row_.bias;
    burst.control = betaIsNext_ ? step_.task_bias : step_.task_own;
    return true;
  }
  bool isComplete() const override { return !betaIsNext_ && !hasRows(); }

private:
  bool betaIsNext_ = false;
};

/// Sample: row n's command, which brings a row of the one operand to all columns, goes ahead of the indices of the row before, so that the row is there in time.
class SampleBursts final : public StepBursts {
public:
  SampleBursts(const wexe::PhaseT &phase, const wexe::StepT &step, const KeptPositions &positions)
      : grid_(*phase.grid), commandColour_(phase.command_colour), step_(step), positions_(positions) {}

  bool next(Burst &burst) override {
    while (row_ <= uint64_t(step_.rows) + 1) {
      const uint64_t row = row_;
      const uint32_t column = column_;
      values = 0;
      if (++column_ == grid_.columns) {
        column_ = 0;
        ++row_;
      }
      if (row >= 2)
        values = putIndices(burst, row - 2, positions_.columns[column]);
      if (row < step_.rows) {
        const uint64_t owner = row % grid_.columns;
        burst.control = column < owner ? step_.task_west : column > owner ? step_.task_east : step_.task_own;
      } else if (row == step_.rows) {
        burst.control = step_.task;
      }
      if (step_.pattern < 0)
        burst.linkWords = 0; // the edge counts by itself
      if (burst.data.empty() && !burst.control)
        continue;
      aimAtColumn(burst, grid_, commandColour_, column);
      return true;
    }
    return false;
  }

private:
  /// Returns how many positions they are.
  uint64_t putIndices(Burst &burst, uint64_t row, const KeptPositions::Column &column) const {
    const uint32_t first = row == 0 ? 0 : column.rowEnds[row - 1], end = column.rowEnds[row];
    if (step_.pattern < 0 && first < end)
      burst.data.push_back(end - first - 1);
    for (uint32_t i = first; step_.pattern >= 0 && i < end; ++i)
      burst.data.push_back(column.indices[i] << 16);
    return end - first;
  }

  const wexe::GridT &grid_;
  const uint8_t commandColour_;
  const wexe::StepT &step_;
  const KeptPositions &positions_;
  uint64_t row_ = 0;
  uint32_t column_ = 0;
};

bool readsRows(const wexe::StepT &step) { return step.kind == wexe::StepKind::Contract || step.kind == wexe::StepKind::Scale; }
bool streamsWeights(const wexe::StepT &step) { return readsRows(step) || step.kind == wexe::StepKind::Sample; }

const Tensor &valueOf(const wexe::ProgramT &program, const TensorValues &values, int tensor, const wexe::StepT &step) {
  auto found = values.find(static_cast<unsigned>(tensor));
  if (found == values.end())
    throw RuntimeError("step '" + step.name + "' sends tensor '" + program.tensors[tensor]->name +
                       "', which has no value yet: no earlier phase makes it, and it is no input of the entry");
  return found->second;
}

/// Where a step's weights come from: the store, or what an earlier phase made.
std::shared_ptr<const TensorSource> sourceOf(const wexe::ProgramT &program, TensorStore &store, const TensorValues &values, int tensor,
                                             const wexe::StepT &step) {
  if (tensor < 0)
    return nullptr;
  const wexe::TensorT &wanted = *program.tensors[tensor];
  if (wanted.role == wexe::Role::Weight)
    return store.find(wanted.name, dtypeOf(wanted.type), wanted.shape);
  return store.lend(wanted.name, valueOf(program, values, tensor, step));
}

/// Whether rows of the step's weight may be kept for runs to come.
bool mayBeKept(const wexe::ProgramT &program, const wexe::StepT &step) {
  return step.kind == wexe::StepKind::Contract && dtypeOf(step.type) != DType::I8 && step.output_zeros == 0 && step.batch_sizes.empty() &&
         program.tensors[step.tensor]->role == wexe::Role::Weight;
}

bool isAllZero(const Tensor &tensor) {
  const uint8_t *bytes = tensor.data();
  // -0 is a zero with a bit set; it counts as none, which costs a stream and nothing else.
  return std::all_of(bytes, bytes + tensor.bytes(), [](uint8_t byte) { return byte == 0; });
}

} // namespace

PhaseIngress::PhaseIngress(const wexe::ProgramT &program, const wexe::PhaseT &phase, TensorStore &store, const TensorValues &values,
                           const SampledPhase *sampled)
    : program_(program), phase_(phase), values_(values), sampled_(sampled), kept_(phase.steps.size()), stepCounts_(phase.steps.size()) {
  std::vector<RowPlan> plans;
  for (const auto &step : phase.steps) {
    if (step->kind == wexe::StepKind::Send)
      valueOf(program, values, step->tensor, *step);
    if (!readsRows(*step))
      continue;
    RowPlan plan;
    // Weights that no token needs are not even read.
    if (step->guard < 0 || !isAllZero(valueOf(program, values, step->guard, *step)))
      plan.weight = sourceOf(program, store, values, step->tensor, *step);
    plan.bias = sourceOf(program, store, values, step->bias, *step);
    if (plan.weight && mayBeKept(program, *step) && plan.weight->inMemory())
      plan.kept = kept_[&step - phase.steps.data()] = store.keptRows().of(*step);
    plan.rows = step->rows;
    if (step->kind == wexe::StepKind::Contract) {
      plan.columns = step->columns;
      plan.rowStride = step->row_stride;
      plan.columnStride = step->column_stride;
      plan.offset = step->offset;
      plan.batchSizes = step->batch_sizes;
      plan.batchStrides = step->batch_strides;
      plan.roundLength = phase.grid->columns;
      plan.together = step->rows_together;
    } else {
      plan.columns = 1;
      plan.rowStride = 1;
    }
    plans.push_back(std::move(plan));
  }
  rows_ = std::make_unique<RowStream>(store, std::move(plans), phase.grid->batches, microBatchesEach(*phase.grid), phase.grid->batches_at_once);
}

PhaseIngress::~PhaseIngress() = default;

void PhaseIngress::prepare(const ForEach &forEach) { rows_->readTogether(forEach); }

std::unique_ptr<StepBursts> PhaseIngress::startStep() const {
  const wexe::StepT &step = *phase_.steps[step_];
  switch (step.kind) {
  case wexe::StepKind::Send:
    return std::make_unique<SendBursts>(phase_, step, values_.at(static_cast<unsigned>(step.tensor)), microBatch_);
  case wexe::StepKind::Contract:
    return std::make_unique<ContractBursts>(phase_, step, program_, *rows_, kept_[step_]);
  case wexe::StepKind::Scale:
    return std::make_unique<ScaleBursts>(phase_, step, program_, *rows_);
  case wexe::StepKind::Sample:
    return std::make_unique<SampleBursts>(phase_, step, sampled_->of(step));
  case wexe::StepKind::Command:
    return std::make_unique<CommandBursts>(phase_, step.task, step.times);
  case wexe::StepKind::Receive:
    return std::make_unique<CommandBursts>(phase_, step.task);
  }
  assert(false && "the verifier knows every kind of step");
  return nullptr;
}

/// Begins with the step that comes next if none is at work.
void PhaseIngress::settleStep() {
  while (microBatch_ < phase_.grid->micro_batches && !phase_.steps.empty()) {
    if (!current_)
      current_ = startStep();
    if (!current_->isComplete())
      return;
    endStep();
  }
}

void PhaseIngress::endStep() {
  current_.reset();
  if (besideSteps_ && *besideSteps_ > 0)
    --*besideSteps_;
  if (++step_ == phase_.steps.size()) {
    step_ = phase_.prologue;
    ++microBatch_;
  }
}

const WeightRow *PhaseIngress::peekRow() {
  settleStep();
  return current_ ? current_->peekRow() : nullptr;
}

void PhaseIngress::skipRow() {
  const uint16_t groups = current_->peekRow()->groups;
  const StepBursts::RowCounts row = current_->skipRow();
  counts_.commands += row.commands;
  counts_.weights += row.words;
  stepCounts_[step_].words += row.words;
  stepCounts_[step_].values += row.values * groups;
}

/// Makes it one without anything in it, which keeps its room.
static void clear(Burst &burst) {
  std::vector<uint32_t> data = std::move(burst.data);
  data.clear();
  burst = Burst();
  burst.data = std::move(data);
}

bool PhaseIngress::next(Burst &burst) {
  while (microBatch_ < phase_.grid->micro_batches && !phase_.steps.empty()) {
    if (!current_)
      current_ = startStep();
    const wexe::StepT &step = *phase_.steps[step_];
    clear(burst);
    if (current_->next(burst)) {
      counts_.commands += burst.control.has_value();
      if (streamsWeights(step)) {
        const uint64_t words = burst.linkWords ? *burst.linkWords : burst.data.size();
        counts_.weights += words;
        stepCounts_[step_].words += words;
        stepCounts_[step_].values += current_->values * burst.portCount;
      } else {
        counts_.activations += burst.data.size();
      }
      if (besideSteps_ == 0) {
        burst.closesBeside = true;
        besideSteps_.reset();
      }
      if (isBesideApart_ && step.beside > 0) {
        // Its command was all that does not come beside others.
        burst.opensBeside = true;
        beside_.push_back(std::move(current_));
        besideSteps_ = step.beside + 1;
        endStep();
      }
      return true;
    }
    endStep();
  }
  return false;
}

bool PhaseIngress::nextBeside(Burst &burst) {
  clear(burst);
  if (!beside_.front()->next(burst)) {
    beside_.pop_front();
    return false;
  }
  counts_.activations += burst.data.size();
  return true;
}

} // namespace wafer
