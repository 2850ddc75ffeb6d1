// Which indexes some records have: one entry, which every commit that changes a record is conditional on, so
// that whoever writes maintains the indexes that there are, whichever process has declared them.
//     {"next_id":3,"indexes":[{"id":2,"name":"by_email","path":"/email","unique":true,"state":"building"}]}
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "holdfast/types.h"
#include "services/json_pointer.h"

namespace holdfast {

struct DeclaredIndex {
  enum class State : std::uint8_t {
    building,  ///< maintained; records from before its declaration may be missing in it
    ready,
    failed,   ///< two records had one value of a unique index; no longer maintained
    dropped,  ///< no longer maintained, and out of sight; its entries are being erased
  };

  std::uint64_t id = 0;  ///< never used twice
  Bytes name;
  Bytes path;
  JsonPointer pointer;
  bool is_unique = false;
  State state = State::building;

  bool is_maintained() const { return state == State::building || state == State::ready; }
};

/// A plain value.
struct IndexCatalogue {
  std::uint64_t next_id = 1;
  std::vector<DeclaredIndex> indexes;

  Bytes text() const;
  /// Throws corruption.
  static IndexCatalogue parse(View text);

  /// Nothing if there is none, or if it was dropped.
  const DeclaredIndex* find(View name) const;
  DeclaredIndex* find(std::uint64_t id);
  const DeclaredIndex* find(DeclaredIndex::State state) const;
};

/// The catalogue that was seen last, parsed. Thread-safe.
class CatalogueCache {
 public:
  struct Seen {
    Bytes text;  ///< empty if there was none
    IndexCatalogue catalogue;
  };

  std::shared_ptr<const Seen> last() const;
  std::shared_ptr<const Seen> see(const std::optional<Entry>& entry);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Seen> last_ = std::make_shared<Seen>();
};

}  // namespace holdfast
