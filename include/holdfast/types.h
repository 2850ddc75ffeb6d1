// The values that cross the storage contract: keys, entries, ranges, batches, positions and pages.
//
// Everything here is a plain value: copyable, comparable where that has a meaning, without locks and without
// hidden ownership. Threads may share `const` values freely. docs/contract.md is the reference text of what
// the fields promise; the numbers behind a section sign (§3.4) point into it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

/// Any bytes. Keys compare as unsigned bytes, a proper prefix first.
using Bytes = std::string;
/// A borrowed view of bytes; valid only during the call it is passed to.
using View = std::string_view;
/// Number of a commit: 1, 2, 3 ... without gaps within a history, below 2^53. 0 means "before the first
/// commit".
using Seq = std::uint64_t;
/// Milliseconds since 1970-01-01T00:00:00Z, by the injected clock.
using UnixMs = std::int64_t;
/// An instant of the injected monotonic clock. A default-constructed deadline means "the store's default
/// timeout".
using Deadline = std::chrono::steady_clock::time_point;

/// A state of a database, for ever: `seq` commits into `history`. Positions of different histories are not
/// comparable. {0, 0} is the position of a database that was never committed to.
struct Position {
  std::uint64_t history = 0;
  Seq seq = 0;
  bool operator==(const Position&) const = default;
};

/// What a database stores under a key. `version` is the seq of the commit that put it.
/// Live at T iff `expires_at_ms` is empty or T < `expires_at_ms` (§1.10).
struct Entry {
  Bytes key;
  Bytes value;
  Seq version = 0;
  std::optional<UnixMs> expires_at_ms;
  bool operator==(const Entry&) const = default;
};

/// The keys in [begin, end); an empty `end` is unbounded. A range whose non-empty `end` is not above `begin`
/// is empty.
struct Range {
  Bytes begin;
  Bytes end;
  /// Every key that starts with `prefix` (the prefix itself included).
  static Range prefix(View prefix);
  /// Every key.
  static Range all();
  bool contains(View key) const;
  bool operator==(const Range&) const = default;
};

/// A condition that a batch or a read is judged on (§4).
struct Check {
  enum class Kind : std::uint8_t {
    absent,     ///< no live entry under `key`
    version,    ///< a live entry of that `version` under `key`
    unchanged,  ///< nothing in [`key`, `end`) was changed by a commit above `version`, nor expired since
                ///< `read_time_ms`
  };
  Kind kind = Kind::absent;
  Bytes key;        ///< the key; for `unchanged` the begin of the range
  Bytes end;        ///< `unchanged` only: the end of the range, empty for none
  Seq version = 0;  ///< `version`: the expected version; `unchanged`: the seq that the range was read at
  UnixMs read_time_ms = 0;  ///< `unchanged` only: the effective time that the range was read at

  static Check absent(View key);
  static Check has_version(View key, Seq version);
  static Check unchanged(const Range& range, Seq since, UnixMs read_time_ms);
  bool operator==(const Check&) const = default;
};

/// One change of one key (§5).
struct Write {
  enum class Kind : std::uint8_t {
    put,          ///< store `value` under `key`, replacing the whole entry, expiry included
    put_stamped,  ///< store `value` under `key` + seq as 16 lower-case hexadecimal digits + `suffix`
    erase,        ///< remove the entry
    reap,         ///< remove the entry iff it has expired at the effective time of the commit
  };
  Kind kind = Kind::put;
  Bytes key;     ///< the key; for `put_stamped` its prefix
  Bytes suffix;  ///< `put_stamped` only
  Bytes value;
  std::optional<UnixMs> expires_at_ms;
  Seq version = 0;  ///< only while importing (§7): the version that the entry keeps

  static Write put(View key, View value, std::optional<UnixMs> expires_at_ms = {});
  static Write put_stamped(View prefix, View suffix, View value, std::optional<UnixMs> expires_at_ms = {});
  static Write erase(View key);
  static Write reap(View key);
  bool operator==(const Write&) const = default;
};

/// The unit of atomicity: if every check holds all writes apply as one commit, otherwise nothing does.
struct Batch {
  std::vector<Check> checks;
  std::vector<Write> writes;
  bool operator==(const Batch&) const = default;
};

/// What became of a batch: the seq of its commit, or the index of the first check that failed.
struct Outcome {
  Seq seq = 0;
  std::optional<std::size_t> failed_check;
  bool committed() const { return !failed_check; }
  bool operator==(const Outcome&) const = default;
};

/// One key of a change feed. `entry` is what is stored now, live or not; it is empty when `erased`, or when
/// only keys were asked for (then `version` is that of the newest commit that changed the key, up to the
/// page's `through`).
struct Change {
  Bytes key;
  Seq version = 0;
  bool erased = false;
  std::optional<Entry> entry;
  bool operator==(const Change&) const = default;
};

/// A page of a change feed, ordered by (version, key). A copy that has applied all pages equals the source
/// iff caught_up(); before that it may hold half of a commit (§6).
struct Changes {
  std::vector<Change> items;
  Position through;  ///< pass as the next `since`
  Seq head = 0;
  bool caught_up() const { return through.seq == head; }
};

struct ScanOptions {
  std::size_t limit = 1000;  ///< 1..10,000 entries
  bool reverse = false;      ///< from the end of the range to its begin
  bool keys_only = false;    ///< entries come with an empty value
  bool snapshot = false;     ///< in a transaction: add no check for what was read
};

/// Live entries in key order (descending for `reverse`). `more` is false iff the range was exhausted; with
/// `more` the next page may still be empty. A page also ends at the byte budget (§2.4).
struct Page {
  std::vector<Entry> entries;
  Position at;
  bool more = false;
};

/// How much a store has lost at worst when it has acknowledged a commit and then stops.
enum class Durability : std::uint8_t {
  process,   ///< what the operating system and the process hold: lost with the process or the power
  disk,      ///< on stable storage of one machine
  replicas,  ///< on several machines
};

/// What differs between backends (§9), read from the real server when it is opened, never from its name.
/// `name` is for people and logs; no code may branch on it.
struct Traits {
  Bytes name;
  Durability durability = Durability::process;
  bool shared_by_processes = false;
  /// No acknowledged commit is lost and no stale read is served, whatever fails within `durability`.
  bool keeps_acknowledged = false;
  /// Copies of a database may be changed apart and are merged later: there is no one history, and so nothing
  /// that only one caller may win.
  bool mergeable = false;
  /// How long after an acknowledgement a waiter elsewhere is woken at the latest.
  std::chrono::milliseconds wake_bound{0};
};

}  // namespace holdfast
