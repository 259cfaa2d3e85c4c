//===- Route.cpp - wafer-route ------------------------------------------------===//
//
// Channels are shapes; this writes them down as routing entries, and as what differs from core to core. Columns are classed by what they do, rows by parity, so
// that a wafer of any size has the same few classes; where there are rings, which close within a band, each band has its own.
//
//===----------------------------------------------------------------------===//

#include "GroupSums.h"
#include "MachineOf.h"

#include "wafer/Dialect/Wafer/Transforms/Passes.h"
#include "wafer/Machine/FeatureLayout.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

#include <map>
#include <vector>

using namespace mlir;

namespace wafer::wfr {
#define GEN_PASS_DEF_ROUTEWAFER
#include "wafer/Dialect/Wafer/Transforms/Passes.h.inc"

namespace {

/// Where a channel is at one core.
struct Ends {
  int64_t sendColor = -1, receiveColor = -1; ///< which of the channel's colors; -1: no such end here
};

int64_t numColors(ChannelKind kind) {
  switch (kind) {
  case ChannelKind::ColumnMulticast:
  case ChannelKind::MulticastWest:
    return 1;
  case ChannelKind::ColumnRing:
    return 4;
  case ChannelKind::GroupSums:
    return GroupSums::numColors;
  default:
    return 2;
  }
}

std::string colorName(ChannelOp channel, int64_t which) {
  return numColors(channel.getKind()) > 1 ? (channel.getSymName() + "_" + Twine(which)).str() : channel.getSymName().str();
}

/// What a program has of a load.
struct LoadParts {
  SmallVector<PhaseOp> phases;
  SmallVector<ImageOp> images;
};

/// Routes and regions of one load. Channels are those of the program, which may be in other places in another load.
class Router {
public:
  Router(ProgramOp program, int64_t load, const LoadParts &parts, const Machine &machine)
      : program_(program), load_(load), parts_(parts), grid_(PhaseOp(parts.phases.front()).getGrid()), machine_(machine), groupSums_(grid_, machine.height), builder_(program.getContext()) {}

  LogicalResult run(ArrayRef<ChannelOp> channels, const std::map<int64_t, llvm::StringSet<>> &usedBy);
  unsigned regions = 0, routes = 0;

private:
  using Directions = ArrayRef<Direction>;

  Ends endsAt(ChannelKind kind, int64_t column, int64_t row) const;

  void layRoutes(ChannelOp channel);
  void layRing(ChannelOp channel, int64_t firstRow);
  void route(ChannelOp channel, int64_t which, Progression columns, Progression rows, Direction from, Directions to);
  void routeColumns(ChannelOp channel, int64_t which, Progression columns, Direction from, Directions to);
  void routeRows(ChannelOp channel, int64_t which, Progression rows, Direction from, Directions to);

  int64_t validFeatures(PerCoreAttr perCore, int64_t column) const;
  std::vector<int64_t> columnSignature(ImageOp image, int64_t column) const;
  SmallVector<std::pair<int64_t, Progression>> columnClasses(ImageOp image) const;
  SmallVector<std::pair<Progression, std::string>> rowClasses(ImageOp image);
  void makeRegions(ImageOp image);
  void makeRegion(ImageOp image, StringRef name, Progression columns, Progression rows, int64_t firstX);
  void override(OpBuilder &builder, DescriptorOp descriptor, int64_t column, Progression rows);
  void renameUses();
  void makeGroupSums(ChannelOp channel);

  int64_t rowsOfBand() const { return grid_.getRows() / grid_.getBands(); }

