// What a simulated disk and its page cache hold of one file: what readers see, what is on stable storage, and
// what was done since the last sync and may or may not get there.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "environment/xoshiro.h"
#include "tests/support/paged_bytes.h"

namespace holdfast {

/// The unit in which a disk writes at once.
inline constexpr std::uint64_t kSectorBytes = 512;

/// Not thread-safe.
class SimulatedContent {
 public:
  /// What reads see.
  const PagedBytes& current() const { return current_; }
  const PagedBytes& durable() const { return durable_; }
  bool has_unsynced() const { return !operations_.empty(); }

  void write(std::uint64_t offset, View data);
  void resize(std::uint64_t size_bytes);
  void sync();
  /// What Linux does when a sync fails: the data stays visible, is taken for clean, and never gets to the
  /// disk.
  void forget_unsynced();

  /// A write that is on stable storage when it returns.
  void write_durably(std::uint64_t offset, View data);
  /// A durable write that was interrupted: any part of it got to the disk, by sectors or by pages.
  void write_durably_in_part(std::uint64_t offset, View data, Xoshiro256& random);
  /// A buffered write that was interrupted: what of it got into the page cache.
  void write_in_part(std::uint64_t offset, View data, Xoshiro256& random);

  /// The power fails: for every sector chance decides how much of what was done since the last sync is there,
  /// in one of several styles (nothing, all, in order, by sector, by page).
  void settle(Xoshiro256& random);

  /// Changes what is stored, on stable storage too, as a failing disk would.
  void corrupt(std::uint64_t offset, View data);
  void corrupt_size(std::uint64_t size_bytes);

 private:
  struct Operation {
    bool is_resize = false;
    std::uint64_t offset = 0;  ///< of a resize: the new size
    std::string data;
  };

  PagedBytes current_;
  PagedBytes durable_;
  std::vector<Operation> operations_;
  /// Sectors that were durably written since: operations before this index are older than that.
  std::map<std::uint64_t, std::size_t> superseded_;
};

}  // namespace holdfast
