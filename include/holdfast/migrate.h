// Moving whole databases: dumps as text, loads, copies between stores of any kind. What arrives is one
// consistent state of the source, taken while others write to it, with all keys, values, expiries and
// versions, large objects included. A database that is being filled is invisible until it is complete: nobody
// reads half a load.
//
// Each function can be stopped at any time, also by a kill, and called again: it goes on where it was. At the
// end the digest of what was written is compared with that of what was read.
//
// A dump is lines of JSON:
//
//     {"holdfast_dump":1,"id":"<32 hex>","store":"sqlite","database":"agents",
//      "position":{"history":"<16 hex>","seq":17},"time_ms":n,"entries":n}         the beginning; a rough
//      count
//     {"key":"a","value":"text","version":5,"expires_at_ms":n}                     an entry
//     {"key64":"AP8=","value64":"//4=","version":6}                                one whose bytes are no
//     text
//     {"scanned":n}                                                                n entries; changes follow
//     {"clear":"from","to":"below"}    {"clear64":...,"to64":...}                  keys that were written
//     again
//     {"erase":"key"}                  {"erase64":...}                             a key that went meanwhile
//     {"end":{"position":{...},"time_ms":n,"entries":n,"digest":"<32 hex>"}}       the state that all lines
//     make
//
// Later lines replace earlier ones. The digest is that of holdfast/store.h, judged at time_ms.
//
// Functions may be called from any thread; callbacks are called from the thread of the call. What a callback
// throws ends the call and is passed on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "holdfast/backend.h"
#include "holdfast/environment.h"
#include "holdfast/store.h"

namespace holdfast::migrate {

struct Progress {
  enum class Phase : std::uint8_t { counting, copying, following, comparing } phase = Phase::copying;
  std::uint64_t entries = 0;  ///< written, those of an earlier call included
  std::uint64_t total = 0;    ///< roughly; 0: not known
};

struct Options {
  Environment environment;
  /// After each batch. Throw to stop.
  std::function<void(const Progress&)> on_progress;
  /// Counts the entries first, so that progress has a total. Cost: a scan of all keys.
  bool counts_first = false;
};

struct Summary {
  Bytes database;
  Position at;  ///< of the source: the state that was taken
  Digest digest;
  bool was_resumed = false;
  /// The target holds the same data already, from an earlier call; nothing was done.
  bool was_there = false;
};

/// The next line without its end, or nothing at the end of the text. A last line without an end is none.
using ReadLine = std::function<std::optional<std::string>()>;
/// Takes a line without its end.
using WriteLine = std::function<void(View line)>;

/// To go on with a dump that was interrupted.
struct EarlierDump {
  ReadLine read_line;
  /// Told once, before anything is written: so many lines stay, the others have to go.
  std::function<void(std::uint64_t lines)> keep;
};

/// Writes one database as lines. While it runs, and an hour longer if it can be resumed, the source's change
/// log is pinned. Throws not_found if there is no such database; compacted or history_changed if an earlier
/// dump cannot be continued: start anew then. Memory: as Database::digest.
Summary dump(std::shared_ptr<Backend> source, View database, const WriteLine& write_line,
             const Options& options = {}, const EarlierDump* earlier = nullptr);

/// Reads lines that dump() has written into `database`, or where it is empty into the one that the dump
/// names; it must not exist. Throws invalid_argument naming the line for what is no line of a dump,
/// already_exists if the database exists with other data, corruption if the dump ends too early or its digest
/// is not met, unavailable if another load or copy fills the database. Load again after any of them: what was
/// loaded stays, invisible, until the load ends well or the database is dropped.
Summary load(std::shared_ptr<Backend> target, View database, const ReadLine& read_line,
             const Options& options = {});

/// Copies one database into another store, under the name `target_database` (empty: the same). The copy has a
/// history of its own and the source's seq and versions. Goes on until it has caught up with whoever writes.
Summary copy(std::shared_ptr<Backend> source, View database, std::shared_ptr<Backend> target,
             View target_database = {}, const Options& options = {});

}  // namespace holdfast::migrate
