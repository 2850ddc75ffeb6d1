// Fills a database that nobody else can see until it is opened (docs/contract.md, 7). Writes are gathered
// into batches; with each batch goes a note of how far the import has come, so that it can go on after a
// kill.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "holdfast/backend.h"
#include "holdfast/environment.h"
#include "holdfast/store.h"

namespace holdfast::migrate {

class Importer {
 public:
  /// `source` identifies what is imported: only the same source can go on with an import. Throws
  /// already_exists if the database exists, unavailable if it is being filled from another source.
  Importer(std::shared_ptr<Backend> backend, const Environment& environment, View database,
           const std::string& source);

  /// The time that the imported entries are judged at, the source's; does not go back. This machine's clock
  /// has no part in it.
  void set_time(UnixMs time_ms) { time_ms_ = std::max(time_ms_, time_ms); }

  /// The note of an earlier run, or nothing if this is the first one.
  std::optional<Bytes> note();
  /// Goes with the next batch.
  void set_note(Bytes note) { note_ = std::move(note); }
  /// Whether what was written is enough for a batch.
  bool is_full() const;

  void put(const Entry& entry);
  void erase(View key);
  /// Removes what is stored in the range; writes that wait go first.
  void clear(const Range& range);
  /// Commits what waits, and the note.
  void flush();

  /// A page of what was imported.
  Page scan(const Range& range, std::size_t limit, bool reverse = false, bool keys_only = false);
  /// Of what was imported, without the note, judged at `time_ms`.
  Digest digest(UnixMs time_ms);
  /// The end: everybody sees the database, at `seq` of a new history. No version may be above `seq`.
  void open(Seq seq, UnixMs time_ms);

  Seq newest_version() const { return newest_version_; }

 private:
  Deadline deadline() const;
  void write(Write write);
  void commit(std::vector<Write> writes);

  const std::shared_ptr<Backend> backend_;
  const Environment environment_;
  const Bytes database_;
  const Fence fence_;
  UnixMs time_ms_ = 0;
  SessionId session_;
  std::uint64_t number_ = 0;
  /// By key: of two writes of one key the last one counts.
  std::map<Bytes, Write> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::optional<Bytes> note_;
  std::optional<Bytes> committed_note_;
  Seq newest_version_ = 0;
};

/// The note's key.
inline constexpr View kImportNoteKey = "!import";

/// The digest of a database of `backend` as it is now, or nothing if there is none. Throws unavailable if it
/// is being imported.
std::optional<Digest> digest_now(std::shared_ptr<Backend> backend, const Environment& environment,
                                 View database);

}  // namespace holdfast::migrate
