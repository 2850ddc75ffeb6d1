#include "tests/support/simulated_content.h"

#include <algorithm>
#include <functional>

namespace holdfast {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

/// Calls `piece(sector, offset, part)` for the part of `data` in each sector that it touches.
void for_each_sector(std::uint64_t offset, View data,
                     const std::function<void(std::uint64_t, std::uint64_t, View)>& piece) {
  while (!data.empty()) {
    const std::uint64_t sector = offset / kSectorBytes;
    const auto length =
        static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), (sector + 1) * kSectorBytes - offset));
    piece(sector, offset, data.substr(0, length));
    offset += length;
    data.remove_prefix(length);
  }
}

/// Decides for each sector of an interrupted write whether it was written.
class PartialWrite {
 public:
  PartialWrite(std::uint64_t offset, std::size_t size, Xoshiro256& random)
      : random_(random), style_(random.below(5)), end_(offset + random.below(size + 1)) {}

  bool keeps(std::uint64_t sector) {
    const std::uint64_t page = sector * kSectorBytes / kPageBytes;
    switch (style_) {
      case 0:
        return false;
      case 1:  // in order, cut at a sector
        return (sector + 1) * kSectorBytes <= end_;
      case 2:  // in order, cut at a page
        return (page + 1) * kPageBytes <= end_;
      case 3:
        return random_.below(2) == 0;
      default:
        if (page != page_) {
          page_ = page;
          keeps_page_ = random_.below(2) == 0;
        }
        return keeps_page_;
    }
  }

 private:
  Xoshiro256& random_;
  std::uint64_t style_;
  std::uint64_t end_;
  std::uint64_t page_ = UINT64_MAX;
  bool keeps_page_ = false;
};

}  // namespace

void SimulatedContent::write(std::uint64_t offset, View data) {
  if (data.empty()) return;
  if (offset + data.size() > current_.size()) resize(offset + data.size());
  current_.write(offset, data);
  operations_.push_back({false, offset, std::string(data)});
}

void SimulatedContent::resize(std::uint64_t size_bytes) {
  if (size_bytes == current_.size()) return;
  current_.resize(size_bytes);
  operations_.push_back({true, size_bytes, {}});
}

void SimulatedContent::sync() {
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    const Operation& operation = operations_[i];
    if (operation.is_resize) {
      durable_.resize(operation.offset);
      continue;
    }
    for_each_sector(operation.offset, operation.data,
                    [&](std::uint64_t sector, std::uint64_t offset, View part) {
                      const auto newer = superseded_.find(sector);
                      if (newer == superseded_.end() || i >= newer->second) durable_.write(offset, part);
                    });
  }
  // Only what an earlier failed sync has forgotten can still differ, and that stays lost; but the size of a
  // file is metadata, which the journal keeps.
  if (durable_.size() != current_.size()) durable_.resize(current_.size());
  forget_unsynced();
}

void SimulatedContent::forget_unsynced() {
  operations_.clear();
  superseded_.clear();
}

void SimulatedContent::write_durably(std::uint64_t offset, View data) {
  const bool resizes = std::any_of(operations_.begin(), operations_.end(),
                                   [](const Operation& operation) { return operation.is_resize; });
  if (resizes) sync();
  current_.write(offset, data);
  durable_.write(offset, data);
  if (operations_.empty()) return;
  for_each_sector(offset, data, [&](std::uint64_t sector, std::uint64_t, View) {
    superseded_[sector] = operations_.size();
  });
}

void SimulatedContent::write_durably_in_part(std::uint64_t offset, View data, Xoshiro256& random) {
  PartialWrite partial(offset, data.size(), random);
  for_each_sector(offset, data, [&](std::uint64_t sector, std::uint64_t at, View part) {
    if (partial.keeps(sector)) write_durably(at, part);
  });
}

void SimulatedContent::write_in_part(std::uint64_t offset, View data, Xoshiro256& random) {
  PartialWrite partial(offset, data.size(), random);
  for_each_sector(offset, data, [&](std::uint64_t sector, std::uint64_t at, View part) {
    if (partial.keeps(sector)) write(at, part);
  });
}

void SimulatedContent::settle(Xoshiro256& random) {
  const std::size_t count = operations_.size();
  enum Style : std::uint8_t { nothing, everything, in_order, in_order_torn, by_sector, by_page, kStyles };
  const auto style = static_cast<Style>(random.below(kStyles));
  const std::size_t ordered = random.below(count + 1);
  std::map<std::uint64_t, std::size_t> limits;

  // How many of the operations had reached the sector (or page) when the power went.
  const auto limit = [&](std::uint64_t sector) -> std::size_t {
    switch (style) {
      case nothing:
        return 0;
      case everything:
        return count;
      case in_order:
        return ordered;
      default:
        break;
    }
    const std::uint64_t unit = style == by_page ? sector * kSectorBytes / kPageBytes : sector;
    const auto [place, is_new] = limits.try_emplace(unit, 0);
    if (is_new) {
      const std::uint64_t chance = random.below(4);
      if (style == in_order_torn) {
        place->second = std::min(count, ordered + random.below(2));
      } else {
        place->second = chance == 0 ? 0 : chance == 1 ? random.below(count + 1) : count;
      }
    }
    return place->second;
  };
  // Sizes are metadata and kept in the order in which they were set.
  const std::size_t resizes_until = style == nothing      ? 0
                                    : style == everything ? count
                                    : style == by_sector || style == by_page
                                        ? std::max<std::size_t>(ordered, random.below(count + 1))
                                        : ordered;
  for (std::size_t i = 0; i < count; ++i) {
    const Operation& operation = operations_[i];
    if (operation.is_resize) {
      if (i < resizes_until) {
        durable_.resize(operation.offset);
      } else if (i == resizes_until && operation.offset > durable_.size()) {
        // A growing file may have got part of its length.
        durable_.resize(durable_.size() + random.below(operation.offset - durable_.size() + 1));
      }
      continue;
    }
    for_each_sector(operation.offset, operation.data,
                    [&](std::uint64_t sector, std::uint64_t offset, View part) {
                      const auto newer = superseded_.find(sector);
                      if (newer != superseded_.end() && i < newer->second) return;
                      if (i >= limit(sector) || offset >= durable_.size()) return;
                      durable_.write(offset, part.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(
                                                                part.size(), durable_.size() - offset))));
                    });
  }
  forget_unsynced();
  current_ = durable_;
}

void SimulatedContent::corrupt(std::uint64_t offset, View data) {
  current_.write(offset, data);
  durable_.write(offset, data);
}

void SimulatedContent::corrupt_size(std::uint64_t size_bytes) {
  current_.resize(size_bytes);
  durable_.resize(size_bytes);
}

}  // namespace holdfast
