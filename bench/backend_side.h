// A backend as the engine would use it, against which its own storage is measured: 100,000 entries of one
// database, groups of batches of a check and a put in one session, and reads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness.h"
#include "holdfast/backend.h"

namespace holdfast::bench {

constexpr std::size_t kKeys = 100'000;
constexpr std::size_t kScanRows = 1'000;

/// Formatted once: neither side is to be measured by it.
const std::string& key_text(std::size_t index);

/// Not thread-safe.
class BackendSide {
 public:
  explicit BackendSide(const std::string& url);

  void put(const std::vector<std::size_t>& keys, const std::string& value);
  std::string get(std::size_t index);
  std::size_t scan(std::size_t index);

 private:
  std::unique_ptr<Backend> backend_;
  struct Known {
    std::string key;
    Seq version = 0;
  };
  std::vector<Known> known_;
  /// Filled anew for each commit: the engine, too, hands over batches that were made elsewhere, and what
  /// their strings cost to make is not the backend's.
  Group group_;
  std::uint64_t history_ = 0;
  std::uint64_t number_ = 0;
};

/// What is done next, for both sides the same.
class Picker {
 public:
  /// Distinct keys: two writes of one key with version checks would not be of one group.
  std::vector<std::size_t> keys(std::size_t count);
  std::size_t key() { return dice_.below(kKeys); }
  std::size_t first_of_scan() { return dice_.below(kKeys - kScanRows); }
  std::string value() const { return value_of(picks_); }

 private:
  Dice dice_{1};
  std::vector<std::uint64_t> picked_ = std::vector<std::uint64_t>(kKeys);
  std::uint64_t picks_ = 0;
};

/// Every key into both sides, in groups.
template <class Plain>
void fill(Plain& plain, BackendSide& ours) {
  constexpr std::size_t kBatches = 500;
  for (std::size_t from = 0; from < kKeys; from += kBatches) {
    std::vector<std::size_t> keys;
    for (std::size_t i = 0; i < kBatches; ++i) keys.push_back(from + i);
    plain.put(keys, value_of(from));
    ours.put(keys, value_of(from));
  }
}

}  // namespace holdfast::bench