  ProgramOp program_;
  int64_t load_;
  const LoadParts &parts_;
  GridAttr grid_;
  const Machine &machine_;
  const GroupSums groupSums_;
  OpBuilder builder_;
  llvm::StringMap<ChannelOp> channels_;
};

/// Colors of a ring: of its way south and of that back.
constexpr int64_t south(int64_t half) { return half; }
constexpr int64_t north(int64_t half) { return 2 + half; }

// docs/spec/kernels.md: row y receives a relay on color y % 2 going in and on (y + 1) % 2 going out; column c receives a chain on color c % 2. The other end of a
// link has the other parity, so sender and receiver agree and no router has two senders of one color.
Ends Router::endsAt(ChannelKind kind, int64_t column, int64_t row) const {
  int64_t columns = grid_.getColumns(), rows = grid_.getRows();
  Ends ends;
  switch (kind) {
  case ChannelKind::ColumnMulticast:
    ends.receiveColor = 0;
    break;
  case ChannelKind::RelayIn:
    ends.receiveColor = row % 2;
    if (row + 1 < rows)
      ends.sendColor = (row + 1) % 2;
    break;
  case ChannelKind::RelayOut:
    ends.sendColor = row % 2;
    if (row > 0)
      ends.receiveColor = (row + 1) % 2;
    break;
  case ChannelKind::ChainEast:
    if (column > 0)
      ends.receiveColor = column % 2;
    if (column + 1 < columns)
      ends.sendColor = (column + 1) % 2;
    break;
  case ChannelKind::ChainWest:
    if (column + 1 < columns)
      ends.receiveColor = column % 2;
    if (column > 0)
      ends.sendColor = (column + 1) % 2;
    break;
  case ChannelKind::ChainSouth:
  case ChannelKind::GroupSums:
    ends.sendColor = row % 2;
    if (row > 0)
      ends.receiveColor = (row + 1) % 2;
    break;
  case ChannelKind::MulticastWest:
    if (column + 1 < columns)
      ends.receiveColor = 0;
    else if (columns > 1)
      ends.sendColor = 0;
    break;
  case ChannelKind::ColumnRing: {
    const int64_t inBand = row % rowsOfBand();
    if (rowsOfBand() == 1)
      break;
    const bool turns = inBand == rowsOfBand() - 1; // the way south ends
    const int64_t here = inBand / 2 % 2, other = 1 - here;
    if (inBand % 2 == 0) {
      ends.sendColor = turns ? north(here) : south(here);
      ends.receiveColor = inBand == 0 ? north(0) : south(other);
    } else {
      ends.sendColor = north(here);
      ends.receiveColor = turns ? south(here) : north(other);
    }
    break;
  }
  case ChannelKind::ColumnPairs:
    ends.sendColor = column % 2;
    ends.receiveColor = 1 - column % 2;
    break;
  }
  return ends;
}

/// The ring of a band that begins with this row. An even row of it sends to the next even one, over the router between, and an odd one to the odd one before; the last two rows, and the first two, are neighbours.
void Router::layRing(ChannelOp channel, int64_t firstRow) {
  constexpr Direction N = Direction::N, S = Direction::S, ramp = Direction::Ramp;
  const int64_t rows = rowsOfBand(), last = rows - 1;
  if (rows == 1)
    return;
  auto lay = [&](int64_t which, Progression some, Direction from, Direction to) { routeRows(channel, which, {firstRow + some.first, some.count, some.step}, from, {to}); };
  // Rows of [low, high) whose half is even or odd, of the even or the odd rows.
  auto some = [](int64_t low, int64_t high, int64_t parity, int64_t half) {
    const int64_t first = low + ((2 * half + parity - low) % 4 + 4) % 4;
    return Progression{first, first < high ? (high - first + 3) / 4 : 0, 4};
  };
  for (int64_t half : {0, 1}) {
    lay(south(half), some(0, last, 0, half), ramp, S);
    lay(south(half), some(1, rows, 0, 1 - half), N, ramp);
    lay(south(half), some(0, last, 1, half), N, S);
    lay(north(half), some(0, rows, 1, half), ramp, N);
    lay(north(half), some(0, last, 1, 1 - half), S, ramp);
    lay(north(half), some(1, last, 0, half), S, N);
  }
  const int64_t half = last / 2 % 2;
  lay(last % 2 == 0 ? north(half) : south(half), {last, 1, 1}, last % 2 == 0 ? ramp : N, last % 2 == 0 ? N : ramp);
  lay(north(0), {0, 1, 1}, S, ramp);
}

void Router::route(ChannelOp channel, int64_t which, Progression columns, Progression rows, Direction from, Directions to) {
  if (columns.count == 0 || rows.count == 0)
    return;
  MLIRContext *context = builder_.getContext();
  SmallVector<Attribute> directions;
  for (Direction direction : to)
    directions.push_back(DirectionAttr::get(context, direction));
  auto rect = RectAttr::get(context, columns.first, rows.first, columns.count, rows.count, columns.step, rows.step);
  RouteOp::create(builder_, channel.getLoc(), FlatSymbolRefAttr::get(context, colorName(channel, which)), builder_.getI64IntegerAttr(load_), rect, DirectionAttr::get(context, from),
                  builder_.getArrayAttr(directions));
  ++routes;
}

/// `columns` of each group, all rows of the grid.
void Router::routeColumns(ChannelOp channel, int64_t which, Progression columns, Direction from, Directions to) {
  Progression rows = {grid_.getY0(), grid_.getRows(), 1};
  if (columns.count == 1) {
    // The same column of all groups is one rectangle.
    route(channel, which, {grid_.getX0() + columns.first, grid_.getGroups(), grid_.getColumns()}, rows, from, to);
    return;
  }
  for (int64_t group = 0; group < grid_.getGroups(); ++group)
    route(channel, which, {grid_.getX0() + group * grid_.getColumns() + columns.first, columns.count, columns.step}, rows, from, to);
}

/// `rows` of the grid, all columns of all groups.
void Router::routeRows(ChannelOp channel, int64_t which, Progression rows, Direction from, Directions to) {
  route(channel, which, {grid_.getX0(), grid_.getColumns() * grid_.getGroups(), 1}, {grid_.getY0() + rows.first, rows.count, rows.step}, from, to);
}

void Router::layRoutes(ChannelOp channel) {
  constexpr Direction N = Direction::N, E = Direction::E, S = Direction::S, W = Direction::W, ramp = Direction::Ramp;
  int64_t columns = grid_.getColumns(), rows = grid_.getRows();
  switch (channel.getKind()) {
  case ChannelKind::ColumnMulticast:
    routeRows(channel, 0, {0, rows - 1, 1}, N, {S, ramp});
    routeRows(channel, 0, {rows - 1, 1, 1}, N, {ramp});
    break;
  case ChannelKind::RelayIn:
    for (int64_t parity : {0, 1}) {
      routeRows(channel, parity, parityClass(0, rows, parity), N, {ramp});
      routeRows(channel, parity, parityClass(0, rows - 1, 1 - parity), ramp, {S});
    }
    break;
  case ChannelKind::RelayOut:
  case ChannelKind::ChainSouth:
  case ChannelKind::GroupSums: {
    for (int64_t parity : {0, 1}) {
      routeRows(channel, parity, parityClass(0, rows, parity), ramp, {S});
      routeRows(channel, parity, parityClass(1, rows, 1 - parity), N, {ramp});
    }
    if (channel.getKind() == ChannelKind::GroupSums) {
      groupSums_.layRoutes([&](int64_t which, Progression columns, Progression rows, Direction from, Direction to) { route(channel, which, columns, rows, from, {to}); });
      break;
    }
    // Below the grid the last row's color goes straight on to the output ports.
    int64_t below = machine_.height - (grid_.getY0() + rows);
    routeRows(channel, (rows - 1) % 2, {rows, below, 1}, N, {S});
    break;
  }
  case ChannelKind::ChainEast:
    for (int64_t parity : {0, 1}) {
      routeColumns(channel, parity, parityClass(1, columns, parity), W, {ramp});
      routeColumns(channel, parity, parityClass(0, columns - 1, 1 - parity), ramp, {E});
    }
    break;
  case ChannelKind::ChainWest:
    for (int64_t parity : {0, 1}) {
      routeColumns(channel, parity, parityClass(0, columns - 1, parity), E, {ramp});
      routeColumns(channel, parity, parityClass(1, columns, 1 - parity), ramp, {W});
    }
    break;
  case ChannelKind::MulticastWest:
    if (columns == 1)
      break;
    routeColumns(channel, 0, {columns - 1, 1, 1}, ramp, {W});
    routeColumns(channel, 0, {1, columns - 2, 1}, E, {W, ramp});
    routeColumns(channel, 0, {0, 1, 1}, E, {ramp});
    break;
  case ChannelKind::ColumnRing:
    for (int64_t band = 0; band < grid_.getBands(); ++band)
      layRing(channel, band * rowsOfBand());
    break;
  case ChannelKind::ColumnPairs:
    for (int64_t parity : {0, 1}) {
      routeColumns(channel, parity, parityClass(0, columns, parity), ramp, {parity == 0 ? E : W});
      routeColumns(channel, parity, parityClass(0, columns, 1 - parity), parity == 0 ? W : E, {ramp});
    }
    break;
  }
}

int64_t Router::validFeatures(PerCoreAttr perCore, int64_t column) const {
  return static_cast<int64_t>(featuresInColumn(perCore.getFeatures(), grid_.getColumns(), column));
}

/// What tells one column of a group from another: ends of the chains, parity, valid features of every tensor.
std::vector<int64_t> Router::columnSignature(ImageOp image, int64_t column) const {
  std::vector<int64_t> signature = {column == 0, column + 1 == grid_.getColumns(), column % 2};
  for (auto descriptor : image.getOps<DescriptorOp>())
    if (descriptor.getPerCore() && descriptor.getPerCore()->getKind() == PerCoreKind::ValidFeatures)
      signature.push_back(validFeatures(*descriptor.getPerCore(), column));
  return signature;
}

/// Classes of columns as progressions, each with its first column.
SmallVector<std::pair<int64_t, Progression>> Router::columnClasses(ImageOp image) const {
  llvm::MapVector<unsigned, SmallVector<int64_t>> members;
  std::map<std::vector<int64_t>, unsigned> numbers;
  for (int64_t column = 0; column < grid_.getColumns(); ++column)
    members[numbers.try_emplace(columnSignature(image, column), numbers.size()).first->second].push_back(column);

  SmallVector<std::pair<int64_t, Progression>> classes;
  for (auto &[number, columns] : members)
    for (size_t i = 0; i < columns.size();) {
      // Equal parity makes the distance even; a class may have gaps where another tensor's last column lies.
      Progression run = {columns[i], 1, 2};
      while (i + run.count < columns.size() && columns[i + run.count] == run.first + run.count * run.step)
        ++run.count;
      classes.push_back({run.first, run});
      i += run.count;
    }
  return classes;
}

void Router::override(OpBuilder &builder, DescriptorOp descriptor, int64_t column, Progression rows) {
  Location loc = descriptor.getLoc();
  auto name = FlatSymbolRefAttr::get(descriptor.getSymNameAttr());
  auto i64 = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
  auto number = [&](const Twine &field, int64_t base, int64_t dy = 0) {
    OverrideOp::create(builder, loc, name, builder.getStringAttr(field), FlatSymbolRefAttr(), i64(base), IntegerAttr(), dy ? i64(dy) : IntegerAttr());
  };

  bool isSend = descriptor.getKind() == DescriptorKind::Send;
  if (isSend || descriptor.getKind() == DescriptorKind::Receive) {
    ChannelOp channel = channels_.lookup(*descriptor.getOn());
    Ends ends = endsAt(channel.getKind(), column, rows.first);
    // A relay's last row has nothing to pass on: its count is 0 and the color does not matter.
    bool relay = channel.getKind() == ChannelKind::RelayIn || channel.getKind() == ChannelKind::RelayOut;
    int64_t which = isSend ? ends.sendColor : ends.receiveColor;
    if (relay)
      which = (isSend == (channel.getKind() == ChannelKind::RelayIn)) ? (rows.first + 1) % 2 : rows.first % 2;
    if (which < 0) {
      // A constant has 32 bits; narrower elements are not read there.
      if (isSend || descriptor.getType().getIntOrFloatBitWidth() != 32)
        number("extent3", 0);
      else
        number("const", descriptor.getValue().value_or(0));
      return;
    }
    if (which > 0)
      OverrideOp::create(builder, loc, name, builder.getStringAttr("color"),
                         FlatSymbolRefAttr::get(builder.getContext(), colorName(channel, which)), IntegerAttr(), IntegerAttr(), IntegerAttr());
  }

  std::optional<PerCoreAttr> perCore = descriptor.getPerCore();
  if (!perCore)
    return;
  if (perCore->getKind() == PerCoreKind::RowNumber)
    return number("const", rows.first % rowsOfBand(), rowsOfBand() > 1 ? rows.step : 0);
  std::string field = ("extent" + Twine(perCore->getDimension())).str();
  bool last = column + 1 == grid_.getColumns();
  switch (perCore->getKind()) {
  case PerCoreKind::RowsBefore:
    number(field, rows.first, rows.step);
    break;
  case PerCoreKind::RowsAfter:
    number(field, grid_.getRows() - 1 - rows.first, -rows.step);
    break;
  case PerCoreKind::ValidFeatures:
    number(field, validFeatures(*perCore, column));
    break;
  case PerCoreKind::LastColumn:
    if (!last)
      number(field, 0);
    break;
  case PerCoreKind::LastOfSeveral:
    if (!last || grid_.getColumns() == 1)
      number(field, 0);
    break;
  case PerCoreKind::NotLastColumn:
    if (last)
      number(field, 0);
    break;
  case PerCoreKind::NotFirstColumn:
    if (column == 0)
      number(field, 0);
    break;
  case PerCoreKind::RowNumber:
    break; // no extent
  }
}

void Router::makeRegion(ImageOp image, StringRef name, Progression columns, Progression rows, int64_t column) {
  MLIRContext *context = builder_.getContext();
  auto rect = RectAttr::get(context, columns.first, grid_.getY0() + rows.first, columns.count, rows.count, columns.step, rows.step);
  auto region = RegionOp::create(builder_, image.getLoc(), builder_.getStringAttr(name), rect, FlatSymbolRefAttr::get(image.getSymNameAttr()));
  OpBuilder inside = OpBuilder::atBlockBegin(&region.getBody().emplaceBlock());
  for (auto descriptor : image.getOps<DescriptorOp>())
    override(inside, descriptor, column, rows);
  ++regions;
}

/// Rows of equal parity are alike, but for the first one, where a chain to the south begins. On a ring every fourth row is like another, but for the ends.
SmallVector<std::pair<Progression, std::string>> Router::rowClasses(ImageOp image) {
  auto uses = [&](ChannelKind kind) {
    return llvm::any_of(image.getOps<DescriptorOp>(), [&](DescriptorOp descriptor) {
      return descriptor.getOn() && channels_.contains(*descriptor.getOn()) && channels_.lookup(*descriptor.getOn()).getKind() == kind;
    });
  };
  const bool chains = uses(ChannelKind::ChainSouth) || uses(ChannelKind::GroupSums);
  const bool counts = grid_.getBands() > 1 && llvm::any_of(image.getOps<DescriptorOp>(), [](DescriptorOp descriptor) {
    return descriptor.getPerCore() && descriptor.getPerCore()->getKind() == PerCoreKind::RowNumber;
  });
  SmallVector<std::pair<Progression, std::string>> classes;
  if ((uses(ChannelKind::ColumnRing) || counts) && rowsOfBand() > 1) {
    for (int64_t band = 0; band < grid_.getBands(); ++band) {
      const int64_t north = band * rowsOfBand(), rows = rowsOfBand();
      const std::string ofBand = band == 0 ? "" : ("_of_band_" + Twine(band)).str();
      classes.push_back({{north, 1, 1}, "_first_row" + ofBand});
      classes.push_back({{north + rows - 1, 1, 1}, "_last_row" + ofBand});
      for (int64_t first = 1; first <= std::min<int64_t>(4, rows - 2); ++first)
        classes.push_back({{north + first, (rows - 2 - first) / 4 + 1, 4}, ("_rows_" + Twine(first)).str() + ofBand});
    }
    return classes;
  }
  const int64_t rows = grid_.getRows();
  if (chains)
    classes.push_back({{0, 1, 1}, "_first_row"});
  classes.push_back({parityClass(chains ? 2 : 0, rows, 0), "_even_rows"});
  classes.push_back({parityClass(0, rows, 1), "_odd_rows"});
  llvm::erase_if(classes, [](auto &one) { return one.first.count == 0; });
  return classes;
}

void Router::makeRegions(ImageOp image) {
  for (auto &[column, columns] : columnClasses(image))
    for (auto &[rows, suffix] : rowClasses(image)) {
      std::string name = ("wafer." + (load_ == 0 ? "" : "load_" + Twine(load_) + "_") + "columns_" + Twine(column) + suffix).str();
      if (columns.count == 1) {
        makeRegion(image, name, {grid_.getX0() + column, grid_.getGroups(), grid_.getColumns()}, rows, column);
        continue;
      }
      for (int64_t group = 0; group < grid_.getGroups(); ++group)
        makeRegion(image, group == 0 ? name : (name + "_group_" + Twine(group)).str(),
                   {grid_.getX0() + group * grid_.getColumns() + columns.first, columns.count, columns.step}, rows, column);
    }
}

/// Descriptors and steps name colors from here on.
void Router::renameUses() {
  auto color = [&](StringRef channel, int64_t which) {
    return FlatSymbolRefAttr::get(builder_.getContext(), colorName(channels_.lookup(channel), which));
  };
  for (ImageOp image : parts_.images)
    for (auto descriptor : image.getOps<DescriptorOp>()) {
      descriptor.removePerCoreAttr();
      if (descriptor.getKind() != DescriptorKind::Send && descriptor.getKind() != DescriptorKind::Receive)
        continue;
      descriptor.setOnAttr(color(*descriptor.getOn(), 0));
      descriptor.removeValueAttr();
    }
  for (PhaseOp phase : parts_.phases) {
    for (auto send : phase.getOps<SendOp>())
      send.setChannelAttr(color(send.getChannel(), 0));
    for (auto receive : phase.getOps<ReceiveOp>())
      receive.setChannelAttr(color(receive.getChannel(), (grid_.getRows() - 1) % 2));
    for (auto sample : phase.getOps<SampleOp>())
      sample.setChannelAttr(color(sample.getChannel(), channels_.lookup(sample.getChannel()).getKind() == ChannelKind::GroupSums ? groupSums_.leavingColor() : (grid_.getRows() - 1) % 2));
  }
}

/// The cores below the grid that add sums of groups. Colors have their names by then.
void Router::makeGroupSums(ChannelOp channel) {
  SmallVector<std::string> colors;
  for (int64_t which = 0; which < GroupSums::numColors; ++which)
    colors.push_back(colorName(channel, which));
  regions += groupSums_.makeCores(builder_, channel.getLoc(), load_, colors);
}

LogicalResult Router::run(ArrayRef<ChannelOp> channels, const std::map<int64_t, llvm::StringSet<>> &usedBy) {
  auto uses = [](const llvm::StringSet<> &names, ChannelOp channel) { return names.contains(channel.getSymName()); };
  builder_.setInsertionPointToEnd(&program_.getBody().front());
  ChannelOp ofGroupSums;
  for (ChannelOp channel : channels) {
    channels_[channel.getSymName()] = channel;
    bool used = llvm::any_of(usedBy, [&](const auto &load) { return uses(load.second, channel); });
    auto here = usedBy.find(load_);
    if (used && (here == usedBy.end() || !uses(here->second, channel)))
      continue;
    if (channel.getKind() == ChannelKind::GroupSums) {
      ofGroupSums = channel;
      if (!groupSums_.hasRoom())
        return PhaseOp(parts_.phases.front()).emitOpError() << "adds sums of groups below its grid, expected several groups and as many rows as a group has columns, but there are " << grid_.getGroups()
                                   << " groups of " << grid_.getColumns() << " columns, and " << groupSums_.rowsBelow() << " rows below";
    }
    layRoutes(channel);
  }
  for (ImageOp image : parts_.images)
    makeRegions(image);
  renameUses();
  if (ofGroupSums)
    makeGroupSums(ofGroupSums);
  return success();
}

/// The channels that the images of each load use. To be asked before descriptors name colors instead.
std::map<int64_t, llvm::StringSet<>> channelsByLoad(ProgramOp program) {
  std::map<int64_t, llvm::StringSet<>> usedBy;
  for (auto image : program.getOps<ImageOp>()) {
    llvm::StringSet<> &used = usedBy[image.getLoad()];
    used.insert(image.getCommand());
    for (auto descriptor : image.getOps<DescriptorOp>())
      if (descriptor.getOn())
        used.insert(*descriptor.getOn());
  }
  return usedBy;
}

/// Names of channels are channels: a program that was written by hand may name anything.
LogicalResult checkNames(ProgramOp program) {
  WalkResult result = program.walk([&](Operation *op) {
    std::optional<StringRef> name =
        llvm::TypeSwitch<Operation *, std::optional<StringRef>>(op)
            .Case([](DescriptorOp descriptor) {
              bool onFabric = descriptor.getKind() == DescriptorKind::Send || descriptor.getKind() == DescriptorKind::Receive;
              return onFabric ? descriptor.getOn() : std::nullopt;
            })
            .Case<SendOp, ReceiveOp, SampleOp>([](auto step) { return step.getChannel(); })
            .Case<ImageOp, PhaseOp>([](auto reader) { return reader.getCommand(); })
            .Default([](Operation *) { return std::nullopt; });
    if (!name || program.lookupSymbol<ChannelOp>(*name))
      return WalkResult::advance();
    op->emitOpError() << "names '@" << *name << "', expected a wafer.channel of the program";
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

class RouteWafer : public impl::RouteWaferBase<RouteWafer> {
public:
  void runOnOperation() override {
    ProgramOp program = getOperation();
    std::map<int64_t, LoadParts> loads;
    program.walk([&](PhaseOp phase) { loads[phase.getLoad()].phases.push_back(phase); });
    for (auto image : program.getOps<ImageOp>())
      if (auto load = loads.find(image.getLoad()); load != loads.end())
        load->second.images.push_back(image);
    SmallVector<ChannelOp> channels(program.getOps<ChannelOp>());
    if (loads.empty() || channels.empty())
      return;
    FailureOr<Machine> machine = machineOf(program);
    if (failed(machine) || failed(checkNames(program)))
      return signalPassFailure();
    for (auto &[load, parts] : loads) {
      PhaseOp phase = parts.phases.front();
      GridAttr grid = phase.getGrid();
      if (grid.getX0() + grid.getColumns() * grid.getGroups() > machine->width || grid.getY0() + grid.getRows() > machine->height) {
        phase.emitOpError() << "lies outside of machine '" << machine->name << "', which has " << machine->width << " x " << machine->height
                            << " cores; run wafer-place first";
        return signalPassFailure();
      }
    }
    std::map<int64_t, llvm::StringSet<>> usedBy = channelsByLoad(program);
    OpBuilder builder(channels.front());
    for (ChannelOp channel : channels)
      for (int64_t which = 0; which < numColors(channel.getKind()); ++which)
        ColorOp::create(builder, channel.getLoc(), colorName(channel, which), IntegerAttr(), channel.getWeight());
    for (auto &[load, parts] : loads) {
      Router router(program, load, parts, *machine);
      if (failed(router.run(channels, usedBy)))
        return signalPassFailure();
      regionsMade += router.regions;
      routesMade += router.routes;
    }
    for (ChannelOp channel : channels)
      channel.erase();
  }
};

} // namespace
} // namespace wafer::wfr
